"""The store of container images of one host: what is kept, who uses it, and what goes when there is too much.

`layers/<key>/` is one layer over those below it, as an overlay has it (`tree/`, of machines' users). It is kept once,
whichever images have it: its key says which registry it came from and which layers are beneath, so two images of one
base share the base, and no registry can name a layer of another to get at what that sent. `images/<key>/` says of
which layers an image is made (`config.json`); `tmp/<key>/` is where one of both is being made. A machine's directory
has a mark for each image it was shown, made before the image is looked for. What has no mark may go: the longest
unused first, once the store is over its bound or the disk is short of room.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poolwright.domain.containers import MISC_ERROR, ImageName
from poolwright.transfer.failures import TransferFailed, disk_errors

ABOUT = (
    "about.json"  # of a layer: its bytes; beside what is being pulled: the image, its layers and their bytes
)
CONFIG = "config.json"
TREE = "tree"
UNPACKS = "unpacks"  # beside layers that were pulled, once all are there
LEFT_S = 1800.0  # what a killed process left in `tmp`
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def layer_keys(server: str, digests: Sequence[str]) -> tuple[str, ...]:
    """The keys of an image's layers, lowest first."""
    found: list[str] = []
    for digest in digests:
        below = found[-1] if found else ""
        found.append(hashlib.sha256(f"layer {server} {below} {digest}".encode()).hexdigest())
    return tuple(found)


