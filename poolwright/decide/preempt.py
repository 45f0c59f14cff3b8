"""Host pressure: when memory runs out, low-priority nodes give way, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from poolwright.domain.clock import SECOND, Instant, Micros
from poolwright.domain.limits import PRESSURE_MEMORY_MIB
from poolwright.domain.node import Node
from poolwright.domain.states import NodeState

#: Freed memory needs this long to show in the next beats; taking more nodes meanwhile would overshoot.
PREEMPT_INTERVAL: Micros = 30 * SECOND
#: Preempted nodes come back only when there is this many times the limit, or they would be taken again at once.
RETURN_FACTOR = 2

_GIVES_MEMORY = frozenset(
    {
        NodeState.STARTING,
        NodeState.WAITING_FOR_START_TASK,
        NodeState.START_TASK_FAILED,
        NodeState.IDLE,
        NodeState.RUNNING,
        NodeState.OFFLINE,
    }
)


@dataclass(frozen=True, slots=True)
class Beat:
    """What the host's agent measured. Memory in MiB."""

    at: Instant
    memory_available_mib: int
    memory_total_mib: int


def under_pressure(beat: Beat, limit_mib: int = PRESSURE_MEMORY_MIB) -> str | None:
    """Why a low-priority node must go, or None."""
    if beat.memory_available_mib >= limit_mib:
        return None
    return f"the host has {beat.memory_available_mib} MiB of memory left, less than {limit_mib} MiB"


def holds_back(beat: Beat | None, limit_mib: int = PRESSURE_MEMORY_MIB) -> str | None:
    """Why preempted nodes may not come back yet, or None."""
    enough = RETURN_FACTOR * limit_mib
    if beat is None or beat.memory_available_mib >= enough:
        return None
    return (
        f"the host has {beat.memory_available_mib} MiB of memory left; preempted nodes return at {enough} MiB"
    )


def victim(nodes: Iterable[Node], slots_used: Mapping[str, int], last: Instant, now: Instant) -> Node | None:
    """The low-priority node to preempt now: fewest slots in use, then the youngest; None if it is too soon.

    `last` is when a node was last preempted for pressure; `slots_used` is by node id.
    """
    if now - last < PREEMPT_INTERVAL:
        return None
    able = [
        node
        for node in nodes
        if not node.dedicated and node.state in _GIVES_MEMORY and node.booted_at is not None
    ]
    return min(able, key=lambda n: (slots_used.get(n.id, 0), -n.allocated_at, n.id), default=None)
