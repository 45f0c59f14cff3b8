"""What callers ask of disks, snapshots, images and build virtual machines, and what the service keeps about them.

The `...State` values are the `inner` JSON of a resource (see domain/resource.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from poolwright.domain.clock import Instant

GIB = 1024**3
FOOTER_BYTES = 512  # of a fixed VHD, after the disk itself


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """A marketplace image, or a managed image by id. Exactly one form is set."""

    id: str | None = None
    publisher: str = ""
    offer: str = ""
    sku: str = ""
    version: str = "latest"


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A disk or snapshot to be made. `option` is "Empty", "Copy", "FromImage" or "Upload"; sizes in GiB."""

    option: str
    size_gib: int | None = None
    source_id: str | None = None  # Copy: a disk or snapshot; FromImage: an image
    image: ImageChoice | None = None  # FromImage: a marketplace image instead
    image_lun: int | None = None  # FromImage: a data disk of the image instead of its OS disk
    os_type: str | None = None
    generation: str | None = None
    upload_bytes: int | None = None  # Upload: bytes of the file to come, a fixed VHD's footer among them


@dataclass(frozen=True, slots=True)
class ImageDiskSpec:
    """One disk of an image to be made. `lun` is None for the OS disk."""

    lun: int | None
    source_id: str
    caching: str = "None"
    storage_type: str | None = None
    size_gib: int | None = None


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """An image to be made: from a generalized machine, from an image to be corrected, or from disks and snapshots."""

    machine_id: str | None = None
    corrected_from: str | None = None  # an image, whose findings are put right where that is safe
    os_disk: ImageDiskSpec | None = None
    data_disks: tuple[ImageDiskSpec, ...] = ()
    os_state: str = "Generalized"
    generation: str = "V1"


@dataclass(frozen=True, slots=True)
class VersionSpec:
    """A version of a gallery's image to be made: from one image or machine, or from single disks and snapshots.

    `hidden`: not to be taken when the latest version is asked for. `keep_until`: not to be deleted before.
    """

    source_id: str | None = None
    os_disk: ImageDiskSpec | None = None
    data_disks: tuple[ImageDiskSpec, ...] = ()
    hidden: bool = False
    keep_until: Instant | None = None


@dataclass(frozen=True, slots=True)
class MachineDiskSpec:
    """One disk of a virtual machine to be made. `lun` is None for the OS disk."""

    lun: int | None
    option: str  # "FromImage" | "Empty" | "Attach"
    name: str | None = None
    disk_id: str | None = None  # Attach
    size_gib: int | None = None
    caching: str | None = None
    storage_type: str | None = None
    delete_option: str = "Detach"


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A virtual machine to be made."""

    size: str
    image: ImageChoice | None
    os_disk: MachineDiskSpec
    data_disks: tuple[MachineDiskSpec, ...] = ()
    computer_name: str | None = None
    generation: str = "V1"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one file of the image plane is made.

    `how`: "empty" (formatted ext4), "clone" (writable copy), "freeze" (frozen copy), "correct" (frozen copy of an OS
    disk with what should not be in an image taken out), "base" (writable copy of a
    marketplace image, `urn` = publisher, offer, sku, version), "blank" (zeros, to be written by a caller), "import"
    (the disk in the first `size_bytes` of a blank one, which is removed afterwards).
    """

    name: str
    how: str
    source: str | None = None
    size_bytes: int | None = None  # "empty": its size; otherwise grown to at least this
    urn: tuple[str, str, str, str] | None = None
    storage: str | None = None  # storage class whose directory it is made in; None: that of the default type


@dataclass(frozen=True, slots=True)
class Moved:
    """What a disk was before its type was changed last: it is that again when the change fails."""

    recipe: Recipe
    sku: str | None


@dataclass(frozen=True, slots=True)
class DiskAccess:
    """Leave to read or write a disk's bytes by a signed address. `until` in microseconds of Unix time."""

    level: str  # "Read" | "Write"
    secret: str  # what addresses are signed with; they end with it
    until: int

    def __repr__(self) -> str:
        return f"DiskAccess({self.level!r}, until={self.until})"


@dataclass(frozen=True, slots=True)
class DiskState:
    """`inner` of a disk or snapshot. `attached_to` is the id of the machine that holds the disk.

    `upload_bytes` is the size of the file that a caller still has to upload; 0 for a disk that is there.
    """

    recipe: Recipe
    attached_to: str | None = None
    size_bytes: int = 0
    unique_id: str = ""
    upload_bytes: int = 0
    access: DiskAccess | None = None
    moved: Moved | None = None


