"""Which multi-instance task gets how many nodes at once: all of them or none.

A gang that waits for nodes may hold the free ones back from tasks of equal and lower priority, so that small tasks do
not starve it; but only for a bounded time, after which it stands back for as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolwright.decide.placement import AFFINITY_PREFIX
from poolwright.domain.clock import Instant
from poolwright.domain.limits import GANG_HOLD
from poolwright.domain.pool import Pool


@dataclass(frozen=True, slots=True)
class Hold:
    """A gang keeps free nodes of a pool for itself since then (or stands back, when that was long ago)."""

    task_pk: int
    since: Instant


def runs_gangs(pool: Pool) -> bool:
    """Whether multi-instance tasks may run in the pool at all (public rule)."""
    return pool.spec.inter_node and pool.spec.slots_per_node == 1


def choose(free: Sequence[str], instances: int, affinity: str | None) -> list[str] | None:
    """The nodes of a gang, its master first, or None if there are too few."""
    if len(free) < instances:
        return None
    wished = None if affinity is None else affinity.removeprefix(AFFINITY_PREFIX)
    ordered = sorted(free, key=lambda node: node != wished)
    return ordered[:instances]


def holds(hold: Hold | None, task_pk: int, now: Instant) -> tuple[Hold, bool]:
    """The hold as it is now, and whether this task may keep the free nodes for itself."""
    if hold is None or hold.task_pk != task_pk or now - hold.since >= 2 * GANG_HOLD:
        hold = Hold(task_pk, now)
    return hold, now - hold.since < GANG_HOLD
