"""Nodes whose machine runs but is of no use: a disk is full, a mount is lost. They rest as unusable, with their tasks
requeued and their start task ended, and come back by themselves when the trouble is over.

Troubles are errors with a source. Those of the machine are over when its agent says so, those of the host when it has
room again; a mount that failed at boot needs another boot, which is tried as any recovery is.
"""

from __future__ import annotations

from dataclasses import replace

from poolwright.decide.node_events import begin, move, rest, troubled
from poolwright.decide.snapshot import PoolSnapshot
from poolwright.domain.errors import FREE_SPACE
from poolwright.domain.node import WITHOUT_MACHINE, Node, NodeError
from poolwright.domain.states import NodeState

#: Troubles that only another boot can end.
NEEDS_BOOT = frozenset({"MountConfigurationError"})


def of(node: Node, snapshot: PoolSnapshot) -> tuple[NodeError, ...]:
    """What keeps a running machine from being of use now."""
    told = tuple(error for error in node.errors if error.source == "machine")
    return told if snapshot.disk_full is None else (*told, disk_full(snapshot.disk_full))


def disk_full(why: str) -> NodeError:
    """The trouble of every node while the host's disk has no room; `why` is what was measured."""
    details = (("Cause", why), ("NextStep", FREE_SPACE))
    return NodeError("DiskFull", f"{why}. {FREE_SPACE}", details, "host")


def held(node: Node) -> bool:
    """Whether the node is unusable for its troubles only (which may just be over): its machine runs."""
    return node.state is NodeState.UNUSABLE and not any(
        error.code in WITHOUT_MACHINE for error in node.errors
    )


def put_aside(node: Node, snapshot: PoolSnapshot) -> Node | None:
    """The node made unusable for its troubles, or None if it has none."""
    troubles = of(node, snapshot)
    return troubled(node, troubles, snapshot.now) if troubles else None


def back(node: Node, snapshot: PoolSnapshot) -> Node | None:
    """The node in use again once its troubles are over, or None while one is left."""
    if of(node, snapshot):
        return None
    now, start_task = snapshot.now, snapshot.pool.spec.start_task
    node = replace(node, errors=tuple(error for error in node.errors if not error.source), retry_at=0)
    node = move(node, NodeState.STARTING, now, "its troubles are over")
    if node.start_task is None:
        return begin(node, start_task, now, "its troubles are over")
    return rest(node, False, start_task, now, "its troubles are over")


def mendable(node: Node) -> bool:
    """Whether another boot may end the trouble."""
    return any(error.code in NEEDS_BOOT for error in node.errors)
