"""Files of a machine's temporary disk, read from the host's side. No path and no symbolic link leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from poolwright.agent import syscalls
from poolwright.agent.layout import CONTAINERS, TRASH

MAX_READ = 1024 * 1024
MAX_LISTED = 10_000
_MAX_DEPTH = 64
_HIDDEN = (TRASH, CONTAINERS)  # at the root: what is about to go, and what containers write


class PathError(Exception):
    """The path is not below the node's root directory, is missing, or is of the wrong kind. `kind` for the caller."""

    def __init__(self, message: str, kind: str = "Path") -> None:
        super().__init__(message)
        self.kind = kind


class Tree:
    """Files below one directory. Close after use."""

    def __init__(self, root: str) -> None:
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise PathError("this machine has no files here", "NotFound") from None

    def close(self) -> None:
        os.close(self._root)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def status(self, path: str) -> dict[str, Any]:
        """Kind, size, times and mode of one file."""
        fd = self._open(path, os.O_PATH)
        try:
            return _describe(os.fstat(fd), full=True)
        finally:
            os.close(fd)

    def read(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        """At most 1 MiB from `offset`, and the size of the file at this moment."""
        if offset < 0 or length < 0:
            raise PathError(f"offset {offset}, length {length}: must not be negative")
        fd = self._open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise PathError(f"{path}: not a regular file")
            return os.pread(fd, min(length, MAX_READ), offset), status.st_size
        finally:
            os.close(fd)

    def entries(
        self, directory: str, recursive: bool, limit: int, prefix: str, after: str = ""
    ) -> list[dict[str, Any]]:
        """Entries of a directory, relative to it; symbolic links are shown but not followed.

        They come in order of the parts of their paths, at most `limit` and MAX_LISTED of them: those behind are got
        with `after`, the last one's name.
        """
        fd = self._open(directory or ".", os.O_RDONLY | os.O_DIRECTORY)
        found: list[dict[str, Any]] = []
        limit = min(limit, MAX_LISTED)
        try:
            behind = after.split("/") if after else []
            self._walk(fd, "", recursive, limit, prefix, behind, found, _MAX_DEPTH)
        finally:
            os.close(fd)
        return found

    def _walk(
        self,
        fd: int,
        base: str,
        recursive: bool,
        limit: int,
        prefix: str,
        behind: list[str],
        found: list[dict[str, Any]],
        depth: int,
    ) -> None:
        for name in sorted(os.listdir(fd)):
            if len(found) >= limit:
                return
            path = base + name
            if not _printable(path) or (not base and name.startswith(_HIDDEN)):
                continue
            if behind and name < behind[0]:
                continue
            told = bool(behind) and name == behind[0]
            inside = behind[1:] if told else []
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if path.startswith(prefix) and not told:
                found.append({"name": path, **_describe(status, full=False)})
            related = path.startswith(prefix) or prefix.startswith(path + "/")
            if recursive and related and depth > 0 and stat.S_ISDIR(status.st_mode):
                try:
                    inner = os.open(
                        name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd
                    )
                except OSError:
                    continue
                try:
                    self._walk(inner, path + "/", recursive, limit, prefix, inside, found, depth - 1)
                finally:
                    os.close(inner)

    def delete(self, path: str, recursive: bool, mtime_us: int | None = None) -> str | None:
        """Delete a file or an empty directory. A full directory with `recursive` is moved to the trash instead:
        then the name it has there is returned, for the caller to delete at leisure. With `mtime_us` only what was
        not changed since."""
        parent, _, name = path.strip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise PathError(f"{path!r}: names no file")
        fd = self._open(parent or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if mtime_us is not None and status.st_mtime_ns // 1000 != mtime_us:
                raise PathError(f"{path}: was changed meanwhile")
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=fd)
                return None
            if not recursive:
                os.rmdir(name, dir_fd=fd)
                return None
            grave = f".trash/host-{status.st_ino}-{status.st_ctime_ns}"
            os.rename(name, grave, src_dir_fd=fd, dst_dir_fd=self._root)
            if os.stat(grave, dir_fd=self._root, follow_symlinks=False).st_ino != status.st_ino:
                os.rename(grave, name, src_dir_fd=self._root, dst_dir_fd=fd)  # replaced in this very moment
                raise PathError(f"{path}: was changed meanwhile")
            return grave
        except OSError as failure:
            raise _path_error(failure, path) from None
        finally:
            os.close(fd)

    def usage(self) -> dict[str, int]:
        """Room on the file system that holds the temporary disk."""
        numbers = os.fstatvfs(self._root)
        return {
            "free_bytes": numbers.f_bavail * numbers.f_frsize,
            "total_bytes": numbers.f_blocks * numbers.f_frsize,
        }

    def _open(self, path: str, flags: int) -> int:
        if "\0" in path:
            raise PathError("a path cannot contain a NUL character")
        try:
            return syscalls.open_beneath(self._root, path.strip("/") or ".", flags)
        except OSError as failure:
            raise _path_error(failure, path) from None


def _path_error(failure: OSError, path: str) -> PathError:
    if failure.errno in (errno.ENOENT, errno.ENOTDIR):
        return PathError(f"{path}: no such file", "NotFound")
    if failure.errno in (errno.EXDEV, errno.ELOOP):
        return PathError(f"{path}: leads out of the node's root directory")
    if failure.errno == errno.ENOTEMPTY:
        return PathError(f"{path}: is not empty", "NotEmpty")
    return PathError(f"{path}: {failure.strerror}")


def _describe(status: os.stat_result, *, full: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "is_dir": stat.S_ISDIR(status.st_mode),
        "size": status.st_size,
        "mtime_us": status.st_mtime_ns // 1000,
        "mode": stat.S_IMODE(status.st_mode),
    }
    if full:
        described["ctime_us"] = status.st_ctime_ns // 1000
    return described


def _printable(name: str) -> bool:
    """Names that are no UTF-8 cannot be told in JSON."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
