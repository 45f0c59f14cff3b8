"""What a node's machine stores things on besides its image, as the engine is asked for it."""

from __future__ import annotations

from collections.abc import Mapping

from poolwright.domain.compute import GIB
from poolwright.domain.pool import PoolSpec
from poolwright.domain.storage import Export, PoolDisk, PoolMount, StorageClass, export_name
from poolwright.engines.base import NodeMount, OwnDisk


def own_disks(spec: PoolSpec, classes: tuple[StorageClass, ...] = ()) -> tuple[OwnDisk, ...]:
    """The disks each node gets of its own, where those of their types go; first the bound on its root, if any."""
    places = {known.type: known.nodes for known in classes}
    return tuple(OwnDisk(disk.lun, disk.size_gib * GIB, places.get(disk.type, "")) for disk in _disks(spec))


def low_class(spec: PoolSpec, low: Mapping[str, str]) -> str | None:
    """Why a pool cannot have more nodes: the directory of a type of their disks is nearly full. `low` by type."""
    return next((low[disk.type] for disk in _disks(spec) if disk.type in low), None)


def _disks(spec: PoolSpec) -> list[PoolDisk]:
    return [disk for disk in (spec.os_disk, *spec.data_disks) if disk is not None]


def mounts(spec: PoolSpec, exports: tuple[Export, ...]) -> tuple[NodeMount, ...]:
    """What is mounted in each node. An export that is no more is asked for all the same: the node says so."""
    return tuple(_mount(mount, exports) for mount in spec.mounts)


def _mount(mount: PoolMount, exports: tuple[Export, ...]) -> NodeMount:
    options = set(mount.options.split(","))
    named = export_name(mount.source)
    if named is None:
        return NodeMount(mount.path, "nfs", mount.source, read_only="ro" in options, options=mount.options)
    name, inside = named
    export = next((one for one in exports if one.name == name), None)
    if export is None:
        reason = (
            f"the operator exports no directory {name} any more; start the service with --export {name}=DIR"
        )
        return NodeMount(mount.path, "none", reason)
    read_only = export.read_only or "ro" in options
    return NodeMount(
        mount.path,
        "directory",
        export.path,
        inside=inside,
        read_only=read_only,
        device=export.device,
        inode=export.inode,
    )
