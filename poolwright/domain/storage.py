"""What a pool's nodes store things on besides their image: disks of their own, and places mounted into them."""

from __future__ import annotations

from dataclasses import dataclass

#: Types of disks by the spelling of the data plane; the values are those of the management plane.
DISK_TYPES = {
    "standard_lrs": "Standard_LRS",
    "standardssd_lrs": "StandardSSD_LRS",
    "premium_lrs": "Premium_LRS",
}
DISK_TYPE_DEFAULT = "Standard_LRS"


@dataclass(frozen=True, slots=True)
class PoolDisk:
    """A disk that every node of a pool gets of its own. `lun` is None for the OS disk, whose size bounds what the
    node may write on top of its image (0: no size was asked for, so it is the image's)."""

    lun: int | None
    size_gib: int
    type: str = DISK_TYPE_DEFAULT
    caching: str = "readwrite"


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A type of disks ("Premium_LRS") with a directory of this host of its own; `nodes` is the part of it that disks of
    nodes are made in."""

    type: str
    directory: str
    nodes: str = ""


def class_directory(classes: tuple[StorageClass, ...], type: str | None) -> str | None:
    """Where new disks of a type go; None for the service's own directory, where those of every other type go."""
    wanted = type or DISK_TYPE_DEFAULT
    return next((known.directory for known in classes if known.type == wanted), None)


EXPORT_HOST = "poolwright"  # the "server" of mount sources that are directories of this host


@dataclass(frozen=True, slots=True)
class PoolMount:
    """A place that every node of a pool has below its mounts directory.

    `source` is "SERVER:/PATH" (NFS), or "poolwright:NAME/PATH" for a directory of this host that the operator exports.
    """

    path: str  # relative to the mounts directory
    source: str
    options: str = ""  # comma-separated, as mount(8) takes them


@dataclass(frozen=True, slots=True)
class Export:
    """A directory of this host that pools may mount. `device` and `inode` are what it was when the service started."""

    name: str
    path: str
    read_only: bool = False
    device: int = 0
    inode: int = 0


def export_name(source: str) -> tuple[str, str] | None:
    """(name, path inside) of a mount source that stands for an export; None for one of a server."""
    host, _, rest = source.partition(":")
    if host != EXPORT_HOST:
        return None
    name, _, inside = rest.lstrip("/").partition("/")
    return name, inside
