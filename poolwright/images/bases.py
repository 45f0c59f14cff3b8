"""Base disks: the OS disks of marketplace images, built once and kept in a cache several planes may share."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from poolwright.images.base import (
    BASE_PREFIX,
    CatalogueEntry,
    DiskBusy,
    DiskInfo,
    DiskName,
    MarketplaceImage,
    Progress,
    UnsupportedImage,
)
from poolwright.images.digest import digest_file
from poolwright.images.filesystem import make_ext4
from poolwright.images.layout import RAW, DiskDirectory, remove_tree, wait_for_lock, write_record
from poolwright.images.osrelease import OsRelease, parse_os_release
from poolwright.images.programs import full_disk_errors
from poolwright.images.rootfs import Build, HostRootfs
from poolwright.images.sparse import make_empty, sync_file
from poolwright.images.undo import Undo

BASE_SIZE_BYTES = 8 * 1024**3
"""Virtual size of a base OS disk: room for a user's packages; what is not used occupies nothing."""
RECIPE = 1
"""Raised whenever the way base images are made changes, so that hosts build them anew."""
BUILD_WAIT_S = 2400.0
"""How long to wait for another process that builds the same image: longer than a build may take."""
LABEL = "rootfs"
_UBUNTU_OFFERS = {
    "20.04": ("0001-com-ubuntu-server-focal", "20_04-lts"),
    "22.04": ("0001-com-ubuntu-server-jammy", "22_04-lts"),
    "24.04": ("ubuntu-24_04-lts", "server"),
}


class RootfsMaker(Protocol):
    """Makes the tree of an operating system inside a work directory and returns where it is."""

    def make(self, work: Path, build: Build) -> Path: ...


class BaseSource(Protocol):
    """Knows which images can be built and how."""

    def entries(self) -> tuple[CatalogueEntry, ...]: ...

    def maker(self, image: MarketplaceImage) -> RootfsMaker: ...


class HostBases:
    """The release this host runs, as the marketplace image Azure has of it."""

    def __init__(self, host_root: Path = Path("/")) -> None:
        self._root = host_root

    def entries(self) -> tuple[CatalogueEntry, ...]:
        release = self._release()
        image = self._image(release) if release else None
        if release is None or image is None or release.agent_sku is None:
            return ()
        return (
            CatalogueEntry(
                image, release.agent_sku, "linux", release.pretty_name, (), BASE_SIZE_BYTES, built=False
            ),
        )

    def maker(self, image: MarketplaceImage) -> RootfsMaker:
        release = self._release()
        if release is None or self._image(release) != image:
            raise UnsupportedImage(f"this host runs another release than {image.urn}")
        return HostRootfs(release)

    def _release(self) -> OsRelease | None:
        path = self._root / "etc/os-release"
        return parse_os_release(path.read_text(errors="replace")) if path.is_file() else None

    def _image(self, release: OsRelease) -> MarketplaceImage | None:
        if release.id == "debian" and release.version_id.isdigit():
            major = release.version_id
            return MarketplaceImage(
                "debian", f"debian-{major}", major, f"{major}.{self._debian_point()}.{RECIPE}"
            )
        if release.id == "ubuntu" and release.version_id in _UBUNTU_OFFERS:
            offer, sku = _UBUNTU_OFFERS[release.version_id]
            point = re.search(rf"{re.escape(release.version_id)}\.(\d+)", release.pretty_name)
            number = 100 * int(point[1] if point else 0) + RECIPE
            return MarketplaceImage("canonical", offer, sku, f"{release.version_id}.{number}")
        return None

    def _debian_point(self) -> int:
        path = self._root / "etc/debian_version"
        found = re.fullmatch(r"\d+\.(\d+)", path.read_text().strip()) if path.is_file() else None
        return int(found[1]) if found else 0


