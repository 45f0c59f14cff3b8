"""Directories of a node, written and read from the host's side. No path and no symbolic link leads out of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from poolwright.agent import syscalls
from poolwright.agent.layout import TRASH
from poolwright.transfer.failures import TransferFailed, disk_errors
from poolwright.transfer.patterns import ANY_DIRECTORIES, Pattern, fits

DIRECTORY_MODE = 0o770
_PARENT_MODE = 0o755
_PART = ".poolwright-part"
_DEPTH_MAX = 64
#: Files one pattern may name: more are a mistake, and would fill the worker's memory.
FOUND_MAX = 100_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class Target:
    """A directory that files are written to. What is made there belongs to the owner of the node's root directory,
    until the node's agent hands it to the task's user."""

    def __init__(self, fd: int, uid: int, gid: int, directory_mode: int = DIRECTORY_MODE) -> None:
        self._fd = fd
        self._owner = (uid, gid)
        self._mode = directory_mode

    def close(self) -> None:
        os.close(self._fd)

    def make_directory(self, path: str) -> int:
        """Open a directory, made with its parents where missing; the caller closes it. Raises TransferFailed."""
        with disk_errors("ResourceDirectoryCreateFailed", path):
            return down(self._fd, split(path), self._mode, self._owner)

    def directory(self, path: str) -> None:
        """A directory, made with its parents where missing. Raises TransferFailed."""
        os.close(self.make_directory(path))

    @contextlib.contextmanager
    def file(self, path: str, mode: int) -> Iterator[BinaryIO]:
        """A new file, which takes its name when the block ends well. Raises TransferFailed."""
        parent, _, name = path.rpartition("/")
        directory = self.make_directory(parent)
        part = f".{secrets.token_hex(8)}{_PART}"
        try:
            with disk_errors("ResourceFileCreateFailed", path):
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                fd = os.open(part, flags, 0o600, dir_fd=directory)
            done = False
            try:
                with os.fdopen(fd, "w+b", buffering=0) as stream:
                    yield stream
                    with disk_errors("ResourceFileCreateFailed", path):
                        os.fchown(fd, *self._owner)
                        os.fchmod(fd, mode & 0o777)
                        os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
                    done = True
            finally:
                if not done:
                    with contextlib.suppress(OSError):
                        os.unlink(part, dir_fd=directory)
        finally:
            os.close(directory)

    def link(self, path: str, text: str) -> None:
        """A symbolic link; what is there already must not be. Raises TransferFailed."""
        parent, _, name = path.rpartition("/")
        directory = self.make_directory(parent)
        try:
            with disk_errors("ResourceFileCreateFailed", path):
                os.symlink(text, name, dir_fd=directory)
                os.chown(name, *self._owner, dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(directory)

    def only(self, path: str) -> Target:
        """A directory below, in the place of this one, which is closed. Raises TransferFailed."""
        try:
            return Target(self.make_directory(path), *self._owner, self._mode)
        finally:
            self.close()


def split(path: str) -> list[str]:
    """The parts of a relative path. Raises TransferFailed when it leads upwards or is absolute."""
    if path.startswith("/") or "\0" in path or any(part == ".." for part in path.split("/")):
        raise TransferFailed(
            "ResourceFileCreateFailed", f"{path}: leads out of the working directory", (("FilePath", path),)
        )
    return [part for part in path.split("/") if part not in ("", ".")]


def prepare(root: str, directory: str, *, fresh: bool, shared: bool = False) -> Target:
    """The directory of a task (or start task) below a node's root; returns its `wd`, or itself if it is `shared`.
    What was there before goes to the node's trash if it is to be `fresh`. Raises TransferFailed."""
    with disk_errors("ResourceDirectoryCreateFailed", directory):
        top = os.open(root, _DIRECTORY | os.O_CLOEXEC)
    try:
        with disk_errors("ResourceDirectoryCreateFailed", directory):
            *parents, name = split(directory)
            holder = down(top, parents, _PARENT_MODE, owner(top))
            try:
                if fresh:
                    discard(top, holder, name)
                task = Target(os.dup(holder), *owner(top)).only(name)
            finally:
                os.close(holder)
            return task if shared else task.only("wd")
    finally:
        os.close(top)


def owner(root: int) -> tuple[int, int]:
    """The owner (user, group) of an open directory."""
    status = os.fstat(root)
    return status.st_uid, status.st_gid


