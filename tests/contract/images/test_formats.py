"""Disks from files of other formats, made by the real qemu-img, sfdisk and tar."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from uuid import UUID

import pytest

from poolwright.images import vhd
from poolwright.images.base import InvalidDiskArgument, UnsupportedImage
from poolwright.images.formats import DYNAMIC_VHD, FIXED_VHD, QCOW2, RAW, VHDX, VMDK, detect
from poolwright.images.raw import RawImagePlane
from tests.contract.images.harness import MIB, OS_RELEASE, tiny_plane

needs_qemu_img = pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="needs qemu-img: install the package qemu-utils"
)
AT = MIB
SIZE = 40 * MIB
_QEMU = {
    FIXED_VHD: ("vpc", "subformat=fixed,force_size=on"),
    DYNAMIC_VHD: ("vpc", "subformat=dynamic,force_size=on"),
    VHDX: ("vhdx", ""),
    QCOW2: ("qcow2", ""),
    VMDK: ("vmdk", ""),
}


@pytest.fixture
def plane(tmp_path: Path) -> RawImagePlane:
    return tiny_plane(tmp_path / "plane")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk of 40 MiB with a partition table and a root file system in its second partition."""
    tree = tmp_path / "tree"
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib/os-release").write_text(OS_RELEASE)
    path = tmp_path / "disk.raw"
    partition(path, "gpt", tree)
    return path


def partition(path: Path, table: str, tree: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SIZE)
    layout = f"label: {table}\nstart=2048, size=8192\nstart=10240, size=61440\n"
    subprocess.run(["sfdisk", "--quiet", str(path)], input=layout, text=True, check=True)
    argv = ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), "-E", f"offset={10240 * 512}", str(path), "30720k"]
    subprocess.run(argv, check=True)


def converted(disk: Path, format: str) -> Path:
    driver, options = _QEMU[format]
    target = disk.with_suffix(f".{driver}")
    argv = ["qemu-img", "convert", "-f", "raw", "-O", driver, *(["-o", options] if options else [])]
    subprocess.run([*argv, str(disk), str(target)], check=True)
    return target


@needs_qemu_img
@pytest.mark.parametrize("format", list(_QEMU))
def test_every_format_gives_the_very_bytes(plane: RawImagePlane, disk: Path, format: str) -> None:
    file = converted(disk, format)
    assert detect(file, file.stat().st_size) == format
    made = plane.import_file("imported", file)
    assert made.path.read_bytes() == disk.read_bytes()
    assert made.allocated_bytes < SIZE
    assert [info.name for info in plane.list()] == ["imported"]
    assert plane.recover().clean


@needs_qemu_img
def test_disks_out_of_virtual_appliances_are_read(plane: RawImagePlane, disk: Path) -> None:
    file = disk.with_suffix(".packed")
    argv = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run([*argv, str(disk), str(file)], check=True)
    assert detect(file, file.stat().st_size) == VMDK
    assert plane.import_file("imported", file).path.read_bytes() == disk.read_bytes()


@needs_qemu_img
@pytest.mark.parametrize("table", ["gpt", "dos"])
def test_the_root_partition_is_found(plane: RawImagePlane, disk: Path, table: str) -> None:
    partition(disk, table, disk.parent / "tree")
    plane.import_file("imported", converted(disk, DYNAMIC_VHD))
    seen = plane.inspect("imported")
    assert (seen.partition_table, seen.partition_offset, seen.partition_size) == (
        table,
        10240 * 512,
        30 * MIB,
    )
    assert (seen.filesystem, seen.os_id, seen.agent_sku) == ("ext4", "debian", "batch.node.debian 12")


def test_raw_files_are_taken_as_they_are(plane: RawImagePlane, tmp_path: Path) -> None:
    file = tmp_path / "odd.img"
    file.write_bytes(os.urandom(MIB + 100))
    assert detect(file, file.stat().st_size) == RAW
    made = plane.import_file("raw", file)
    assert made.size_bytes == MIB + 4096
    assert made.path.read_bytes() == file.read_bytes().ljust(MIB + 4096, b"\0")
    cut = plane.import_file("cut", file, MIB)
    assert cut.path.read_bytes() == file.read_bytes()[:MIB]