class BaseBuilder:
    """The cache of base disks in ``directory`` and what fills it."""

    def __init__(
        self, directory: DiskDirectory, source: BaseSource, on_step: Callable[[str], None] = lambda _: None
    ) -> None:
        self.directory = directory
        self._source, self._step = source, on_step
        self._stop = threading.Event()
        self._locks = directory.root / "locks"
        self._locks.mkdir(mode=0o700, exist_ok=True)

    def close(self) -> None:
        """End running builds."""
        self._stop.set()

    def catalogue(self) -> tuple[CatalogueEntry, ...]:
        """Images in the cache and images that can be built, each once, by name and then version."""
        found = {entry.image: entry for entry in self._source.entries()}
        found |= {entry.image: entry for entry in self._cached()}
        return tuple(sorted(found.values(), key=_order))

    def ensure(self, image: MarketplaceImage, progress: Progress) -> DiskInfo:
        entry = find_image(self.catalogue(), image)
        name = base_disk_name(entry.image)
        if not self.directory.exists(name):
            progress("waiting for the build lock", 0.0)
            with self._lock(name, BUILD_WAIT_S) as lock_fd:
                if not self.directory.exists(name):  # else another process built it meanwhile
                    self._sweep(name)
                    self._build(entry, name, progress, lock_fd)
        progress("ready", 1.0)
        return self.directory.info(name)

    def recover(self) -> list[str]:
        """Remove what killed builds left, except where a build is running now."""
        removed = []
        for name in sorted({entry.name.rpartition(".")[0] for entry in self.directory.tmp.iterdir()}):
            try:
                with self._lock(name, 0.0):
                    removed += self._sweep(name)
            except DiskBusy:
                continue
        return removed

    def _build(self, entry: CatalogueEntry, name: DiskName, progress: Progress, lock_fd: int) -> None:
        maker = self._source.maker(entry.image)
        doing = f"building the base image {entry.image.urn}"
        with Undo() as undo, full_disk_errors(doing, self.directory.root):
            work = self.directory.make_temp(name)
            undo.push("remove the half-made base image", partial(remove_tree, work))
            self._step("base:begun")
            tree = maker.make(work, Build(progress, lock_fd, self._stop))
            self._step("base:tree")
            progress("writing the file system", 0.88)
            disk = work / RAW
            make_empty(disk, size_bytes=entry.size_bytes)
            make_ext4(disk, label=LABEL, tree=tree)
            for entry_path in [path for path in work.iterdir() if path != disk]:
                shutil.rmtree(entry_path)
            progress("computing the digest", 0.95)
            disk.chmod(0o444)
            sync_file(disk)
            write_record(work, _record(entry, digest_file(disk)))
            self._step("base:sealed")
            self.directory.publish(work, name)
            undo.commit()
            self._step("base:published")

    def _cached(self) -> Iterator[CatalogueEntry]:
        for name in self.directory.names():
            record = self.directory.record(name)
            if record is not None and "image" in record:
                size = self.directory.info(name).size_bytes
                image = MarketplaceImage(**record["image"])
                yield CatalogueEntry(
                    image, record["agent_sku"], record["os_type"], record["pretty_name"], (), size, built=True
                )

    def _sweep(self, name: DiskName) -> list[str]:
        """Remove temporary directories of one base disk; the caller holds its build lock."""
        removed = []
        for path in sorted(self.directory.tmp.glob(f"{name}.*")):
            remove_tree(path)
            removed.append(f"bases/tmp/{path.name}")
        return removed

    @contextmanager
    def _lock(self, name: DiskName, timeout_s: float) -> Iterator[int]:
        fd = os.open(self._locks / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if not wait_for_lock(fd, shared=False, timeout_s=timeout_s):
                raise DiskBusy(name, "another process is still building it")
            yield fd
        finally:
            os.close(fd)


def find_image(catalogue: tuple[CatalogueEntry, ...], image: MarketplaceImage) -> CatalogueEntry:
    """The entry an image reference means, ``latest`` being the last of its kind; raises UnsupportedImage."""
    for entry in reversed(catalogue):
        if _kind(entry.image) == _kind(image) and image.version in ("latest", entry.image.version):
            return entry
    known = ", ".join(entry.image.urn for entry in catalogue) or "none"
    raise UnsupportedImage(
        f"the marketplace image {image.urn} cannot be provided by this host; it offers: {known}"
    )


def base_disk_name(image: MarketplaceImage) -> DiskName:
    """The name of an image's base disk."""
    words = f"{image.publisher}-{image.offer}-{image.sku}-{image.version}".lower()
    return BASE_PREFIX + re.sub(r"[^a-z0-9]+", "-", words)[: 80 - len(BASE_PREFIX)]


def _kind(image: MarketplaceImage) -> tuple[str, str, str]:
    """What names an image but for its version; Azure compares these without case."""
    return image.publisher.lower(), image.offer.lower(), image.sku.lower()


def _order(entry: CatalogueEntry) -> tuple[tuple[str, str, str], list[int]]:
    return _kind(entry.image), [int(number) for number in re.findall(r"\d+", entry.image.version)]


def _record(entry: CatalogueEntry, digest: str) -> dict[str, Any]:
    image = entry.image
    return {
        "format": 1,
        "digest": digest,
        "image": {
            "publisher": image.publisher,
            "offer": image.offer,
            "sku": image.sku,
            "version": image.version,
        },
        "agent_sku": entry.agent_sku,
        "os_type": entry.os_type,
        "pretty_name": entry.pretty_name,
    }
