"""Copies of raw disk files that keep holes, and the syncs that make them last.

A copy shares extents with its source where the file system can (FICLONE: btrfs, xfs, bcachefs), else only the
source's data extents are copied (SEEK_DATA and SEEK_HOLE, lseek(2)).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from poolwright.images.base import InvalidDiskArgument

FICLONE = 0x40049409
"""_IOW(0x94, 9, int), ioctl_ficlone(2)."""
COPY_PIECE_BYTES = 32 * 1024**2
"""One system call's worth of copying: large enough to be cheap, small enough that a signal is served soon."""
PROBE_PIECE_BYTES = 1024**2
_KEEP_SIZE_AND_PUNCH = 0x01 | 0x02
"""FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE, fallocate(2)."""
_LIBC = ctypes.CDLL(None, use_errno=True)
_NO_REFLINK = {
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ETXTBSY,
    errno.EPERM,
}
_NO_RANGE_COPY = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS}


def make_empty(path: Path, *, size_bytes: int) -> None:
    """A new file of zeros that occupies nothing; InvalidDiskArgument when the file system cannot hold it."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        _set_size(fd, size_bytes)
    finally:
        os.close(fd)


def grow(path: Path, size_bytes: int) -> None:
    """Append a hole, synced."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _set_size(fd, size_bytes)
    finally:
        os.close(fd)


def is_zero(path: Path) -> bool:
    """Whether a disk reads as zeros only; holes are not read."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for start, end in data_extents(file.fileno(), size):
            for offset in range(start, end, PROBE_PIECE_BYTES):
                if any(os.pread(file.fileno(), min(PROBE_PIECE_BYTES, end - offset), offset)):
                    return False
    return True


def copy_disk(source: Path, target: Path) -> bool:
    """Make ``target`` (which must not exist) a copy of ``source``, synced; True when it shares the source's extents."""
    with open(source, "rb", buffering=0) as src, open(target, "xb", buffering=0) as dst:
        os.fchmod(dst.fileno(), 0o600)
        shared = _reflink(src.fileno(), dst.fileno())
        if not shared:
            size = os.fstat(src.fileno()).st_size
            os.ftruncate(dst.fileno(), size)
            for start, end in data_extents(src.fileno(), size):
                _copy_range(src.fileno(), dst.fileno(), start, end)
        os.fsync(dst.fileno())
    return shared


def punch(fd: int, offset: int, length: int) -> None:
    """Make a range of an open file zeros, as a hole where the file system can have holes there."""
    if length == 0:
        return
    failed = _LIBC.fallocate(fd, _KEEP_SIZE_AND_PUNCH, ctypes.c_long(offset), ctypes.c_long(length))
    if failed and ctypes.get_errno() not in _NO_RANGE_COPY:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if failed:
        for start in range(offset, offset + length, PROBE_PIECE_BYTES):
            write_all(fd, bytes(min(PROBE_PIECE_BYTES, offset + length - start)), start)


def link_file(source: Path, target: Path) -> bool:
    """Give the file a second name; False where that cannot be (another file system, too many names)."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
            return False
        raise
    return True


def data_extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Half-open byte ranges that may hold data, ascending; what lies between reads as zeros."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        if start >= size:
            return
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        yield start, end
        offset = end


def supports_reflinks(directory: Path) -> bool:
    """Whether two files in ``directory`` can share extents; tried for real on two nameless files."""
    with suppress(OSError), _nameless(directory) as one, _nameless(directory) as two:
        os.pwrite(one, b"\1" * 4096, 0)
        return _reflink(one, two)
    return False


def sync_file(path: Path) -> None:
    """fsync(2) of a file's data and size."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: Path) -> None:
    """fsync(2) of a directory: the names in it last."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _set_size(fd: int, size_bytes: int) -> None:
    try:
        os.ftruncate(fd, size_bytes)
    except OSError as error:
        if error.errno == errno.EFBIG:
            reason = "the file system of the image plane cannot hold a file that large"
            raise InvalidDiskArgument("size_bytes", size_bytes, reason) from error
        raise
    os.fsync(fd)


@contextmanager
def _nameless(directory: Path) -> Iterator[int]:
    fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _reflink(src: int, dst: int) -> bool:
    try:
        fcntl.ioctl(dst, FICLONE, src)
    except OSError as error:
        if error.errno in _NO_REFLINK:
            return False
        raise
    return True


def _copy_range(src: int, dst: int, start: int, end: int) -> None:
    offset = start
    while offset < end:
        want = min(end - offset, COPY_PIECE_BYTES)
        try:
            done = os.copy_file_range(src, dst, want, offset, offset)
        except OSError as error:
            if error.errno not in _NO_RANGE_COPY:
                raise
            done = write_all(dst, os.pread(src, min(want, PROBE_PIECE_BYTES), offset), offset)
        if done == 0:
            raise OSError(errno.EIO, "the source disk became shorter while it was being copied")
        offset += done


def write_all(fd: int, data: bytes, offset: int) -> int:
    """pwrite(2) until all is written; returns how much."""
    view, written = memoryview(data), 0
    while written < len(view):
        written += os.pwrite(fd, view[written:], offset + written)
    return written
