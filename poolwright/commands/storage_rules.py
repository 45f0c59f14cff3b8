"""What a pool's disks may be, where the size of its machines and its image have a say."""

from __future__ import annotations

from poolwright.domain import sizes
from poolwright.domain.compute import GIB, ImageState
from poolwright.domain.errors import bad_property
from poolwright.domain.pool import PoolSpec

_MACHINE = "virtualMachineConfiguration."


def check_disk_count(spec: PoolSpec) -> None:
    """No more data disks than the size takes. Raises InvalidPropertyValue (400)."""
    size = sizes.find(spec.vm_size)
    if size is not None and len(spec.data_disks) > size.max_data_disks:
        reason = f"{size.name} takes at most {size.max_data_disks} data disks."
        raise bad_property(_MACHINE + "dataDisks", f"{len(spec.data_disks)} disks", reason)


def check_image_disks(spec: PoolSpec, image: ImageState) -> None:
    """No LUN that a disk of the image has; no OS disk smaller than the image's. Raises InvalidPropertyValue (400)."""
    taken = {disk.lun for disk in image.data_disks}
    os_size = image.os_size
    for index, disk in enumerate(spec.data_disks):
        if disk.lun in taken:
            reason = "A data disk of the image has this LUN."
            raise bad_property(f"{_MACHINE}dataDisks[{index}].lun", disk.lun, reason)
    if spec.os_disk is not None and spec.os_disk.size_gib * GIB < os_size:
        reason = f"The OS disk of the image has {-(-os_size // GIB)} GB; a node's may only be bigger."
        raise bad_property(_MACHINE + "osDisk.diskSizeGB", spec.os_disk.size_gib, reason)
