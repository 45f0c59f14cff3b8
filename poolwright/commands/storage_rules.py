"""What a pool's disks may be, where the size of its machines and its image have a say."""

from __future__ import annotations

from poolwright.domain import sizes
from poolwright.domain.compute import GIB, ImageState
from poolwright.domain.errors import bad_property
from poolwright.domain.pool import PoolSpec
from poolwright.domain.storage import EXPORT_HOST, Export, export_name

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
    if spec.os_disk is not None and 0 < spec.os_disk.size_gib * GIB < os_size:
        reason = f"The OS disk of the image has {-(-os_size // GIB)} GB; a node's may only be bigger."
        raise bad_property(_MACHINE + "osDisk.diskSizeGB", spec.os_disk.size_gib, reason)


def check_mounts(spec: PoolSpec, exports: tuple[Export, ...]) -> None:
    """Directories of the host only as the operator exports them. Raises InvalidPropertyValue (400)."""
    for index, mount in enumerate(spec.mounts):
        within = f"mountConfiguration[{index}].nfsMountConfiguration."
        named = export_name(mount.source)
        if named is None:
            if not mount.source.rpartition(":")[2].startswith("/"):
                reason = "The path on the server begins with '/'."
                raise bad_property(within + "source", mount.source, reason)
            continue
        if set(filter(None, mount.options.split(","))) - {"ro", "rw"}:
            reason = "A directory of the host takes the options ro and rw only."
            raise bad_property(within + "mountOptions", mount.options, reason)
        if named[0] not in {export.name for export in exports}:
            known = ", ".join(f"{EXPORT_HOST}:{export.name}" for export in exports) or "none"
            reason = (
                f"The operator exports no directory of this name (poolwright up --export). Exported: {known}."
            )
            raise bad_property(within + "source", mount.source, reason)
