"""Archives made into disks: a tar of a root file system, or a container image."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from poolwright.images.base import SECTOR_GRANULE_BYTES, BuildFailed, UnsupportedImage
from poolwright.images.filesystem import make_ext4
from poolwright.images.layout import remove_tree
from poolwright.images.oci import open_archive
from poolwright.images.programs import run
from poolwright.images.sparse import make_empty

UNPACK_TIMEOUT_S = 3600.0
TAR_SLACK_BYTES = 1024**3
"""Room that a root file system from an archive gets beyond twice its files; a sparse disk costs what is written."""


def unpack_archive(source: Path, target: Path) -> None:
    """Make `target`, which must not exist, a disk with the root file system in the archive `source`.

    Raises UnsupportedImage, BuildFailed; OSError for a full disk.
    """
    if os.geteuid() != 0:
        raise UnsupportedImage(
            "a root file system from an archive needs root rights: its files keep their owners"
        )
    tree = target.parent / "tree"
    tree.mkdir(mode=0o755)
    try:
        with open_archive(source) as container:
            if container is not None:
                container.unpack(tree)
            else:
                _untar(source, tree)
        if not any((tree / name).is_dir() or (tree / name).is_symlink() for name in ("usr", "bin", "etc")):
            raise UnsupportedImage(
                "the archive holds no root file system: neither /usr, /bin nor /etc is in it"
            )
        size = 2 * _used(tree) + TAR_SLACK_BYTES
        make_empty(target, size_bytes=-(-size // SECTOR_GRANULE_BYTES) * SECTOR_GRANULE_BYTES)
        make_ext4(target, label="rootfs", tree=tree)
    finally:
        remove_tree(tree)


def _untar(source: Path, tree: Path) -> None:
    # GNU tar neither leaves the directory by ".." or "/" nor follows links made by the archive itself.
    argv = ["tar", "--extract", f"--file={source}", f"--directory={tree}", "--numeric-owner", "--same-owner"]
    argv += ["--preserve-permissions", "--xattrs", "--xattrs-include=*", "--force-local"]
    try:
        run(argv, timeout_s=UNPACK_TIMEOUT_S)
    except BuildFailed as error:
        raise UnsupportedImage(f"the archive cannot be unpacked: {error.output}") from error


def _used(tree: Path) -> int:
    total = 0
    for directory, _, files in os.walk(tree):
        for name in files:
            status = os.lstat(os.path.join(directory, name))
            total += status.st_size if stat.S_ISREG(status.st_mode) else 0
            total += SECTOR_GRANULE_BYTES
        total += SECTOR_GRANULE_BYTES
    return total
