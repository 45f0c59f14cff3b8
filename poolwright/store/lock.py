"""One service for one data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from poolwright.store.base import StoreError

LOCK_NAME = "poolwright.lock"


class DirectoryLock:
    """A lock on a data directory, held until `release` or the end of the process (then the kernel lets go)."""

    def __init__(self, directory: Path) -> None:
        """Take the lock. Raises StoreError naming the process that holds it."""
        path = directory / LOCK_NAME
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise StoreError(
                f"the data directory {directory} is in use by process {holder}: stop it or choose another one"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd: int | None = fd

    def release(self) -> None:
        """Let go; the file stays, so that no second process can lock a file that was removed."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None