@dataclass(frozen=True, slots=True)
class ImageDisk:
    """A data disk of an image: the image plane's name and what pools need to know. `size` in bytes."""

    lun: int
    name: str
    size: int = 0
    caching: str = "None"
    type: str = "Standard_LRS"
    volume: tuple[int, int] = (0, 0)  # as `ImageState.os_volume`


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found on an image's OS disk that its nodes may suffer from, and what to do about it."""

    code: str
    severity: str  # "error": nodes or tasks will fail; "warning": they may, or a secret spreads; "info"
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class ImageState:
    """`inner` of an image. Everything after `recipes` is known once it is made.

    `digest` stands for all its disks together; `os` holds id, version and pretty name of the operating system.
    """

    os_disk: str
    recipes: tuple[Recipe, ...]
    data_disks: tuple[ImageDisk, ...] = ()
    os_size: int = 0
    os_type: str = "Linux"
    agent_sku: str | None = None
    os: dict[str, str | None] = field(default_factory=dict)
    digest: str | None = None
    os_volume: tuple[int, int] = (0, 0)  # bytes: offset and size of the root's partition; size 0: whole disk
    findings: tuple[Finding, ...] = ()
    fixed: tuple[
        Finding, ...
    ] = ()  # of a corrected image: what was found in its source and is not in it any more
    force: bool = False  # being deleted although pools use it
    os_storage: str = "Standard_LRS"
    os_state: str = "Generalized"
    generation: str = "V1"
    hidden: bool = False  # gallery version: not the latest, whatever its number
    keep_until: Instant | None = None  # gallery version: not to be deleted before


@dataclass(frozen=True, slots=True)
class MachineDisk:
    """A disk of a virtual machine. `disk` is the disk's resource id, `lun` None for the OS disk."""

    lun: int | None
    disk: str
    caching: str = "None"
    delete_option: str = "Detach"
    created: bool = True  # made with the machine, so removed again when making the machine fails


@dataclass(frozen=True, slots=True)
class MachineState:
    """`inner` of a virtual machine. `fence` grows with every start; `power` is the last confirmed power state."""

    machine: str  # the engine's name
    vm_id: str
    hostname: str
    size: str
    want: str  # "running" | "stopped" | "deallocated"
    power: str  # PowerState value
    disks: tuple[MachineDisk, ...]
    fence: int = 1
    made: bool = False  # it ran once: a later failure does not take it apart
    generalized: bool = False
    gone: bool = False  # being deleted, and the engine has confirmed it holds nothing
    address: str | None = None
    notes: tuple[str, ...] = ()


State = DiskState | ImageState | MachineState


def dump(state: State) -> bytes:
    """The JSON kept in `Resource.inner`."""
    return json.dumps(asdict(state), separators=(",", ":")).encode()


def disk_state(inner: bytes) -> DiskState:
    """`inner` of a disk or snapshot."""
    fields = json.loads(inner)
    access = fields.get("access")
    granted = None if access is None else DiskAccess(**access)
    before = fields.get("moved")
    moved = None if before is None else Moved(_recipe(before["recipe"]), before["sku"])
    return DiskState(**{**fields, "recipe": _recipe(fields["recipe"]), "access": granted, "moved": moved})


def image_state(inner: bytes) -> ImageState:
    """`inner` of an image."""
    fields = json.loads(inner)
    return ImageState(
        **{
            **fields,
            "recipes": tuple(_recipe(recipe) for recipe in fields["recipes"]),
            "data_disks": tuple(
                ImageDisk(**{**disk, "volume": _volume(disk)}) for disk in fields["data_disks"]
            ),
            "os_volume": _volume(fields, "os_volume"),
            "findings": tuple(Finding(**found) for found in fields.get("findings", ())),
            "fixed": tuple(Finding(**found) for found in fields.get("fixed", ())),
        }
    )


def _volume(fields: Mapping[str, Any], name: str = "volume") -> tuple[int, int]:
    offset, size = fields.get(name, (0, 0))  # images made before this was recorded have whole disks only
    return offset, size


def machine_state(inner: bytes) -> MachineState:
    """`inner` of a virtual machine."""
    fields = json.loads(inner)
    disks = tuple(MachineDisk(**disk) for disk in fields["disks"])
    return MachineState(**{**fields, "disks": disks, "notes": tuple(fields["notes"])})


def _recipe(fields: Mapping[str, Any]) -> Recipe:
    urn = fields["urn"]
    if urn is None:
        return Recipe(**fields)
    publisher, offer, sku, version = urn
    return Recipe(**{**fields, "urn": (publisher, offer, sku, version)})
