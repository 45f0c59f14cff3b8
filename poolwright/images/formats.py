"""Files of other formats made into raw disks: VHD, VHDX, qcow2 and VMDK; archives are unpacked by archives.py.

The format is told by the file's own bytes, never by its name. qemu-img reads what is not plain bytes; it is given the
format and an open file, and images that refer to other files are refused, because those would be files of this host.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from poolwright.images import vhd
from poolwright.images.archives import unpack_archive
from poolwright.images.base import (
    MAX_DISK_BYTES,
    MIN_DISK_BYTES,
    SECTOR_GRANULE_BYTES,
    BuildFailed,
    UnsupportedImage,
)
from poolwright.images.programs import run
from poolwright.images.sparse import copy_disk, grow

RAW, FIXED_VHD, DYNAMIC_VHD, VHDX, QCOW2, VMDK, TAR = (
    "raw", "fixed VHD", "dynamic VHD", "VHDX", "qcow2", "VMDK", "tar",
)  # fmt: skip
FORMATS = (RAW, FIXED_VHD, DYNAMIC_VHD, VHDX, QCOW2, VMDK, TAR)
CONVERT_TIMEOUT_S = 3600.0
_DRIVERS = {
    DYNAMIC_VHD: "driver=vpc,force_size_calc=current_size",
    VHDX: "driver=vhdx",
    QCOW2: "driver=qcow2",
    VMDK: "driver=vmdk",
}
_MAGIC = (
    (b"QFI\xfb", QCOW2), (b"vhdxfile", VHDX), (b"\x1f\x8b", TAR), (b"\xfd7zXZ\x00", TAR), (b"BZh", TAR),
    (b"\x28\xb5\x2f\xfd", TAR),
)  # fmt: skip
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"
_VMDK = b"KDMV"
_VMDK_CAPACITY_AT = 12  # after magic, version and flags; 8 bytes
_VMDK_ELSEWHERE = (b"COWD", b"# Disk Descri")


def detect(path: Path, length: int) -> str:
    """The format of the first `length` bytes of a file, by these bytes; what follows are zeros.

    Raises UnsupportedImage for a damaged VHD and for formats not read here.
    """
    with path.open("rb") as file:
        head = file.read(vhd.FOOTER_BYTES)
        file.seek(max(0, length - vhd.FOOTER_BYTES))
        tail = file.read(vhd.FOOTER_BYTES)
    if head.startswith(_VMDK) or head.startswith(_VMDK_ELSEWHERE):
        return _whole_vmdk(head)
    for magic, format in _MAGIC:
        if head.startswith(magic):
            return format
    if head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC):
        return TAR
    if head.startswith(vhd.COOKIE):  # dynamic ones begin with a copy of it, so zeros after the end do no harm
        return _kind_of_vhd(head, length)
    if not tail.startswith(vhd.COOKIE):
        return RAW
    return _kind_of_vhd(tail, length)


def _whole_vmdk(head: bytes) -> str:
    """A header without a capacity leads to a description of other files, which would be files of this host."""
    if head.startswith(_VMDK_ELSEWHERE) or not any(head[_VMDK_CAPACITY_AT : _VMDK_CAPACITY_AT + 8]):
        raise UnsupportedImage(
            "the VMDK has its data in other files: make it one file first (qemu-img convert, or an OVA's disk)"
        )
    return VMDK


def _kind_of_vhd(tail: bytes, size: int) -> str:
    footer = vhd.parse_footer(tail)
    if footer is None:
        raise UnsupportedImage("the VHD is damaged: its footer has a wrong checksum")
    if footer.kind == vhd.DYNAMIC:
        return DYNAMIC_VHD
    if footer.kind != vhd.FIXED:
        raise UnsupportedImage(
            "the VHD is a differencing disk, which is nothing without its parent: merge it first"
        )
    if footer.size_bytes != size - vhd.FOOTER_BYTES:
        raise UnsupportedImage(
            f"the VHD is damaged: its footer speaks of {footer.size_bytes} bytes, the file holds "
            f"{size - vhd.FOOTER_BYTES} before it"
        )
    return FIXED_VHD


def fill_from(source: Path, target: Path, length: int) -> None:
    """Make `target`, which must not exist, the raw disk in the first `length` bytes of `source`.

    It is grown to a whole disk size with zeros.

    Raises UnsupportedImage, BuildFailed; OSError for a full disk.
    """
    format = detect(source, length)
    if format == TAR:
        unpack_archive(source, target)
        return
    if format in _DRIVERS:
        _convert(source, target, _DRIVERS[format])
    else:
        copy_disk(source, target)
        os.truncate(target, length - (vhd.FOOTER_BYTES if format == FIXED_VHD else 0))
    size = max(target.stat().st_size, MIN_DISK_BYTES)
    grow(target, -(-size // SECTOR_GRANULE_BYTES) * SECTOR_GRANULE_BYTES)


def _convert(source: Path, target: Path, driver: str) -> None:
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        image = f"{driver},file.driver=file,file.filename=/proc/self/fd/{fd}"
        asked = ["qemu-img", "info", "--output=json", "--image-opts", image]
        known = json.loads(run(asked, timeout_s=CONVERT_TIMEOUT_S, pass_fds=[fd]))
        _refuse_references(known)
        argv = ["qemu-img", "convert", "--image-opts", "-O", "raw", "-S", "4k", image, str(target)]
        run(argv, timeout_s=CONVERT_TIMEOUT_S, pass_fds=[fd])
    except BuildFailed as error:
        raise UnsupportedImage(f"the disk file cannot be read: {error.output}") from error
    finally:
        os.close(fd)
    target.chmod(0o600)


def _refuse_references(known: dict[str, object]) -> None:
    details = json.dumps(known.get("format-specific", {}))
    if any("backing" in name for name in known) or '"data-file"' in details:
        raise UnsupportedImage("the disk file refers to another file: flatten it into one first")
    size = known.get("virtual-size")
    if not isinstance(size, int) or size > MAX_DISK_BYTES:
        raise UnsupportedImage(f"the disk in the file has {size} bytes; at most {MAX_DISK_BYTES} are allowed")
