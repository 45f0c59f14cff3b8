"""Disks and mounts of a pool's nodes: bodies to domain values. Sizes are GiB, which the public service calls "GB"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolwright.domain.errors import bad_property
from poolwright.domain.limits import DISK_GIB_MAX, LUN_MAX, MOUNT_TEXT_MAX, MOUNTS_MAX
from poolwright.domain.storage import DISK_TYPE_DEFAULT, DISK_TYPES, PoolDisk, PoolMount
from poolwright.wire.convert.shared import refuse, refuse_given
from poolwright.wire.generated import batch_models as models
from poolwright.wire.scalars import WireEnum

_MACHINE = "virtualMachineConfiguration."
_OS_DISK = _MACHINE + "osDisk."
_OS_CACHING = {"Premium_LRS": "readonly"}  # where none is asked for; of every other type none
_MANAGED_NOT_KEPT = ("disk_encryption_set", "security_profile")
_PATH = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_SOURCE = re.compile(r"[A-Za-z0-9.-]+:[!-~]+|\[[0-9A-Fa-f:.]+\]:[!-~]+")
_OPTIONS = re.compile(r"[A-Za-z0-9_]+(=[A-Za-z0-9_.:/-]+)?(,[A-Za-z0-9_]+(=[A-Za-z0-9_.:/-]+)?)*")
#: Kinds of mounts that no node can have, and why. Their values hold secrets, so no error shows them.
_NO_MOUNTS = {
    "azure_blob_file_system_configuration": (
        "azureBlobFileSystemConfiguration",
        (
            "Nodes have no blobfuse driver to mount a container with; use resource files and output files, NFS, or a "
            "directory of the host (nfsMountConfiguration with source poolwright:NAME)."
        ),
    ),
    "azure_file_share_configuration": (
        "azureFileShareConfiguration",
        (
            "Azure Files is reached by SMB, which nodes do not mount; use NFS, or a directory of the host "
            "(nfsMountConfiguration with source poolwright:NAME)."
        ),
    ),
    "cifs_mount_configuration": (
        "cifsMountConfiguration",
        (
            "Nodes do not mount SMB shares; mount one on the host, export it to pools (poolwright up --export), "
            "then use nfsMountConfiguration with source poolwright:NAME."
        ),
    ),
}


def read_os_disk(body: models.BatchOsDisk | None) -> PoolDisk | None:
    """The OS disk of each node when its size or type is given; otherwise None, and the image's own bounds hold.

    Without a size it has none of its own (0). An ephemeral OS disk (placement cachedisk) is what every node has here:
    fresh with each reimage, on the host.
    """
    if body is None:
        return None
    if body.write_accelerator_enabled:
        reason = "No host has the write accelerator of the cloud's M-series machines; leave it out."
        raise refuse(_OS_DISK + "writeAcceleratorEnabled", "true", reason)
    kind = _type(body.managed_disk, None, _OS_DISK)
    named = body.managed_disk is not None and body.managed_disk.storage_account_type is not None
    if body.disk_size_gb is None and not named:
        return None
    if body.disk_size_gb is not None:
        _check_size(body.disk_size_gb, _OS_DISK)
    return PoolDisk(None, body.disk_size_gb or 0, kind, _word(body.caching, _OS_CACHING.get(kind, "none")))


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


def read_mounts(body: Sequence[models.MountConfiguration] | None) -> tuple[PoolMount, ...]:
    """What is mounted in each node. Raises InvalidPropertyValue, UnsupportedProperty (400)."""
    mounts: list[PoolMount] = []
    if len(body or ()) > MOUNTS_MAX:
        raise bad_property(
            "mountConfiguration", f"{len(body or ())} mounts", f"A pool has at most {MOUNTS_MAX}."
        )
    for index, item in enumerate(body or ()):
        within = f"mountConfiguration[{index}]"
        kinds = [name for name in item.__struct_fields__ if getattr(item, name) is not None]
        if len(kinds) != 1:
            raise bad_property(within, f"{len(kinds)} kinds of mounts", "Give exactly one kind of mount.")
        if kinds[0] in _NO_MOUNTS:
            name, reason = _NO_MOUNTS[kinds[0]]
            raise refuse(f"{within}.{name}", "given", reason)
        assert item.nfs_mount_configuration is not None
        mount = _nfs(item.nfs_mount_configuration, f"{within}.nfsMountConfiguration.")
        if any(_overlap(mount.path, other.path) for other in mounts):
            reason = "Another mount of the pool has this path, or one of them lies within the other."
            raise bad_property(f"{within}.nfsMountConfiguration.relativeMountPath", mount.path, reason)
        mounts.append(mount)
    return tuple(mounts)


def _nfs(body: models.NfsMountConfiguration, within: str) -> PoolMount:
    path, source = body.relative_mount_path, body.source
    parts = path.split("/")
    if not _short(_PATH, path) or set(parts) & {".", ".."} or parts[0].startswith("fshare-"):
        reason = (
            "A path relative to the mounts directory: letters, digits, '_', '.', '-', separated by '/'; no '..', and "
            "not starting with 'fshare-', which is kept for logs."
        )
        raise bad_property(within + "relativeMountPath", path, reason)
    if not _short(_SOURCE, source) or ".." in source.partition(":")[2].split("/"):
        reason = "SERVER:/PATH for NFS, or poolwright:NAME/PATH for a directory that the operator exports."
        raise bad_property(within + "source", source, reason)
    options = (body.mount_options or "").strip().removeprefix("-o").strip()
    if options and not _short(_OPTIONS, options):
        reason = "Options of mount(8), separated by commas: NAME or NAME=VALUE."
        raise bad_property(within + "mountOptions", body.mount_options, reason)
    return PoolMount(path, source, options)


def _short(form: re.Pattern[str], text: str) -> bool:
    return len(text) <= MOUNT_TEXT_MAX and form.fullmatch(text) is not None


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


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
