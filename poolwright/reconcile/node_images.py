"""Which disks one node's machine gets: those of what it was made from, as long as that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poolwright.domain.node import Node
from poolwright.engines.base import MachineRequest
from poolwright.reconcile.images import DiskSet
from poolwright.reconcile.kit import Kit
from poolwright.store.base import Tx


def keep_versions(
    tx: Tx, kit: Kit, nodes: dict[str, Node], requests: Sequence[tuple[str, MachineRequest]], current: DiskSet
) -> list[MachineRequest]:
    """The requests, by node id, each with the disks of the version its node was created with.

    A node keeps its version also when its machine is made anew. When that version is gone (deleted by force) the node
    takes what the pool's new nodes take, and says so from then on; `nodes` then has its new row.
    """
    kept = []
    for id, request in requests:
        node = nodes[id]
        if node.image == current.image:
            kept.append(request)
            continue
        own = kit.images.disks_of(tx, node.image) if node.image else None
        if own is None:
            nodes[id] = tx.nodes.update(replace(node, image=current.image))
            kept.append(request)
        else:
            kept.append(_with_disks(request, own))
    return kept


def _with_disks(request: MachineRequest, disks: DiskSet) -> MachineRequest:
    offset, size = disks.os_volume
    return replace(request, os_disk=disks.os_path, data_disks=disks.data, os_offset=offset, os_size=size)
