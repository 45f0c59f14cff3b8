"""Lays one layer of a container image over a directory: run as a program of its own, `layers.py DIRECTORY FD`.

It changes its root to the directory before it reads the first name, so whatever paths and links the layer holds, they
can only mean something inside. Standard library only: nothing can be imported once the root has changed. Layers and
whiteouts are as in the OCI image specification, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import bz2  # noqa: F401 - the decompressors have to be loaded before the root changes
import gzip  # noqa: F401
import lzma  # noqa: F401
import os
import shutil
import stat
import sys
import tarfile
from contextlib import suppress

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_XATTR = "SCHILY.xattr."  # how GNU tar, bsdtar and Go write extended attributes
_PIECE_BYTES = 1024**2
_ENTRY_BYTES = 256  # an inode and a name
NO_ROOM = "it holds more than there is room for"


class BadLayer(Exception):
    """The layer cannot be laid over what is there; the text says why."""


class Layer:
    """One layer being laid over the present root directory."""

    def __init__(self, owners: int | None = None, most: int | None = None) -> None:
        """`owners`: how many users and groups there are, from 0; None for all that the kernel knows. `most`: bytes of
        a disk that it may take."""
        self._owners, self._left = owners, most
        self._own: set[str] = set()  # what this layer brought: its whiteouts are about the layers below

    def lay(self, archive: tarfile.TarFile) -> None:
        for entry in archive:
            path = _inside(entry.name)
            folder, _, name = path.rpartition("/")
            if name == OPAQUE:
                self._empty(folder or "/")
            elif name.startswith(WHITEOUT + WHITEOUT):
                continue  # bookkeeping of the program that made the layer
            elif name.startswith(WHITEOUT):
                hidden = f"{folder}/{name.removeprefix(WHITEOUT)}"
                if hidden.rpartition("/")[2] in ("", ".", ".."):
                    raise BadLayer(f"the whiteout {entry.name!r} hides nothing that has a name")
                self._hide(hidden)
            else:
                self._bring(archive, entry, path)

    def _bring(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> None:
        if entry.ischr() or entry.isblk():
            return  # machines have devices of their own
        self._judge(entry)
        self._count(entry)
        folder = path.rpartition("/")[0]
        if folder:
            os.makedirs(folder, mode=0o755, exist_ok=True)
        there = _kind(path)
        if there is not None and not (entry.isdir() and stat.S_ISDIR(there)):
            _remove(path)
        if entry.isdir():
            with suppress(FileExistsError):
                os.mkdir(path or "/")  # noqa: PTH102 - plain paths throughout: a layer has many
        elif entry.issym():
            os.symlink(entry.linkname, path)  # noqa: PTH211
        elif entry.islnk():
            os.link(_inside(entry.linkname), path, follow_symlinks=False)
        elif entry.isfifo():
            os.mkfifo(path)
        elif entry.isfile():
            _write(archive, entry, path)
        else:
            raise BadLayer(f"{entry.name!r} is of a kind that no file system here has")
        if not entry.islnk():
            _dress(entry, path)
        while path and path not in self._own:
            self._own.add(path)
            path = path.rpartition("/")[0]

    def _judge(self, entry: tarfile.TarInfo) -> None:
        for kind, number in (("user", entry.uid), ("group", entry.gid)):
            if self._owners is not None and not 0 <= number < self._owners:
                known = f"a node has the numbers 0 to {self._owners - 1}"
                raise BadLayer(f"the file {entry.name!r} is of the {kind} {number}; {known}")

    def _count(self, entry: tarfile.TarInfo) -> None:
        """Each name has its price, or a layer of a thousand million empty files would cost nothing."""
        if self._left is not None:
            self._left -= _ENTRY_BYTES + (entry.size if entry.isfile() else 0)
            if self._left < 0:
                raise BadLayer(NO_ROOM)

    def _hide(self, path: str) -> None:
        if path not in self._own:
            if _kind(path) is not None:
                _remove(path)
        elif _is_directory(path):
            self._empty(path)

    def _empty(self, folder: str) -> None:
        """Remove what lower layers have in a directory; what this layer brought stays, whatever came first."""
        if not _is_directory(folder):
            return
        for name in os.listdir(folder):  # noqa: PTH208
            self._hide(f"{folder.rstrip('/')}/{name}")


def _inside(name: str) -> str:
    words = [word for word in name.split("/") if word not in ("", ".")]
    if ".." in words:
        raise BadLayer(f"the name {name!r} leads upwards")
    return "/" + "/".join(words) if words else ""


def _kind(path: str) -> int | None:
    try:
        return os.lstat(path or "/").st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_directory(path: str) -> bool:
    mode = _kind(path)
    return mode is not None and stat.S_ISDIR(mode)


def _remove(path: str) -> None:
    if _is_directory(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> None:
    source = archive.extractfile(entry)
    if source is None:
        raise BadLayer(f"{entry.name!r} has no contents")
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as file:
        shutil.copyfileobj(source, file, _PIECE_BYTES)


def _dress(entry: tarfile.TarInfo, path: str) -> None:
    """Owner, rights, times and extended attributes."""
    place = path or "/"
    os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    if not entry.issym():
        os.chmod(place, entry.mode & 0o7777)  # after the owner: changing that takes the set-user-id bit away
    os.utime(place, (entry.mtime, entry.mtime), follow_symlinks=False)
    for name, value in entry.pax_headers.items():
        if name.startswith(_XATTR):
            with suppress(OSError):  # the file system may not have them, or not this one
                raw = value.encode("utf-8", "surrogateescape")
                os.setxattr(place, name.removeprefix(_XATTR), raw, follow_symlinks=False)


def lay(fd: int, owners: int | None = None, most: int | None = None) -> str:
    """Lay the layer in the open file over the present directory, which becomes the root of this process: nothing else
    can be done with it afterwards. `owners` and `most`: see Layer. Returns why that failed, or nothing."""
    with open(fd, "rb") as file:
        os.chroot(".")
        os.umask(0o022)
        try:
            with tarfile.open(fileobj=file, mode="r:*") as archive:
                Layer(owners, most).lay(archive)
        except (BadLayer, tarfile.TarError, EOFError, OSError) as error:
            return f"{type(error).__name__}: {error}"
    return ""


def main() -> int:
    """Lay the layer in the open file FD over DIRECTORY; 1 with the reason on standard error when that fails."""
    os.chdir(sys.argv[1])
    problem = lay(int(sys.argv[2]))
    sys.stderr.write(problem)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
