"""Application packages on a node: unpacked aside and put in place whole, used again while they are sound.

A package's directory is named by its content, so what is in place is current. A mark beside it names the boot of the
host in which it was written: after a crash of the host, when files may have lost their ends, it is unpacked again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from poolwright.transfer import archives, trees
from poolwright.transfer.archives import PACKAGE_ERROR
from poolwright.transfer.failures import TransferFailed, disk_errors

_MODE = 0o755
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Installation:
    """The archive `file` of an order, to be unpacked in directory `dir` below `root`. All raise TransferFailed.

    `begin`, then whoever unpacks writes what `stream` holds to `target`, then `finish`.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        with _named():
            self._top, self._holder, self._name = _place(str(order["root"]), str(order["dir"]))
        self._file = str(order["file"])
        self._boot = _BOOT.read_text()
        self._target: trees.Target | None = None
        self._stream: BinaryIO | None = None

    @property
    def target(self) -> trees.Target:
        assert self._target is not None
        return self._target

    @property
    def stream(self) -> BinaryIO:
        assert self._stream is not None
        return self._stream

    def begin(self) -> dict[str, Any] | None:
        """Make a place aside to unpack in; the outcome, when the package is there already."""
        if _is_sound(self._holder, self._name, self._boot):
            return {"ok": True, "files": 0, "bytes": 0, "reused": True}
        with _named():
            aside = _aside(self._name)
            with disk_errors(PACKAGE_ERROR, self._name):
                trees.discard(self._top, self._holder, aside)  # of an installation that was cut off
                fd = trees.down(self._holder, [aside], _MODE, trees.owner(self._top))
            self._target = trees.Target(fd, *trees.owner(self._top), directory_mode=_MODE)
            self._stream = _opened(self._file)
        return None

    def finish(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """Put in place what was unpacked whole; throw away what was not."""
        if not outcome.get("ok"):
            with contextlib.suppress(OSError):
                trees.discard(self._top, self._holder, _aside(self._name))
            return outcome
        with _named(), disk_errors(PACKAGE_ERROR, self._name):
            trees.discard(self._top, self._holder, self._name)
            os.rename(_aside(self._name), self._name, src_dir_fd=self._holder, dst_dir_fd=self._holder)
            _mark(self._holder, self._name, self._boot)
        return {**outcome, "reused": False}

    def close(self) -> None:
        """Let go of everything."""
        if self._stream is not None:
            self._stream.close()
        if self._target is not None:
            self._target.close()
        os.close(self._holder)
        os.close(self._top)


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except TransferFailed as failure:
        raise TransferFailed(PACKAGE_ERROR, str(failure), failure.details) from None


def unpack(stream: BinaryIO, target: archives.Target) -> dict[str, Any]:
    """Unpack all of an archive; returns the outcome. Raises TransferFailed."""
    with _named():
        files, size = archives.unpack(stream, target)
    return {"ok": True, "files": files, "bytes": size}


def _place(root: str, directory: str) -> tuple[int, int, str]:
    """The node's root and the directory of packages, open, and the package's name in it."""
    *parents, name = trees.split(directory)
    with disk_errors(PACKAGE_ERROR, directory):
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return top, trees.down(top, parents, _MODE, trees.owner(top)), name
        except BaseException:
            os.close(top)
            raise


def _opened(file: str) -> BinaryIO:
    try:
        return Path(file).open("rb")
    except FileNotFoundError:
        raise TransferFailed(PACKAGE_ERROR, "its content was deleted") from None
    except OSError as error:
        raise TransferFailed(PACKAGE_ERROR, f"its content cannot be read: {error.strerror}") from None


def _aside(name: str) -> str:
    return f".{name}.new"


def _is_sound(holder: int, name: str, boot: str) -> bool:
    try:
        fd = os.open(
            f".{name}.mark", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=holder
        )
    except OSError:
        return False
    with os.fdopen(fd, "rb") as mark:
        same = mark.read(100) == boot.encode()
    try:
        os.close(trees.step(holder, name))
    except OSError:
        return False
    return same


def _mark(holder: int, name: str, boot: str) -> None:
    mark = f".{name}.mark"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(mark, dir_fd=holder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(mark, flags, 0o644, dir_fd=holder), "wb") as stream:
        stream.write(boot.encode())
