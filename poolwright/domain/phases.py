"""How long each phase of a node's present life took, from what its record already holds."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.clock import Instant
from poolwright.domain.node import Node
from poolwright.domain.states import NodeState

#: The engine's own phases that count as making the copy of the image; its others are the start of the machine.
_CLONE = frozenset({"groups", "namespaces", "mounts", "disks"})
_BEGINS = frozenset(state.value for state in (NodeState.CREATING, NodeState.REBOOTING, NodeState.REIMAGING))
_READY = frozenset({NodeState.IDLE.value, NodeState.RUNNING.value, NodeState.OFFLINE.value})


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase: `began_at`, and how long it took in milliseconds; None while it goes on."""

    name: str  # "allocation" | "clone" | "boot" | "packages" | "images" | "startTask" | "total"
    began_at: Instant
    milliseconds: float | None


def phases(node: Node) -> tuple[Phase, ...]:
    """The phases of the node's present life in order, as far as they have come; the last is the whole of them.

    `allocation` is the wait for the image, for a place among other machines and for the engine's word; `packages`
    (`images` where the node runs containers) is the bringing of what its pool names.
    """
    began = _began(node)
    if node.booted_at is None or node.booted_at < began:
        return (Phase("allocation", began, None),)
    clone = sum(ms for name, ms in node.phases_ms.items() if name in _CLONE)
    boot = sum(ms for name, ms in node.phases_ms.items() if name not in _CLONE)
    made = max(began, node.booted_at - int((clone + boot) * 1000))
    found = [
        Phase("allocation", began, _ms(began, made)),
        Phase("clone", made, round(clone, 3)),
        Phase("boot", made + int(clone * 1000), round(boot, 3)),
    ]
    task = node.start_task
    ready = min(
        (at for at, state, _ in node.history if state in _READY and at >= node.booted_at), default=None
    )
    if node.packages.items or node.packages.containers:
        there = ready if task is None else task.started_at
        name = "images" if node.packages.containers else "packages"
        found.append(Phase(name, node.booted_at, None if there is None else _ms(node.booted_at, there)))
    if task is not None:
        ended = None if task.ended_at is None else _ms(task.started_at, task.ended_at)
        found.append(Phase("startTask", task.started_at, ended))
    return (*found, Phase("total", began, None if ready is None else _ms(began, ready)))


def present(node: Node) -> str | None:
    """What a node that comes up is at, in words; None for one that does not."""
    if node.state is NodeState.CREATING or (node.state is NodeState.STARTING and node.booted_at is None):
        late = [error.message for error in node.errors if error.code == "MachineDelayed"]
        return late[-1] if late else "its machine is being made"
    if node.state is not NodeState.STARTING:
        return None
    if node.packages.pending:
        return "its application packages are being installed"
    return "its agent is up"


def _began(node: Node) -> Instant:
    """When the present life was asked for."""
    starts = [
        at
        for index, (at, state, _) in enumerate(node.history)
        if state in _BEGINS
        or (
            state == NodeState.STARTING.value
            and index > 0
            and node.history[index - 1][1] == NodeState.DEALLOCATED.value
        )
    ]
    return max(starts, default=node.allocated_at)


def _ms(since: Instant, until: Instant) -> float:
    return max(0, until - since) / 1000
