"""A corrected copy of an OS disk: what lint finds and may safely be taken away is gone from it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from poolwright.images import corrector
from poolwright.images.base import BuildFailed, UnsupportedImage
from poolwright.images.inspect import EXT, inspect_disk
from poolwright.images.programs import run

_TIMEOUT_S = 1800.0
# In a mount namespace of its own: however this ends, the mount and its loop device go with the last process.
_MOUNTED = (
    'mount -t "$1" -o "rw,loop,offset=$2,sizelimit=$3,nosuid,nodev,noexec" "$4" /mnt '
    '&& "$5" -I "$6" /mnt && umount /mnt'
)


def correct(path: Path) -> None:
    """Apply the rules of corrector.py to the root file system on the raw disk at `path`, which nobody else uses.

    A file system that was not unmounted is put in order first. Raises UnsupportedImage, BuildFailed.
    """
    seen = inspect_disk(path)
    if seen.filesystem not in EXT:
        what = seen.filesystem or "no file system"
        raise UnsupportedImage(f"the OS disk holds {what}; only ext2, ext3 and ext4 are corrected here")
    if os.geteuid() != 0:
        raise UnsupportedImage("correcting an image needs root rights: its disk is mounted")
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        device = f"/proc/self/fd/{fd}?offset={seen.partition_offset}"
        # e2fsck(8): 1 = errors were corrected. What needs decisions is left to the image's owner.
        run(["e2fsck", "-f", "-p", device], timeout_s=_TIMEOUT_S, ok=(0, 1), pass_fds=[fd])
    except BuildFailed as error:
        raise UnsupportedImage(f"the file system needs repair by hand: {error.output}") from error
    finally:
        os.close(fd)
    size = seen.partition_size if seen.partition_table else seen.size_bytes
    words = [seen.filesystem, str(seen.partition_offset), str(size), str(path)]
    argv = ["unshare", "--mount", "sh", "-c", _MOUNTED, "sh", *words, sys.executable, corrector.__file__]
    run(argv, timeout_s=_TIMEOUT_S)
