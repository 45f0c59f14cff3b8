"""Making and growing ext4 file systems in raw files."""

from __future__ import annotations

from pathlib import Path

from poolwright.images.base import BuildFailed
from poolwright.images.programs import run

MKE2FS_TIMEOUT_S = 900.0
RESERVED_PERCENT = 1
"""Blocks only root may fill; the default of 5 % would cost gigabytes of a data disk."""


def grow_ext(path: Path) -> None:
    """Let the ext2/3/4 file system that fills the start of a file fill all of it; it must not be mounted.

    Raises BuildFailed. A file system with errors that need decisions is left to its owner (e2fsck -p refuses it).
    """
    # e2fsck(8): 1 = errors were corrected.
    run(["e2fsck", "-f", "-p", str(path)], timeout_s=MKE2FS_TIMEOUT_S, ok=(0, 1))
    run(["resize2fs", str(path)], timeout_s=MKE2FS_TIMEOUT_S)


def make_ext4(path: Path, *, label: str, tree: Path | None = None) -> None:
    """Make ext4 on the whole of a file of zeros, filled with the directory ``tree`` if given. Raises BuildFailed.

    The file is known to be zeros, so e2fsprogs 1.47 is told not to write any: a fresh file system then occupies a
    few hundred KiB whatever its size, and the kernel has no inode tables left to clear after the first mount.
    """
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-m", str(RESERVED_PERCENT)]
    argv += ["-d", str(tree)] if tree else []
    zeroed = ["-E", "root_owner=0:0,assume_storage_prezeroed=1"]
    older = ["-E", "root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1"]
    try:
        run([*argv, *zeroed, str(path)], timeout_s=MKE2FS_TIMEOUT_S)
    except BuildFailed as error:
        if "assume_storage_prezeroed" not in error.output:
            raise
        run([*argv, *older, str(path)], timeout_s=MKE2FS_TIMEOUT_S)
