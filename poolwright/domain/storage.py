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
    node may write on top of its image."""

    lun: int | None
    size_gib: int
    type: str = DISK_TYPE_DEFAULT
    caching: str = "readwrite"