def down(start: int, parts: list[str], mode: int, owned: tuple[int, int]) -> int:
    """The directory that `parts` lead to, made where missing; the caller closes it. Only what is open is changed: a
    name may be a link by the time it is used again."""
    fd = os.dup(start)
    try:
        for part in parts:
            made = True
            try:
                os.mkdir(part, 0o700, dir_fd=fd)
            except FileExistsError:
                made = False
            inner = step(fd, part)
            os.close(fd)
            fd = inner
            if made:
                os.fchown(fd, *owned)
                os.fchmod(fd, mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def discard(top: int, holder: int, name: str) -> None:
    """Move what has this name to the trash below `top`; nothing there is fine. Raises OSError."""
    try:
        status = os.stat(name, dir_fd=holder, follow_symlinks=False)
    except FileNotFoundError:
        return
    trash = step(top, TRASH)
    try:
        grave = f"transfer-{status.st_ino}-{status.st_ctime_ns}"
        os.rename(name, grave, src_dir_fd=holder, dst_dir_fd=trash)
    finally:
        os.close(trash)


def step(fd: int, name: str) -> int:
    """One directory further down, never through a link."""
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)


@dataclass(frozen=True, slots=True)
class Found:
    """A file that fits a pattern: its path below the node's root, and its name below the pattern's fixed directory."""

    path: str
    name: str


class Origin:
    """What a task may read of its node, with the rights of the task's own user."""

    def __init__(self, root: str, directory: str) -> None:
        """`directory` is the task's, below `root`. Raises OSError when it is not there."""
        self._root = os.open(root, _DIRECTORY | os.O_CLOEXEC)
        fd = syscalls.open_beneath(self._root, directory, os.O_PATH)
        try:
            task, top = os.fstat(fd), os.fstat(self._root)
        finally:
            os.close(fd)
        #: Host ids of the task's user; None for the node's administrator, who may read all of the node.
        self.owner = None if task.st_uid == top.st_uid else (task.st_uid, task.st_gid)

    def close(self) -> None:
        """Let go of the node's root."""
        os.close(self._root)

    @contextlib.contextmanager
    def _rights(self) -> Iterator[None]:
        """This thread acts on files as the task's user; only for as long as it takes, since Python itself may have to
        load something at any moment."""
        if self.owner is None:
            yield
            return
        syscalls.set_fs_ids(*self.owner)
        try:
            yield
        finally:
            syscalls.set_fs_ids(0, 0)

    def open(self, path: str) -> BinaryIO:
        """A regular file for reading. Raises OSError."""
        with self._rights():
            fd = syscalls.open_beneath(self._root, path, os.O_RDONLY | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(0, "not a regular file", path)
        return os.fdopen(fd, "rb")

    def write(self, path: str, text: str) -> None:
        """A small file of ours in the task's directory; one that is there is replaced. Raises OSError."""
        data = text.encode()
        parent, _, name = path.rpartition("/")
        with self._rights():
            holder = syscalls.open_beneath(self._root, parent, _DIRECTORY)
            try:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=holder)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                fd = os.open(name, flags, 0o600, dir_fd=holder)
            finally:
                os.close(holder)
        with os.fdopen(fd, "wb") as stream:
            os.fchmod(fd, 0o640)
            if self.owner is None:
                top = os.fstat(self._root)
                os.fchown(fd, top.st_uid, top.st_gid)
            stream.write(data)

    def find(self, pattern: Pattern) -> list[Found]:
        """Regular files (and links to such) that fit, in order of name; links to directories are not entered."""
        found: list[Found] = []
        with self._rights():
            try:
                fd = syscalls.open_beneath(self._root, pattern.base or ".", _DIRECTORY)
            except OSError:
                return []
            try:
                self._walk(fd, pattern.base, "", list(pattern.parts), found, _DEPTH_MAX)
            finally:
                os.close(fd)
        return sorted(set(found), key=lambda one: one.name)

    def _walk(self, fd: int, base: str, name: str, parts: list[str], found: list[Found], depth: int) -> None:
        part, rest = parts[0], parts[1:]
        if depth == 0 or len(found) >= FOUND_MAX:
            return
        if part == ANY_DIRECTORIES:
            if rest:
                self._walk(fd, base, name, rest, found, depth - 1)
            else:
                part = "*"
        for entry in _names(fd):
            directory = _is_directory(fd, entry)
            if part == ANY_DIRECTORIES or (parts[0] == ANY_DIRECTORIES and directory):
                if directory and not entry.startswith("."):
                    self._enter(fd, base, f"{name}{entry}/", entry, parts, found, depth)
                continue
            if not fits(part, entry):
                continue
            if rest:
                if directory:
                    self._enter(fd, base, f"{name}{entry}/", entry, rest, found, depth)
            elif not directory:
                path = f"{base}/{name}{entry}" if base else f"{name}{entry}"
                found.append(Found(path, f"{name}{entry}"))

    def _enter(
        self, fd: int, base: str, name: str, entry: str, parts: list[str], found: list[Found], depth: int
    ) -> None:
        try:
            inner = step(fd, entry)
        except OSError:
            return
        try:
            self._walk(inner, base, name, parts, found, depth - 1)
        finally:
            os.close(inner)


def _names(fd: int) -> list[str]:
    """What is in a directory that may not be readable."""
    try:
        return sorted(os.listdir(fd))
    except OSError:
        return []


def _is_directory(fd: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except OSError:
        return False
