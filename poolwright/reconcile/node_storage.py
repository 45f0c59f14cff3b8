"""What a node's machine stores things on besides its image, as the engine is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from poolwright.decide.room import Room
from poolwright.domain.compute import GIB
from poolwright.domain.pool import PoolSpec
from poolwright.domain.storage import Export, PoolMount, StorageClass, export_name
from poolwright.engines.base import NodeMount, OwnDisk


def own_disks(
    spec: PoolSpec, classes: tuple[StorageClass, ...] = (), os_bytes: Callable[[], int] = lambda: 0
) -> tuple[OwnDisk, ...]:
    """The disks each node gets of its own, where those of their types go; first the bound on its root, if any.

    An OS disk without a size is as large as the image's (`os_bytes`), where its type has a directory of its own;
    elsewhere what the node writes lies beside it, without a bound of its own.
    """
    places = {known.type: known.nodes for known in classes}
    made = []
    for disk in spec.disks:
        place = places.get(disk.type, "")
        size = disk.size_gib * GIB or (os_bytes() if place else 0)
        if size:
            made.append(OwnDisk(disk.lun, size, place))
    return tuple(made)


def rooms_of(spec: PoolSpec, rooms: Mapping[str, Room]) -> Room:
    """What the directories of the types of the pool's disks allow its nodes; `rooms` by type."""
    found = [rooms[disk.type] for disk in spec.disks if disk.type in rooms]
    low = next((room.low for room in found if room.low is not None), None)
    return Room(low, next((room.full for room in found if room.full is not None), None))


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
