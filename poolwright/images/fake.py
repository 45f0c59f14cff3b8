"""An image plane in memory: the same contract, with faults on order. For simulations and tests of what uses a plane.

No file is ever made; ``path`` gives names under a directory that need not exist. Contents are kept in chunks, so a
disk of terabytes costs what is written to it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from poolwright.domain.compute import Finding
from poolwright.images.base import (
    BASE_PREFIX,
    SECTOR_GRANULE_BYTES,
    CatalogueEntry,
    DiskBusy,
    DiskExists,
    DiskFrozen,
    DiskInfo,
    DiskName,
    DiskNotEmpty,
    DiskNotFound,
    Inspection,
    InvalidDiskArgument,
    MarketplaceImage,
    NoSpace,
    Progress,
    Recovery,
    UnsupportedImage,
    Usage,
    check_label,
    check_name,
    check_new_name,
    check_range,
    check_size,
)
from poolwright.images.bases import base_disk_name, find_image
from poolwright.images.digest import CHUNK_BYTES, DiskDigest
from poolwright.images.osrelease import agent_sku
from poolwright.images.vhd import FOOTER_BYTES, parse_footer

DEBIAN_12 = CatalogueEntry(
    MarketplaceImage("debian", "debian-12", "12", "12.0.1"),
    "batch.node.debian 12",
    "linux",
    "Debian GNU/Linux 12 (bookworm)",
    (),
    8 * 1024**3,
    built=False,
)
_METADATA_CHUNK = 0
"""Where the fake puts what a file system would write, so that formatted disks are not empty."""


@dataclass(slots=True)
class _Disk:
    size: int
    chunks: dict[int, bytes] = field(default_factory=dict)
    digest: str | None = None
    content: Inspection | None = None
    attached: list[bool] = field(default_factory=list)

    def copy(self) -> _Disk:
        return _Disk(self.size, dict(self.chunks), None, self.content)

    def seal(self) -> str:
        digest = DiskDigest(self.size)
        for index in sorted(self.chunks):
            length = min(CHUNK_BYTES, self.size - index * CHUNK_BYTES)
            digest.update(index, self.chunks[index][:length])
        self.digest = digest.value()
        return self.digest


@dataclass(frozen=True, slots=True)
class _Fault:
    error: Exception
    after: bool


class FakeImagePlane:
    """Implements ``base.ImagePlane``. ``capacity_bytes`` bounds what all disks together may hold."""

    def __init__(
        self,
        root: Path = Path("/fake"),
        *,
        entries: tuple[CatalogueEntry, ...] = (DEBIAN_12,),
        capacity_bytes: int = 1024**4,
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self.calls: list[tuple[str, DiskName]] = []
        self._root, self._entries = root, list(entries)
        self._disks: dict[DiskName, _Disk] = {}
        self._faults: dict[str, list[_Fault]] = {}
        self._lock = threading.RLock()

    # What only the fake has.

    def fail_next(self, op: str, error: Exception, *, after: bool = False) -> None:
        """The next call of ``op`` raises ``error``: instead of acting, or ``after`` it has acted (outcome unknown)."""
        if not callable(getattr(self, op, None)):
            raise ValueError(f"an image plane has no operation {op!r}")
        self._faults.setdefault(op, []).append(_Fault(error, after))

    def write(self, name: DiskName, offset: int, data: bytes) -> None:
        with self._lock:
            check_range(self._get(name).size, offset, len(data))
            disk = self._writable(name, "write")
            self._need(len(data), "writing")
            for at, piece in _pieces(offset, data):
                index, start = divmod(at, CHUNK_BYTES)
                chunk = bytearray(disk.chunks.get(index, bytes(CHUNK_BYTES)))
                chunk[start : start + len(piece)] = piece
                disk.chunks[index] = bytes(chunk)

    def read(self, name: DiskName, offset: int, length: int) -> bytes:
        with self._lock:
            disk = self._get(name)
            end = min(offset + length, disk.size)
            indexes = range(offset // CHUNK_BYTES, -(-end // CHUNK_BYTES))
            joined = b"".join(disk.chunks.get(index, bytes(CHUNK_BYTES)) for index in indexes)
            skip = offset % CHUNK_BYTES
            return joined[skip : skip + max(0, end - offset)]

    def clear(self, name: DiskName, offset: int, length: int) -> None:
        self.write(name, offset, bytes(length))

    def import_file(self, name: DiskName, source: Path, length: int | None = None) -> DiskInfo:
        check_new_name(name)
        with self._operation("import_file", name):
            cut = "" if length is None else f" (the first {length} bytes)"
            raise UnsupportedImage(f"this plane keeps no files and reads none: {source.name}{cut}")

    def import_disk(self, name: DiskName, source: DiskName, length: int) -> DiskInfo:
        """Fixed VHDs and raw disks only."""
        check_new_name(name)
        with self._operation("import_disk", name):
            size = length
            footer = parse_footer(self.read(source, length - FOOTER_BYTES, FOOTER_BYTES))
            if footer is not None:
                size = footer.size_bytes
            copy = self._get(source).copy()
            copy.size = -(-size // SECTOR_GRANULE_BYTES) * SECTOR_GRANULE_BYTES
            last, kept = divmod(size, CHUNK_BYTES)
            copy.chunks = {index: chunk for index, chunk in copy.chunks.items() if index <= last}
            if last in copy.chunks:
                copy.chunks[last] = copy.chunks[last][:kept].ljust(CHUNK_BYTES, b"\0")
            return self._add(name, copy)

    @contextmanager
    def attached(self, name: DiskName, *, writable: bool) -> Iterator[None]:
        """Somebody uses the disk, as a loop device would."""
        with self._lock:
            disk = self._writable(name, "attach") if writable else self._get(name)
            disk.attached.append(writable)
        try:
            yield
        finally:
            with self._lock:
                disk.attached.remove(writable)

    # The contract.

    def at(self, storage: str | None) -> FakeImagePlane:  # noqa: ARG002 - it has one place for all classes
        return self

    def catalogue(self) -> tuple[CatalogueEntry, ...]:
        with self._operation("catalogue", ""):
            return tuple(self._entries)

    def ensure_base(self, image: MarketplaceImage, progress: Progress) -> DiskInfo:
        with self._operation("ensure_base", image.urn):
            entry = find_image(tuple(self._entries), image)
            name = base_disk_name(entry.image)
            if name not in self._disks:
                progress("building", 0.0)
                self._disks[name] = _base_disk(entry)
                self._entries[self._entries.index(entry)] = replace(entry, built=True)
            progress("ready", 1.0)
            return self._info(name)

    def create_empty(self, name: DiskName, size_bytes: int) -> DiskInfo:
        check_new_name(name)
        check_size(size_bytes)
        with self._operation("create_empty", name):
            return self._add(name, _Disk(size_bytes))

    def format_empty(self, name: DiskName, label: str) -> DiskInfo:
        check_name(name)
        check_label(label)
        with self._operation("format_empty", name):
            disk = self._writable(name, "format")
            self._refuse_attached(name, disk.attached)
            if any(any(chunk) for chunk in disk.chunks.values()):
                raise DiskNotEmpty(name)
            disk.chunks[_METADATA_CHUNK] = f"ext4 {label} {name}".encode().ljust(CHUNK_BYTES, b"\0")
            disk.content = Inspection(disk.size, None, 0, disk.size, "ext4", label or None)
            return self._info(name)

    def clone(self, source: DiskName, name: DiskName) -> DiskInfo:
        check_name(source, "source")
        check_new_name(name)
        with self._operation("clone", name):
            return self._add(name, self._get(source).copy())

    def snapshot(self, source: DiskName, name: DiskName) -> DiskInfo:
        check_name(source, "source")
        check_new_name(name)
        with self._operation("snapshot", name):
            copy = self._get(source).copy()
            copy.seal()
            return self._add(name, copy)

    def correct(self, source: DiskName, name: DiskName) -> DiskInfo:
        return self.snapshot(source, name)

    def resize(self, name: DiskName, size_bytes: int, *, grow_filesystem: bool = False) -> DiskInfo:
        check_name(name)
        check_size(size_bytes)
        with self._operation("resize", name):
            disk = self._writable(name, "resize")
            if size_bytes < disk.size:
                raise InvalidDiskArgument(
                    "size_bytes", size_bytes, f"the disk has {disk.size} bytes and only grows"
                )
            if grow_filesystem:
                self._refuse_attached(name, disk.attached)
            disk.size = size_bytes
            return self._info(name)

    def freeze(self, name: DiskName) -> str:
        check_name(name)
        with self._operation("freeze", name):
            disk = self._get(name)
            if disk.digest is None:
                self._refuse_attached(name, [writable for writable in disk.attached if writable])
            return disk.digest or disk.seal()

    def inspect(self, name: DiskName) -> Inspection:
        check_name(name)
        with self._operation("inspect", name):
            disk = self._get(name)
            if disk.content is None:
                return Inspection(disk.size)
            return replace(disk.content, size_bytes=disk.size, partition_size=disk.size)

    def lint(self, name: DiskName) -> tuple[Finding, ...]:
        check_name(name)
        with self._operation("lint", name):
            if self._get(name).content is not None:
                return ()
            return (
                Finding("NoFileSystem", "error", "No file system was found on the OS disk.", "Install one."),
            )

    def delete(self, name: DiskName, *, missing_ok: bool = False) -> bool:
        check_name(name)
        with self._operation("delete", name):
            if missing_ok and name not in self._disks:
                return False
            self._refuse_attached(name, self._get(name).attached)
            del self._disks[name]
            return True

    def get(self, name: DiskName) -> DiskInfo:
        check_name(name)
        with self._operation("get", name):
            return self._info(name)

    def list(self) -> tuple[DiskInfo, ...]:
        with self._operation("list", ""):
            return tuple(self._info(name) for name in sorted(self._disks) if not name.startswith(BASE_PREFIX))

    def path(self, name: DiskName, *, writable: bool = False) -> Path:
        check_name(name)
        with self._operation("path", name):
            if writable:
                self._writable(name, "open it for writing")
            return self._info(name).path

    def usage(self) -> Usage:
        with self._operation("usage", ""):
            mine = [disk for name, disk in self._disks.items() if not name.startswith(BASE_PREFIX)]
            contents = {disk.digest or str(id(disk)): len(disk.chunks) * CHUNK_BYTES for disk in mine}
            used = sum(contents.values())
            size = sum(disk.size for disk in mine)
            free = max(0, self.capacity_bytes - used)
            return Usage(len(mine), size, used, free, self.capacity_bytes, reflinks=True)

    def recover(self) -> Recovery:
        with self._operation("recover", ""):
            return Recovery()

    def close(self) -> None:
        return None

    @contextmanager
    def _operation(self, op: str, name: str) -> Iterator[None]:
        with self._lock:
            self.calls.append((op, name))
            fault = self._faults[op].pop(0) if self._faults.get(op) else None
            if fault and not fault.after:
                raise fault.error
            yield
            if fault:
                raise fault.error

    def _get(self, name: DiskName) -> _Disk:
        try:
            return self._disks[name]
        except KeyError:
            raise DiskNotFound(name) from None

    def _writable(self, name: DiskName, wanted: str) -> _Disk:
        disk = self._get(name)
        if disk.digest is not None:
            raise DiskFrozen(name, wanted)
        return disk

    def _info(self, name: DiskName) -> DiskInfo:
        disk = self._get(name)
        allocated = len(disk.chunks) * CHUNK_BYTES
        return DiskInfo(
            name, disk.digest is not None, disk.size, allocated, disk.digest, self._root / name / "disk.raw"
        )

    def _add(self, name: DiskName, disk: _Disk) -> DiskInfo:
        if name in self._disks:
            raise DiskExists(name)
        self._need(len(disk.chunks) * CHUNK_BYTES, f"making disk {name}")
        self._disks[name] = disk
        return self._info(name)

    def _need(self, extra: int, doing: str) -> None:
        used = sum(len(other.chunks) * CHUNK_BYTES for other in self._disks.values())
        if used + extra > self.capacity_bytes:
            raise NoSpace(doing, self._root)

    def _refuse_attached(self, name: DiskName, attached: Sequence[bool]) -> None:
        if attached:
            raise DiskBusy(name, "it is attached")


def _base_disk(entry: CatalogueEntry) -> _Disk:
    """A frozen disk that inspects as what the catalogue promises."""
    os_id = "ubuntu" if "ubuntu" in entry.agent_sku else "debian"
    os_version = entry.agent_sku.rpartition(" ")[2]
    seen = Inspection(
        size_bytes=entry.size_bytes,
        partition_size=entry.size_bytes,
        filesystem="ext4",
        label="rootfs",
        os_id=os_id,
        os_version=os_version,
        os_pretty=entry.pretty_name,
        agent_sku=agent_sku(os_id, os_version),
    )
    disk = _Disk(entry.size_bytes, {_METADATA_CHUNK: entry.image.urn.encode().ljust(CHUNK_BYTES, b"\0")})
    disk.content = seen
    disk.seal()
    return disk


def _pieces(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """The data cut at chunk borders, each piece with its offset."""
    start = 0
    while start < len(data):
        room = CHUNK_BYTES - (offset + start) % CHUNK_BYTES
        yield offset + start, data[start : start + room]
        start += room
