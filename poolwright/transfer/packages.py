"""Application packages on a node: unpacked aside and put in place whole, used again while they are sound.

A package's directory is named by its content, so what is in place is current. A mark beside it names the boot of the
host in which it was written: after a crash of the host, when files may have lost their ends, it is unpacked again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poolwright.transfer import archives, trees
from poolwright.transfer.archives import PACKAGE_ERROR
from poolwright.transfer.failures import TransferFailed, disk_errors

_MODE = 0o755
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def install(order: Mapping[str, Any]) -> dict[str, Any]:
    """Have the archive `file` unpacked in directory `dir` below `root`. Raises TransferFailed."""
    top, holder, name = _place(str(order["root"]), str(order["dir"]))
    try:
        boot = _BOOT.read_text()
        if _is_sound(holder, name, boot):
            return {"files": 0, "bytes": 0, "reused": True}
        files, size = _unpack(str(order["file"]), top, holder, name)
        with disk_errors(PACKAGE_ERROR, name):
            trees.discard(top, holder, name)
            os.rename(_aside(name), name, src_dir_fd=holder, dst_dir_fd=holder)
            _mark(holder, name, boot)
        return {"files": files, "bytes": size, "reused": False}
    except TransferFailed as failure:
        raise TransferFailed(PACKAGE_ERROR, str(failure), failure.details) from None
    finally:
        os.close(holder)
        os.close(top)


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


def _unpack(file: str, top: int, holder: int, name: str) -> tuple[int, int]:
    aside = _aside(name)
    with disk_errors(PACKAGE_ERROR, name):
        trees.discard(top, holder, aside)  # of an installation that was cut off
        fd = trees.down(holder, [aside], _MODE, trees.owner(top))
    target = trees.Target(fd, *trees.owner(top), directory_mode=_MODE)
    try:
        with _opened(file) as stream:
            return archives.unpack(stream, target)
    except BaseException:
        with contextlib.suppress(OSError):
            trees.discard(top, holder, aside)
        raise
    finally:
        target.close()


def _opened(file: str) -> Any:
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