def image_key(server: str, digest: str) -> str:
    """The key of the image with this digest at a registry."""
    return hashlib.sha256(f"image {server} {digest}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ImageStore:
    """One store. `nodes` holds the machines' directories; at most `bound` bytes are kept, and `kept_free` bytes of the
    disk are for others."""

    folder: Path
    nodes: Path
    bound: int
    kept_free: int = 0

    def image(self, key: str) -> Path:
        return self.folder / "images" / key

    def layer(self, key: str) -> Path:
        return self.folder / "layers" / key

    def has_image(self, key: str) -> bool:
        """Whether it is whole with all its layers."""
        about = _read(self.image(key) / CONFIG)
        return _is_of_now(about) and all(self.has_layer(layer) for layer in _layers(about))

    def has_layer(self, key: str) -> bool:
        return _is_of_now(_read(self.layer(key) / ABOUT))

    @contextlib.contextmanager
    def locked(self, key: str) -> Iterator[Path]:
        """The directory in which an image or a layer is made, held by one process at a time; gone afterwards."""
        with disk_errors(MISC_ERROR, "the store of images"):
            for folder in ("images", "layers", "tmp"):
                (self.folder / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = _lock(self.folder / "tmp" / key, wait=True)
        assert fd is not None
        try:
            yield self.folder / "tmp" / key
        finally:
            shutil.rmtree(self.folder / "tmp" / key, ignore_errors=True)
            os.close(fd)

    def progress(self, image: ImageName) -> tuple[int, int] | None:
        """(bytes of layers that are there, bytes of all) of an image being pulled; None when it is not, or unpacks."""
        for work in _entries(self.folder / "tmp"):
            try:
                about = json.loads((work / ABOUT).read_text())
                if about["image"] == image.key and about["bytes"] and not (work / UNPACKS).exists():
                    return sum(layer.stat().st_size for layer in work.glob("layer*")), int(about["bytes"])
            except (OSError, ValueError, KeyError):
                continue  # it ended, or is about to begin
        return None

    def used(self) -> int:
        """Bytes of all layers that are kept, each once."""
        layers = sum(_bytes(_read(layer / ABOUT)) for layer in _entries(self.folder / "layers"))
        # An image of a former version of the service holds its files itself.
        return layers + sum(_bytes(_read(image / CONFIG)) for image in self.images())

    def images(self) -> list[Path]:
        return _entries(self.folder / "images")

    def left(self) -> int:
        """Bytes up to the bound."""
        return self.bound - self.used()

    def free(self) -> int:
        """Bytes of the disk that images may take."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize - self.kept_free

    def make_room(self, wanted: int, spare: int | None = None) -> int:
        """Let images go that no machine has, the longest unused first, until so many bytes may be written, or (`spare`)
        until the bound is kept with so many and the disk has that room; returns how many may be written."""
        self.drop_layers()
        for image in self._unused():
            if self.left() >= wanted and self.free() >= (wanted if spare is None else spare):
                break
            if self._drop(image):
                self.drop_layers()
        return min(self.left(), self.free())

    def collect(self, spare: int = 0) -> None:
        """What is done from time to time: see who uses what, keep the bound, and that much of the disk besides what is
        for others, and remove what killed processes left."""
        if not self.folder.is_dir():
            return
        marks = self._marks()
        for image in self.images():
            if image.name in marks:
                with contextlib.suppress(FileNotFoundError):
                    os.utime(image)  # so the time of an unused one tells when it was last in use
        self.make_room(0, spare)
        for left in _entries(self.folder / "tmp"):
            if _age(left) > LEFT_S:
                self._sweep(left)

    def drop_layers(self) -> None:
        """Remove layers of which no image is made."""
        wanted = self._wanted_layers()
        for layer in _entries(self.folder / "layers"):
            if layer.name not in wanted:
                self._remove(layer, lambda key: key not in self._wanted_layers())

    def _unused(self) -> list[Path]:
        marks = self._marks()
        return sorted((image for image in self.images() if image.name not in marks), key=_age, reverse=True)

    def _marks(self) -> set[str]:
        return {mark.name for machine in _entries(self.nodes) for mark in _entries(machine / "images")}

    def _wanted_layers(self) -> set[str]:
        """Of images that are kept, and of those being made: who makes one says so before it looks for a layer."""
        files = [image / CONFIG for image in self.images()]
        files += [work / ABOUT for work in _entries(self.folder / "tmp")]
        return {layer for file in files for layer in _layers(_read(file))}

    def _drop(self, image: Path) -> bool:
        return self._remove(image, lambda key: key not in self._marks())

    def _remove(self, path: Path, may_go: Any) -> bool:
        """Remove an image or a layer unless somebody is about to use it, which is known once it is locked."""
        work = self.folder / "tmp" / path.name
        fd = _lock(work, wait=False)
        if fd is None:
            return False
        try:
            if not may_go(path.name):
                return False
            with contextlib.suppress(FileNotFoundError):
                path.rename(work / "gone")
            return True
        finally:
            shutil.rmtree(work, ignore_errors=True)
            os.close(fd)

    def _sweep(self, left: Path) -> None:
        fd = _lock(left, wait=False)
        if fd is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(fd)


def about_layer(tree: Path) -> dict[str, Any]:
    """What is written beside a layer that is whole."""
    return {"boot": boot(), "bytes": disk_bytes(tree)}


def boot() -> str:
    """The present boot of the host: after a crash files of a former one may have lost their ends."""
    return _BOOT.read_text()


def disk_bytes(tree: Path) -> int:
    """What the files below a directory take of the disk; a file of several names once."""
    found: dict[int, int] = {}
    for folder, folders, names in os.walk(tree):
        for name in (*folders, *names):
            about = os.lstat(f"{folder}/{name}")
            found[about.st_ino] = about.st_blocks * 512
    return sum(found.values())


def _lock(work: Path, *, wait: bool) -> int | None:
    while True:
        work.mkdir(mode=0o700, exist_ok=True)
        try:
            fd = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(fd)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), work.stat()):
                return fd
        os.close(fd)  # it was removed by who had it before


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_of_now(about: dict[str, Any]) -> bool:
    return about.get("boot") == boot()


def _layers(about: dict[str, Any]) -> list[str]:
    return [str(layer) for layer in about.get("layers") or ()]


def _bytes(about: dict[str, Any]) -> int:
    return int(about.get("bytes") or 0)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def full(image: str, wanted: int, store: ImageStore) -> TransferFailed:
    """Why an image of so many bytes is not brought."""
    text = (
        f"{image}: its layers have {wanted} bytes, for which there is no room: the store of images has {store.used()} "
        f"of at most {store.bound} bytes (--container-images) besides what the host's disk keeps free, and what "
        "machines use does not go"
    )
    return TransferFailed("DiskFull", text)
