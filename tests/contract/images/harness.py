"""What the contract suite needs beside a plane: a way to put bytes on a disk and to use one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from poolwright.images.base import CatalogueEntry, ImagePlane, MarketplaceImage
from poolwright.images.bases import BaseBuilder, RootfsMaker
from poolwright.images.fake import FakeImagePlane
from poolwright.images.layout import DiskDirectory
from poolwright.images.raw import RawImagePlane
from poolwright.images.rootfs import Build
from poolwright.images.transfers import StepHook

MIB = 1024**2
TINY = CatalogueEntry(
    MarketplaceImage("debian", "debian-12", "12", "12.9.1"),
    "batch.node.debian 12",
    "linux",
    "Tiny 12",
    (),
    64 * MIB,
    built=False,
)
OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Tiny 12"\n'


class TinyRootfs:
    """A tree of a few files in place of a distribution: the steps around it are the real ones."""

    def make(self, work: Path, build: Build) -> Path:
        build.progress("making a tiny tree", 0.1)
        root = work / "rootfs"
        (root / "usr/lib").mkdir(parents=True)
        (root / "etc").mkdir()
        (root / "usr/lib/os-release").write_text(OS_RELEASE)
        (root / "etc/os-release").symlink_to("../usr/lib/os-release")
        return root


class TinyBases:
    """Counts the builds it was asked for."""

    def __init__(self) -> None:
        self.builds = 0

    def entries(self) -> tuple[CatalogueEntry, ...]:
        return (TINY,)

    def maker(self, image: MarketplaceImage) -> RootfsMaker:
        self.builds += 1
        return TinyRootfs()


def tiny_plane(
    root: Path, on_step: StepHook = lambda _: None, bases: TinyBases | None = None
) -> RawImagePlane:
    """A raw plane whose base image takes no time to make, and which has a place of its own for the class "fast"."""
    builder = BaseBuilder(DiskDirectory(root / "bases"), bases or TinyBases(), on_step)
    fast = root / "fast"
    fast.mkdir(exist_ok=True, parents=True)
    return RawImagePlane(root, bases=builder, classes={"fast": fast}, on_step=on_step, lock_timeout_s=5.0)


class Harness(Protocol):
    """A plane and what a machine does with its disks."""

    @property
    def plane(self) -> ImagePlane: ...

    def write(self, name: str, offset: int, data: bytes) -> None: ...

    def read(self, name: str, offset: int, length: int) -> bytes: ...

    def attached(self, name: str, *, writable: bool) -> AbstractContextManager[None]: ...

    def leftovers(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class RawHarness:
    plane: RawImagePlane
    root: Path

    def write(self, name: str, offset: int, data: bytes) -> None:
        with self.plane.path(name, writable=True).open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def read(self, name: str, offset: int, length: int) -> bytes:
        with self.plane.path(name).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    @contextmanager
    def attached(self, name: str, *, writable: bool) -> Iterator[None]:
        path = self.plane.path(name, writable=writable)
        argv = ["losetup", "--find", "--show", *([] if writable else ["--read-only"]), str(path)]
        device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
        try:
            yield
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)

    def leftovers(self) -> list[str]:
        places = [self.root / "tmp", self.root / "bases/tmp", *self.root.glob("fast/*/tmp")]
        return [str(path) for place in places if place.exists() for path in place.iterdir()]


@dataclass(frozen=True, slots=True)
class FakeHarness:
    plane: FakeImagePlane

    def write(self, name: str, offset: int, data: bytes) -> None:
        self.plane.write(name, offset, data)

    def read(self, name: str, offset: int, length: int) -> bytes:
        return self.plane.read(name, offset, length)

    def attached(self, name: str, *, writable: bool) -> AbstractContextManager[None]:
        return self.plane.attached(name, writable=writable)

    def leftovers(self) -> list[str]:
        return []
