"""A real small file system that a test can fill: ext4 in a file, mounted by a loop device."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1 << 20


@contextmanager
def small_disk(directory: Path, mib: int) -> Iterator[Path]:
    """A directory with a file system of its own; unmounted afterwards."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists() or shutil.which("mke2fs") is None:
        pytest.skip("a small disk needs root, loop devices and mke2fs")
    image, place = directory / "small.img", directory / "small"
    place.mkdir(parents=True)
    with image.open("wb") as stream:
        stream.truncate(mib * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", str(image)], check=True)
    with _mounted(place, "-o", "loop", str(image)):
        yield place


@contextmanager
def small_memory(directory: Path, mib: int) -> Iterator[Path]:
    """The same in memory: nothing of it is left when others have copied the mount table meanwhile."""
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root to mount it")
    place = directory / "small"
    place.mkdir(parents=True)
    with _mounted(place, "-t", "tmpfs", "-o", f"size={mib}m", "small"):
        yield place


@contextmanager
def _mounted(place: Path, *how: str) -> Iterator[None]:
    subprocess.run(["mount", *how, str(place)], check=True)
    try:
        yield
    finally:
        left = subprocess.run(["umount", str(place)], check=False).returncode
        if left:  # something still uses it: take it out of sight, and say so
            subprocess.run(["umount", "-l", str(place)], check=True)
            raise AssertionError(f"{place} was still in use")


def fill(place: Path, leave_mib: int) -> Path:
    """Take the room of the disk, but for `leave_mib`; returns the file that holds it."""
    seen = os.statvfs(place)
    take = seen.f_bavail * seen.f_frsize - leave_mib * MIB
    filler = place / f"filler-{len(list(place.glob('filler-*')))}"
    with filler.open("wb") as stream:
        if take > 0:
            os.posix_fallocate(stream.fileno(), 0, take)
    return filler
