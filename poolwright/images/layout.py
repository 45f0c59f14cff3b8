"""Where disks live on disk, and how one comes and goes in a single rename.

    <root>/disks/<name>/disk.raw     the raw image; mode 0444 once frozen
    <root>/disks/<name>/frozen.json  there exactly when the disk is frozen: its digest
    <root>/content/<digest>          one more hard link to each frozen content, so that equal ones share a file
    <root>/tmp/<name>.<random>/      disks being made or removed; nothing in here is ever needed after a restart

A disk is one directory, made under tmp/ and renamed into disks/; it is removed by renaming it back. A lock is a
flock(2) on the disk's directory: it ends with the process and works between threads.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poolwright.images.base import DiskBusy, DiskExists, DiskInfo, DiskName, DiskNotFound
from poolwright.images.sparse import sync_directory

RAW = "disk.raw"
FROZEN = "frozen.json"
FROZEN_NEW = "frozen.json.new"
LOCK_POLL_S = 0.02
SECTOR_BYTES = 512
"""Unit of st_blocks, stat(2)."""
_LOOPS = Path("/sys/block")


class DiskDirectory:
    """One tree of disks. ``lock_timeout_s`` bounds the wait for a disk another call is working on.

    ``make``: its directories are made when they are missing.
    """

    def __init__(self, root: Path, *, lock_timeout_s: float = 30.0, make: bool = True) -> None:
        self.root = root
        self.disks, self.content, self.tmp = root / "disks", root / "content", root / "tmp"
        self._lock_timeout_s = lock_timeout_s
        for directory in (root, self.disks, self.content, self.tmp) if make else ():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def raw(self, name: DiskName) -> Path:
        return self.disks / name / RAW

    def exists(self, name: DiskName) -> bool:
        return self.raw(name).exists()

    def names(self) -> list[DiskName]:
        return sorted(entry.name for entry in os.scandir(self.disks) if entry.is_dir(follow_symlinks=False))

    def info(self, name: DiskName) -> DiskInfo:
        """Raises DiskNotFound."""
        path = self.raw(name)
        try:
            status = path.stat()
        except FileNotFoundError:
            raise DiskNotFound(name) from None
        digest = self.digest(name)
        return DiskInfo(
            name, digest is not None, status.st_size, status.st_blocks * SECTOR_BYTES, digest, path
        )

    def digest(self, name: DiskName) -> str | None:
        """The recorded digest of a frozen disk, None while it is writable."""
        record = self.record(name)
        return None if record is None else str(record["digest"])

    def record(self, name: DiskName) -> dict[str, Any] | None:
        try:
            text = (self.disks / name / FROZEN).read_text()
        except FileNotFoundError:
            return None
        record: dict[str, Any] = json.loads(text)
        return record

    def make_temp(self, name: DiskName) -> Path:
        """A new directory under tmp/ in which the disk is put together."""
        return Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self.tmp))

    def publish(self, temp: Path, name: DiskName) -> None:
        """Make the finished directory the disk ``name``. Raises DiskExists."""
        sync_directory(temp)
        try:
            os.rename(temp, self.disks / name)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise DiskExists(name) from None
            raise
        sync_directory(self.disks)

    def retract(self, name: DiskName) -> Path:
        """Take the disk out of disks/ in one step; the directory returned is rubbish to be removed."""
        rubbish = self.make_temp(name)
        try:
            os.rename(self.disks / name, rubbish)
        except OSError:
            rubbish.rmdir()
            raise
        sync_directory(self.disks)
        return rubbish

    @contextmanager
    def lock(self, name: DiskName, *, shared: bool = False, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the disk. Raises DiskNotFound, DiskBusy when another call keeps it longer than the time-out."""
        try:
            fd = os.open(self.disks / name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise DiskNotFound(name) from None
        try:
            limit = self._lock_timeout_s if timeout_s is None else timeout_s
            if not wait_for_lock(fd, shared=shared, timeout_s=limit):
                raise DiskBusy(name, "another operation on it is still running")
            if not _same(fd, self.disks / name):  # deleted, and perhaps made anew, while this call waited
                raise DiskNotFound(name)
            yield
        finally:
            os.close(fd)

    def refuse_attached(self, name: DiskName, *, writable_only: bool = False) -> None:
        """Raises DiskBusy when a loop device of this host uses the disk."""
        device = loop_device(self.raw(name), writable_only=writable_only)
        if device is not None:
            raise DiskBusy(name, f"it is attached to the loop device {device}")


def write_record(directory: Path, record: dict[str, Any]) -> None:
    """Write frozen.json into a disk's directory so that it is there whole or not at all."""
    temp = directory / FROZEN_NEW
    with open(temp, "w", encoding="utf-8") as file:
        json.dump(record, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temp, directory / FROZEN)
    sync_directory(directory)


def wait_for_lock(fd: int, *, shared: bool, timeout_s: float) -> bool:
    """flock(2) with a time-out; False when it passed."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOCK_POLL_S)


def loop_device(path: Path, *, writable_only: bool = False) -> str | None:
    """A loop device that is backed by ``path``, as its kernel name."""
    wanted = str(path.resolve())
    for backing in _LOOPS.glob("loop*/loop/backing_file"):
        try:
            if backing.read_text().rstrip("\n") != wanted:
                continue
            if writable_only and (backing.parent.parent / "ro").read_text().strip() == "1":
                continue
        except OSError:  # detached meanwhile
            continue
        return backing.parent.parent.name
    return None


def remove_tree(path: Path) -> None:
    """Remove a file or directory; what is gone already is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=False)
    else:
        path.unlink(missing_ok=True)


def _same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
