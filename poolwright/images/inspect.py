"""Looking into a raw disk: partition table, file systems and the operating system's release.

Nothing is ever mounted writable. ext2/3/4 is read by debugfs without any mount, other file systems in a mount
namespace of their own that goes away with the reading process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from poolwright.images.base import Inspection
from poolwright.images.osrelease import OsRelease, parse_os_release
from poolwright.images.programs import read_bounded, run

PROBE_TIMEOUT_S = 60.0
MAX_RELEASE_BYTES = 64 * 1024
"""An os-release file has some hundred bytes; a disk may hold anything under that name."""
MAX_PARTITIONS = 128
"""The default size of a GPT's table (UEFI specification 5.3)."""
_SECTOR_BYTES = 512
EXT = frozenset({"ext2", "ext3", "ext4"})
_MOUNTABLE = frozenset({"xfs", "btrfs", "f2fs"})
_QUIET_OPTIONS = {"xfs": "ro,norecovery", "btrfs": "ro,rescue=nologreplay", "f2fs": "ro,norecovery"}
"""A read-only loop device cannot replay a journal."""
# A symbolic link in the image must not lead to a file of the host, so only the file's real place is read.
_READ_MOUNTED = (
    'mount -t "$1" -o "$2,loop,offset=$3,sizelimit=$4,nosuid,nodev,noexec" "$5" /mnt && cd /mnt '
    "&& [ ! -L usr ] && [ ! -L usr/lib ] && [ ! -L usr/lib/os-release ] && exec cat usr/lib/os-release"
)


@dataclass(frozen=True, slots=True)
class _Volume:
    offset: int
    size: int
    filesystem: str | None
    label: str | None
    uuid: str | None


def inspect_disk(path: Path) -> Inspection:
    """What is on the raw disk at ``path``; raises UnsupportedImage when a needed program is missing."""
    size = path.stat().st_size
    whole = _probe(path, 0)
    table = whole.get("PTTYPE") if "TYPE" not in whole else None
    volumes = _partitions(path) if table else [_volume(whole, 0, size)]
    chosen, release = _root_volume(path, volumes)
    if chosen is None:
        return Inspection(size_bytes=size, partition_table=table)
    return Inspection(
        size_bytes=size,
        partition_table=table,
        partition_offset=chosen.offset,
        partition_size=chosen.size,
        filesystem=chosen.filesystem,
        label=chosen.label,
        uuid=chosen.uuid,
        os_id=release.id if release else None,
        os_version=release.version_id if release else None,
        os_pretty=release.pretty_name if release else None,
        agent_sku=release.agent_sku if release else None,
    )


def _root_volume(path: Path, volumes: list[_Volume]) -> tuple[_Volume | None, OsRelease | None]:
    known = [volume for volume in volumes if volume.filesystem]
    for volume in known:
        release = _release(path, volume)
        if release is not None:
            return volume, release
    return (known[0] if known else None), None


def _probe(path: Path, offset: int) -> dict[str, str]:
    # blkid(8): exit 2 = nothing known found, 8 = contradicting signatures; neither is a failure here.
    argv = ["blkid", "-p", "-o", "export", "-O", str(offset), str(path)]
    pairs = (line.partition("=") for line in run(argv, timeout_s=PROBE_TIMEOUT_S, ok=(0, 2, 8)).splitlines())
    return {key: value.replace("\\ ", " ") for key, equals, value in pairs if equals}


def _volume(found: dict[str, str], offset: int, size: int) -> _Volume:
    return _Volume(offset, size, found.get("TYPE"), found.get("LABEL"), found.get("UUID"))


def _partitions(path: Path) -> list[_Volume]:
    argv = ["partx", "--raw", "--bytes", "--noheadings", "-o", "START,SECTORS", str(path)]
    rows = run(argv, timeout_s=PROBE_TIMEOUT_S, ok=(0, 1)).splitlines()[:MAX_PARTITIONS]
    spans = [tuple(int(word) * _SECTOR_BYTES for word in row.split()) for row in rows if row.strip()]
    return [_volume(_probe(path, start), start, length) for start, length in spans]


def _release(path: Path, volume: _Volume) -> OsRelease | None:
    if volume.filesystem in EXT:
        text = _cat_ext(path, volume.offset, "/usr/lib/os-release") or _cat_ext(
            path, volume.offset, "/etc/os-release"
        )
    elif volume.filesystem in _MOUNTABLE and os.geteuid() == 0:
        text = _cat_mounted(path, volume)
    else:
        return None
    return parse_os_release(text.decode(errors="replace"))


def _cat_ext(path: Path, offset: int, name: str) -> bytes:
    # The disk goes in as an open file: libext2fs takes what follows a '?' in a path as options, and here one is wanted.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        argv = ["debugfs", "-R", f"cat {name}", f"/proc/self/fd/{fd}?offset={offset}"]
        return read_bounded(argv, limit=MAX_RELEASE_BYTES, timeout_s=PROBE_TIMEOUT_S, pass_fds=[fd])
    finally:
        os.close(fd)


def _cat_mounted(path: Path, volume: _Volume) -> bytes:
    assert volume.filesystem is not None
    words = [
        volume.filesystem,
        _QUIET_OPTIONS[volume.filesystem],
        str(volume.offset),
        str(volume.size),
        str(path),
    ]
    argv = ["unshare", "--mount", "sh", "-c", _READ_MOUNTED, "sh", *words]
    return read_bounded(argv, limit=MAX_RELEASE_BYTES, timeout_s=PROBE_TIMEOUT_S)
