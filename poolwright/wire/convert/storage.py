"""Disks of a pool's nodes: bodies to domain values. Sizes are GiB, as the public service counts its "GB"."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.domain.errors import bad_property
from poolwright.domain.limits import DISK_GIB_MAX, LUN_MAX
from poolwright.domain.storage import DISK_TYPE_DEFAULT, DISK_TYPES, PoolDisk
from poolwright.wire.convert.shared import refuse, refuse_given
from poolwright.wire.generated import batch_models as models
from poolwright.wire.scalars import WireEnum

_MACHINE = "virtualMachineConfiguration."
_OS_DISK = _MACHINE + "osDisk."
_MANAGED_NOT_KEPT = ("disk_encryption_set", "security_profile")


def read_os_disk(body: models.BatchOsDisk | None) -> PoolDisk | None:
    """The OS disk of each node when its size is given; otherwise None, and the image's own bounds hold.

    An ephemeral OS disk (placement cachedisk) is what every node has here: fresh with each reimage, on the host.
    """
    if body is None:
        return None
    if body.write_accelerator_enabled:
        reason = "No host has the write accelerator of the cloud's M-series machines; leave it out."
        raise refuse(_OS_DISK + "writeAcceleratorEnabled", "true", reason)
    kind = _type(body.managed_disk, None, _OS_DISK)
    if body.disk_size_gb is None:
        return None
    _check_size(body.disk_size_gb, _OS_DISK)
    return PoolDisk(None, body.disk_size_gb, kind, _word(body.caching, "none"))


def read_data_disks(body: Sequence[models.DataDisk] | None) -> tuple[PoolDisk, ...]:
    """The empty disks that each node gets of its own. Raises InvalidPropertyValue, UnsupportedProperty (400)."""
    disks: list[PoolDisk] = []
    for index, disk in enumerate(body or ()):
        within = f"{_MACHINE}dataDisks[{index}]."
        if not 0 <= disk.lun <= LUN_MAX:
            raise bad_property(within + "lun", disk.lun, f"A LUN is 0 to {LUN_MAX}.")
        if any(disk.lun == other.lun for other in disks):
            raise bad_property(within + "lun", disk.lun, "Another data disk of the pool has this LUN.")
        _check_size(disk.disk_size_gb, within)
        kind = _type(disk.managed_disk, disk.storage_account_type, within)
        disks.append(PoolDisk(disk.lun, disk.disk_size_gb, kind, _word(disk.caching, "readwrite")))
    return tuple(disks)


def _check_size(gib: int, within: str) -> None:
    if not 1 <= gib <= DISK_GIB_MAX:
        raise bad_property(within + "diskSizeGB", gib, f"A disk has 1 to {DISK_GIB_MAX} GB.")


def _type(managed: models.ManagedDisk | None, direct: WireEnum | None, within: str) -> str:
    """The disk's type, which may be given in either of two places (not in both, and then differently)."""
    inner = None
    if managed is not None:
        refuse_given(managed, _MANAGED_NOT_KEPT, within + "managedDisk.")
        inner = managed.storage_account_type
    if inner is not None and direct is not None and inner != direct:
        reason = f"managedDisk.storageAccountType says {inner.value}: one disk has one type."
        raise bad_property(within + "storageAccountType", direct.value, reason)
    given = inner if inner is not None else direct
    return DISK_TYPE_DEFAULT if given is None else DISK_TYPES[given.value]


def _word(given: WireEnum | None, default: str) -> str:
    return default if given is None else given.value
