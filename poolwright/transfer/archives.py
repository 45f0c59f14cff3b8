"""Zip archives of application packages: what they may hold, and unpacking that stays where it was sent.

The names in an archive are its author's: no entry, no link and no size in it is believed. What is written goes through
open directories only (trees.py), so not even a link that was just unpacked leads an entry elsewhere.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from poolwright.transfer.failures import TransferFailed, disk_errors

ENTRIES_MAX = 200_000  # more are a mistake, and would fill the worker's memory
UNPACKED_MAX = 256 * 1024**3  # bytes: beyond any program, and before a small file fills a large disk
_PATH_MAX, _NAME_MAX, _DEPTH_MAX = 3000, 255, 64
_LINK_MAX = 4096
_PIECE = 1024 * 1024
PACKAGE_ERROR = "ApplicationPackageError"


class Target(Protocol):
    """Where an archive is unpacked; see hands.py, TargetFiles."""

    def file(self, path: str, mode: int) -> AbstractContextManager[BinaryIO]: ...
    def directory(self, path: str) -> None: ...
    def link(self, path: str, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of an archive: its path below the package, and its mode with file type."""

    info: zipfile.ZipInfo
    path: str
    mode: int

    @property
    def directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def link(self) -> bool:
        return stat.S_ISLNK(self.mode)


def failed(text: str, path: str = "") -> TransferFailed:
    """What is wrong with a package."""
    details = (("FilePath", path[:200]),) if path else ()
    return TransferFailed(PACKAGE_ERROR, f"{path[:200]}: {text}" if path else text, details)


@contextmanager
def _broken() -> Iterator[None]:
    try:
        yield
    except NotImplementedError as error:
        raise failed(f"the archive uses what cannot be unpacked here: {error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise failed(f"the archive is not a sound zip file: {error}") from None


def entries(stream: BinaryIO) -> list[Entry]:
    """What an archive holds, judged by its directory. Raises TransferFailed."""
    with _broken(), zipfile.ZipFile(stream) as archive:
        return _entries(archive)


def _entries(archive: zipfile.ZipFile) -> list[Entry]:
    infos = archive.infolist()
    if len(infos) > ENTRIES_MAX:
        raise failed(f"the archive has {len(infos)} entries; at most {ENTRIES_MAX} are allowed")
    if sum(info.file_size for info in infos) > UNPACKED_MAX:
        raise failed(f"the archive unpacks to more than {UNPACKED_MAX} bytes")
    return [entry for info in infos if (entry := _judged(info)).path]


def _judged(info: zipfile.ZipInfo) -> Entry:
    name = info.orig_filename.replace("\\", "/")  # some programs on Windows write their own separator
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")) or "\0" in name:
        raise failed("the entry leads out of the package", name)
    path = "/".join(parts)
    if len(parts) > _DEPTH_MAX or any(len(part.encode()) > _NAME_MAX for part in parts):
        raise failed("the entry's path is too deep or too long", path)
    if len(path.encode()) > _PATH_MAX:
        raise failed("the entry's path is too long", path)
    if info.flag_bits & 0x1:
        raise failed("the entry is encrypted", path)
    mode = (info.external_attr >> 16) & 0xFFFF
    kind = stat.S_IFMT(mode)
    if name.endswith("/"):
        return Entry(info, path, stat.S_IFDIR | 0o755)
    if kind not in (0, stat.S_IFREG, stat.S_IFLNK):
        raise failed("the entry is neither a file nor a directory nor a link", path)
    if kind == stat.S_IFLNK:
        return Entry(info, path, mode)
    # Archives made on Windows say nothing of who may run a file: then all of them may be run.
    rights = 0o755 if not mode & 0o777 else 0o444 | (mode & 0o755)
    return Entry(info, path, stat.S_IFREG | rights)


def check_link(path: str, text: str) -> None:
    """Whether a link stays in the package: steps upwards come first and are fewer than its directory is deep, so no
    other link can turn them into more. Raises TransferFailed."""
    parts = text.split("/")
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    inside = not text.startswith("/") and "\0" not in text and ".." not in parts[up:]
    if not text or not inside or up > path.count("/"):
        raise failed("the link leads out of the package", path)


def unpack(stream: BinaryIO, target: Target) -> tuple[int, int]:
    """Unpack all of an archive; returns (files, bytes). Raises TransferFailed."""
    files = written = 0
    with _broken(), zipfile.ZipFile(stream) as archive:
        for entry in _entries(archive):
            if entry.directory:
                target.directory(entry.path)
                continue
            if entry.link:
                _link(archive, entry, target)
            else:
                written += _file(archive, entry, target, UNPACKED_MAX - written)
            files += 1
    return files, written


def _link(archive: zipfile.ZipFile, entry: Entry, target: Target) -> None:
    if entry.info.file_size > _LINK_MAX:
        raise failed("the link is too long", entry.path)
    with archive.open(entry.info) as source:
        text = source.read(_LINK_MAX + 1).decode(errors="surrogateescape")
    check_link(entry.path, text)
    target.link(entry.path, text)


def _file(archive: zipfile.ZipFile, entry: Entry, target: Target, room: int) -> int:
    size = 0
    with target.file(entry.path, stat.S_IMODE(entry.mode)) as stream, archive.open(entry.info) as source:
        while piece := source.read(_PIECE):
            size += len(piece)
            if size > room:
                raise failed(f"the archive unpacks to more than {UNPACKED_MAX} bytes", entry.path)
            with disk_errors(PACKAGE_ERROR, entry.path):
                view = memoryview(piece)
                while view:
                    view = view[stream.write(view) :]
    return size
