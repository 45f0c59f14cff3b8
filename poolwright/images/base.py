"""The contract of an image plane: values, errors and the operations every plane offers.

A *disk* is a raw block image chosen by name. A writable disk may be cloned, grown and frozen; a *frozen* disk is never
written again and has a content digest. All sizes are bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from poolwright.domain.compute import Finding

DiskName: TypeAlias = str
"""Chosen by the caller, 1 to 80 of ``a-z``, ``0-9`` and ``-``; names starting with ``base-`` belong to the plane."""

Progress: TypeAlias = Callable[[str, float], None]
"""Called with a stage in plain words and the fraction done, 0.0 to 1.0, never falling within one call."""

BASE_PREFIX = "base-"
SECTOR_GRANULE_BYTES = 4096
"""Disk sizes are whole multiples of this: any logical sector size a loop device or an emulator uses fits."""
MIN_DISK_BYTES = 1024**2
MAX_DISK_BYTES = 32_767 * 1024**3
"""The largest managed disk of Azure (32,767 GiB); bounds a mistyped size."""
MAX_LABEL_BYTES = 16
"""Volume label field of the ext4 superblock."""

_NAME = re.compile(r"[a-z0-9-]{1,80}")


class ImagePlaneError(Exception):
    """Anything an image plane refuses or fails to do; the text is fit for an operator."""


class InvalidDiskArgument(ImagePlaneError, ValueError):
    """An argument is outside its range; names the property, the value and the reason."""

    def __init__(self, prop: str, value: object, reason: str) -> None:
        super().__init__(f"{prop} {value!r} is not allowed: {reason}")
        self.prop, self.value, self.reason = prop, value, reason


class DiskNotFound(ImagePlaneError):
    def __init__(self, name: DiskName) -> None:
        super().__init__(f"disk {name!r} does not exist")
        self.name = name


class DiskExists(ImagePlaneError):
    def __init__(self, name: DiskName) -> None:
        super().__init__(f"disk {name!r} exists already")
        self.name = name


class DiskFrozen(ImagePlaneError):
    def __init__(self, name: DiskName, wanted: str) -> None:
        super().__init__(f"disk {name!r} is frozen and can never be written again: cannot {wanted} it")
        self.name = name


class DiskBusy(ImagePlaneError):
    """Somebody uses the disk just now; the same call may succeed later."""

    def __init__(self, name: DiskName, reason: str) -> None:
        super().__init__(f"disk {name!r} is in use: {reason}")
        self.name, self.reason = name, reason


class DiskNotEmpty(ImagePlaneError):
    def __init__(self, name: DiskName) -> None:
        super().__init__(f"disk {name!r} holds data already: formatting it would destroy that")
        self.name = name


class NoSpace(ImagePlaneError):
    def __init__(self, doing: str, where: Path) -> None:
        super().__init__(f"no space left on the file system of {where} while {doing}")
        self.doing, self.where = doing, where


class PlaceAway(ImagePlaneError):
    """A directory that disks of a storage class lie in is not there now; the same call may succeed later."""

    def __init__(self, directory: str) -> None:
        super().__init__(
            f"the directory {directory}, where disks are kept, is not there: is its file system mounted?"
        )
        self.directory = directory


class DiskAway(PlaceAway):
    """The disk is in no directory that is there, and one is not there."""

    def __init__(self, name: DiskName, directory: str) -> None:
        super().__init__(directory)
        self.args = (f"disk {name!r} cannot be reached: {self}",)
        self.name = name


class PlaceUnusable(ImagePlaneError):
    """A directory mapped to a storage class cannot be taken into use."""

    def __init__(self, storage: str, directory: Path, reason: str) -> None:
        super().__init__(f"the directory {directory} of storage class {storage} cannot be used: {reason}")
        self.storage, self.directory, self.reason = storage, directory, reason


class BuildFailed(ImagePlaneError):
    """A program failed; ``output`` holds the last lines it printed."""

    def __init__(self, step: str, output: str) -> None:
        super().__init__(f"{step} failed; its last output was:\n{output}")
        self.step, self.output = step, output


class UnsupportedImage(ImagePlaneError):
    """This host cannot make or read the image; the text names what is missing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class MarketplaceImage:
    """A marketplace reference as Azure writes it."""

    publisher: str
    offer: str
    sku: str
    version: str

    @property
    def urn(self) -> str:
        return f"{self.publisher}:{self.offer}:{self.sku}:{self.version}"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A marketplace image this plane can provide. ``built`` tells whether it is in the cache already."""

    image: MarketplaceImage
    agent_sku: str
    os_type: Literal["linux", "windows"]
    pretty_name: str
    capabilities: tuple[str, ...]
    size_bytes: int
    built: bool


@dataclass(frozen=True, slots=True)
class DiskInfo:
    """``allocated_bytes`` is what the file occupies; shared extents and hard links count for each disk.

    ``digest`` (``sha256:`` and 64 hex digits, see digest.py) is there exactly when the disk is frozen.
    """

    name: DiskName
    frozen: bool
    size_bytes: int
    allocated_bytes: int
    digest: str | None
    path: Path


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is on a disk. ``filesystem`` and the fields after it are of the root partition, else of the first one known.

    ``partition_offset`` and ``partition_size`` are bytes; a file system on the whole disk has offset 0 and
    ``partition_table`` None. ``agent_sku`` is None where the release has no node agent of its own.
    """

    size_bytes: int
    partition_table: str | None = None
    partition_offset: int = 0
    partition_size: int = 0
    filesystem: str | None = None
    label: str | None = None
    uuid: str | None = None
    os_id: str | None = None
    os_version: str | None = None
    os_pretty: str | None = None
    agent_sku: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Space of a plane. ``allocated_bytes`` counts a file shared by several frozen disks once."""

    disks: int
    size_bytes: int
    allocated_bytes: int
    free_bytes: int
    total_bytes: int
    reflinks: bool


@dataclass(frozen=True, slots=True)
class Recovery:
    """What ``recover`` put right: names of removed half-made things and of disks whose freezing had been cut off."""

    removed: tuple[str, ...] = ()
    thawed: tuple[DiskName, ...] = ()

    @property
    def clean(self) -> bool:
        return not (self.removed or self.thawed)


class ImagePlane(Protocol):
    """All operations are atomic: they happen as a whole or leave no trace, also when the process is killed.

    Every one may raise InvalidDiskArgument, DiskNotFound, DiskBusy and NoSpace. Calls are safe from many threads; only
    one process may use a plane's root, but several may share a base cache.
    """

    def at(self, storage: str | None) -> ImagePlane:
        """The same plane, whose new disks go where those of a storage class do (None: the plane's own directory).

        Making one there raises PlaceAway while that directory is not there, as does using a disk that lies in it.
        """

    def catalogue(self) -> tuple[CatalogueEntry, ...]:
        """The marketplace images this host can provide, newest version of each last."""

    def ensure_base(self, image: MarketplaceImage, progress: Progress) -> DiskInfo:
        """The frozen OS disk of a marketplace image, built at the first call; version ``latest`` means the newest.

        Raises UnsupportedImage (not in the catalogue, or the host lacks something), BuildFailed.
        """

    def create_empty(self, name: DiskName, size_bytes: int) -> DiskInfo:
        """A writable disk of zeros that occupies nothing. Raises DiskExists."""

    def format_empty(self, name: DiskName, label: str) -> DiskInfo:
        """ext4 on the whole of a writable disk of zeros. Raises DiskFrozen, DiskNotEmpty, BuildFailed."""

    def import_file(self, name: DiskName, source: Path, length: int | None = None) -> DiskInfo:
        """A writable disk from a file: raw, VHD, VHDX, qcow2, VMDK, archive of a root file system; told by its bytes.

        Only the first ``length`` bytes count. The file must not change meanwhile. Raises DiskExists, UnsupportedImage.
        """

    def import_disk(self, name: DiskName, source: DiskName, length: int) -> DiskInfo:
        """`import_file` of the first ``length`` bytes of a disk, to which nobody writes meanwhile."""

    def read(self, name: DiskName, offset: int, length: int) -> bytes:
        """Bytes of a disk from ``offset`` on; fewer at its end."""

    def write(self, name: DiskName, offset: int, data: bytes) -> None:
        """Write bytes within a writable disk, synced. Raises DiskFrozen."""

    def clear(self, name: DiskName, offset: int, length: int) -> None:
        """Make a range of a writable disk zeros and give its space back. Raises DiskFrozen."""

    def clone(self, source: DiskName, name: DiskName) -> DiskInfo:
        """A writable copy. A source that is mounted writable must be quiet (fsfreeze) meanwhile. Raises DiskExists."""

    def snapshot(self, source: DiskName, name: DiskName) -> DiskInfo:
        """A frozen copy: clone and freeze in one step. Raises DiskExists."""

    def correct(self, source: DiskName, name: DiskName) -> DiskInfo:
        """A frozen copy of an OS disk without what `lint` finds and may safely be taken away (see corrector.py).

        Raises DiskExists, UnsupportedImage, BuildFailed.
        """

    def resize(self, name: DiskName, size_bytes: int, *, grow_filesystem: bool = False) -> DiskInfo:
        """Grow the block device; smaller is refused. Raises DiskFrozen.

        With ``grow_filesystem`` an ext file system on the whole disk grows along, anything else on it stays as it is.
        """

    def freeze(self, name: DiskName) -> str:
        """Make a disk read-only for ever and return its digest; of a frozen disk just the digest."""

    def inspect(self, name: DiskName) -> Inspection:
        """Partition, file system and operating system of a disk, read without mounting it writable."""

    def lint(self, name: DiskName) -> tuple[Finding, ...]:
        """What on an OS disk will trouble nodes made from it, gravest first. Raises BuildFailed, UnsupportedImage."""

    def delete(self, name: DiskName, *, missing_ok: bool = False) -> bool:
        """Remove a disk; True when it was there. Raises DiskNotFound unless ``missing_ok``."""

    def get(self, name: DiskName) -> DiskInfo:
        """One disk, base disks included."""

    def list(self) -> tuple[DiskInfo, ...]:
        """All disks callers made, by name. Base disks are the plane's own and not among them."""

    def path(self, name: DiskName, *, writable: bool = False) -> Path:
        """Where the raw file is. Raises DiskFrozen when a writable one is asked of a frozen disk."""

    def close(self) -> None:
        """Make a running build fail soon, so that its thread ends; later builds fail at once."""

    def usage(self) -> Usage:
        """Space used and free."""

    def recover(self) -> Recovery:
        """Undo what a killed process left half done. Call once at start, before anything else."""


def check_new_name(name: DiskName, prop: str = "name") -> DiskName:
    """The name, when a caller may give it to a new disk; raises InvalidDiskArgument."""
    check_name(name, prop)
    if name.startswith(BASE_PREFIX):
        raise InvalidDiskArgument(prop, name, f"names starting with {BASE_PREFIX!r} are kept for base disks")
    return name


def check_name(name: DiskName, prop: str = "name") -> DiskName:
    """The name, when it is well-formed and so one path component; raises InvalidDiskArgument."""
    if _NAME.fullmatch(name) is None:
        raise InvalidDiskArgument(prop, name, "it must be 1 to 80 characters of a-z, 0-9 and '-'")
    return name


def check_size(size_bytes: int, prop: str = "size_bytes") -> int:
    """The size, when a disk can have it; raises InvalidDiskArgument."""
    if not MIN_DISK_BYTES <= size_bytes <= MAX_DISK_BYTES:
        raise InvalidDiskArgument(prop, size_bytes, f"it must be {MIN_DISK_BYTES} to {MAX_DISK_BYTES} bytes")
    if size_bytes % SECTOR_GRANULE_BYTES:
        raise InvalidDiskArgument(prop, size_bytes, f"it must be a multiple of {SECTOR_GRANULE_BYTES} bytes")
    return size_bytes


def check_range(size_bytes: int, offset: int, length: int) -> None:
    """Raises InvalidDiskArgument unless the range lies within a disk of that size."""
    if offset < 0 or length < 0 or offset + length > size_bytes:
        raise InvalidDiskArgument("offset", offset, f"{length} bytes from there are not within {size_bytes}")


def check_label(label: str, prop: str = "label") -> str:
    """The volume label, when ext4 can hold it; raises InvalidDiskArgument."""
    if not label.isascii() or not label.isprintable() or len(label) > MAX_LABEL_BYTES:
        raise InvalidDiskArgument(
            prop, label, f"it must be at most {MAX_LABEL_BYTES} printable ASCII characters"
        )
    return label