@needs_qemu_img
def test_other_programs_read_our_footer(disk: Path) -> None:
    footer = vhd.fixed_footer(SIZE, UUID(int=7), 1_700_000_000)
    with disk.open("ab") as file:
        file.write(footer)
    assert vhd.parse_footer(footer) == vhd.Footer(vhd.FIXED, SIZE)
    seen = subprocess.run(
        ["qemu-img", "compare", "-f", "vpc", "-F", "vpc", str(disk), str(disk)],
        check=True,
        capture_output=True,
    )
    assert b"identical" in seen.stdout
    told = subprocess.run(
        ["qemu-img", "info", "-f", "vpc", str(disk)], check=True, capture_output=True, text=True
    )
    assert f"({SIZE} bytes)" in told.stdout
    checked = subprocess.run(
        ["qemu-img", "convert", "-f", "vpc", "-O", "raw", str(disk), f"{disk}.back"], check=False
    )
    assert checked.returncode == 0
    assert Path(f"{disk}.back").read_bytes() == disk.read_bytes()[:SIZE]


@needs_qemu_img
def test_images_that_name_other_files_are_refused(plane: RawImagePlane, disk: Path) -> None:
    backed = disk.with_suffix(".backed")
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk), str(backed)]
    subprocess.run(argv, check=True)
    outside = disk.with_suffix(".outside")
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={disk}.data,data_file_raw=on"]
    subprocess.run([*argv, str(outside), "8M"], check=True)
    parts, child, parent = (disk.with_suffix(f".{name}.vmdk") for name in ("parts", "child", "parent"))
    for extra in (["-o", "subformat=monolithicFlat", str(parts)], [str(parent)]):
        subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", *extra, "8M"], check=True)
    argv = ["qemu-img", "create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", str(parent), str(child)]
    subprocess.run(argv, check=True)
    for file in (backed, outside, parts, child):
        with pytest.raises(UnsupportedImage, match="other file"):
            plane.import_file("stolen", file)
    assert plane.list() == ()
    assert plane.recover().clean


def test_damaged_and_foreign_files_are_refused(plane: RawImagePlane, disk: Path) -> None:
    wrong = bytearray(vhd.fixed_footer(SIZE, UUID(int=7), 0))
    wrong[70] ^= 1
    other = vhd.fixed_footer(SIZE // 2, UUID(int=7), 0)
    bad = disk.with_suffix(".bad")
    for footer, reason in ((bytes(wrong), "checksum"), (other, "speaks of")):
        bad.write_bytes(disk.read_bytes() + footer)
        with pytest.raises(UnsupportedImage, match=reason):
            plane.import_file("bad", bad)
    bad.write_bytes(b"KDMV" + bytes(MIB))
    with pytest.raises(UnsupportedImage, match="in other files"):
        plane.import_file("bad", bad)
    assert plane.list() == ()


@pytest.mark.needs_root
@pytest.mark.parametrize("packing", ["", "gz", "xz"])
def test_an_archive_becomes_a_disk(plane: RawImagePlane, tmp_path: Path, packing: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: files of the archive keep their owners")
    archive = tmp_path / "root.tar"
    with tarfile.open(archive, f"w:{packing}") as tar:  # type: ignore[call-overload]
        member = tarfile.TarInfo("usr/lib/os-release")
        member.size, member.uid, member.mode = len(OS_RELEASE), 1234, 0o4755
        tar.addfile(member, io.BytesIO(OS_RELEASE.encode()))
        escape = tarfile.TarInfo("../escaped")
        tar.addfile(escape)
    with pytest.raises(UnsupportedImage, match=r"Member name contains '\.\.'|cannot be unpacked"):
        plane.import_file("escaping", archive)
    with tarfile.open(archive, f"w:{packing}") as tar:  # type: ignore[call-overload]
        tar.addfile(member, io.BytesIO(OS_RELEASE.encode()))
    made = plane.import_file("imported", archive)
    assert plane.inspect("imported").os_pretty == "Tiny 12"
    shown = subprocess.run(
        ["debugfs", "-R", "stat /usr/lib/os-release", str(made.path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "User:  1234" in shown.stdout
    assert "Mode:  04755" in shown.stdout
    assert plane.recover().clean


def test_ranges_of_a_disk(plane: RawImagePlane) -> None:
    plane.create_empty("disk", 4 * MIB)
    plane.write("disk", AT, b"\1" * MIB)
    assert plane.read("disk", AT - 1, 3) == b"\0\1\1"
    plane.clear("disk", AT + 4096, MIB - 4096)
    assert plane.read("disk", AT, 4097) == b"\1" * 4096 + b"\0"
    assert plane.get("disk").allocated_bytes <= 64 * 1024
    assert plane.read("disk", 4 * MIB - 1, 10) == b"\0"
    for offset, length in ((-1, 1), (4 * MIB, 1), (4 * MIB - 1, 2)):
        with pytest.raises(InvalidDiskArgument, match="offset"):
            plane.write("disk", offset, bytes(length))
