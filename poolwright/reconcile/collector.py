"""The two-way look for what fell between: machines without rows, rows without machines."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.decide.node_life import HEARD
from poolwright.domain.clock import Instant
from poolwright.domain.node import Node
from poolwright.domain.states import NodeState
from poolwright.engines.base import Machine
from poolwright.reconcile import events
from poolwright.reconcile.events import Batch, Reaction
from poolwright.reconcile.kit import Kit
from poolwright.store.base import Tx

#: Facts looked at for their age in one round; what is beyond them is bounded by their number.
AGED_AT_ONCE = 20_000


def collect(
    tx: Tx, kit: Kit, machines: Sequence[Machine], listed_at: Instant, now: Instant
) -> tuple[Reaction, tuple[str, ...]]:
    """Compare; returns what to tell agents and the node machines that no row owns.

    `listed_at` is when the engine began to list: a machine made later may be missing from the list and be well.
    """
    batch = Batch(tx, kit, now)
    rows = tx.nodes.machines()
    held = {machine.name: machine for machine in machines}
    for name in rows:
        node = batch.node(name)
        if node is not None and _missing(node, held.get(name), listed_at):
            events.lose(batch, node, "the engine does not know its machine")
    tx.journal.prune(kit.settings.events_kept)
    tx.journal.prune_old(now - kit.settings.events_age, AGED_AT_ONCE)
    orphans = tuple(m.name for m in machines if m.kind == "node" and m.name not in rows)
    return batch.reaction, orphans


def _missing(node: Node, machine: Machine | None, listed_at: Instant) -> bool:
    if node.state not in HEARD and node.state is not NodeState.UNKNOWN:
        return False
    if node.booted_at is None or node.booted_at >= listed_at:
        return False
    return machine is None or machine.fence != node.fence or machine.state != "running"
