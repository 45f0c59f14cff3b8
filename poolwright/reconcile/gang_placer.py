"""Multi-instance tasks onto free nodes, in passes over a whole pool; never on the path of ordinary tasks."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.decide import gangs as rules
from poolwright.decide import placement
from poolwright.domain.clock import Instant
from poolwright.domain.limits import ASSIGN_BATCH_MAX, GANG_HOLD
from poolwright.domain.multi_instance import SIZE_BASE
from poolwright.domain.pool import Pool
from poolwright.domain.states import JobOrder, PoolState
from poolwright.domain.task import Task
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.placer import Placer
from poolwright.store.base import Tx

#: Gangs looked at in one pass.
LOOK = 20


def waiting(tx: Tx, kit: Kit, pool: Pool, most: int, now: Instant, limit: int = LOOK) -> list[Task]:
    """Gangs of at most `most` nodes that may start, best first; none in a pool that cannot run any."""
    if not rules.runs_gangs(pool) or most <= 0:
        return []
    fifo = pool.spec.job_order is JobOrder.CREATION_TIME
    turn = None if fifo else 0
    expired = kit.expired_tasks(tx, now)
    sizes = (SIZE_BASE + most, SIZE_BASE + 1)
    return tx.tasks.ready(pool.account, pool.id, limit, sizes[0], turn, frozenset(), expired, sizes[1])


def run(tx: Tx, kit: Kit, pool: Pool, placer: Placer, now: Instant) -> tuple[bool, Instant | None]:
    """Place gangs and ordinary tasks in order of priority. Returns whether there may be more to place, and when a gang
    stops holding nodes back."""
    key = (pool.account, pool.id)
    gangs = _gangs(tx, kit, pool, placer, now)
    for task in gangs:
        priority = placer.job(task.job_pk).spec.priority
        if placer.run(above=priority):
            return True, None
        nodes = _nodes(placer, pool, task)
        if nodes is not None:
            placer.start_gang(task, nodes)
            continue
        hold, keeps = rules.holds(kit.holds.get(key), task.pk, now)
        kit.holds[key] = hold
        if keeps:
            return False, hold.since + GANG_HOLD
        break
    else:
        kit.holds.pop(key, None)
    return placer.run() or len(gangs) >= LOOK, None


def _gangs(tx: Tx, kit: Kit, pool: Pool, placer: Placer, now: Instant) -> Sequence[Task]:
    if pool.state is not PoolState.ACTIVE:
        return []
    able = sum(1 for node in placer.nodes.values() if placement.takes_tasks(node))
    return waiting(tx, kit, pool, min(able, ASSIGN_BATCH_MAX), now)


def _nodes(placer: Placer, pool: Pool, task: Task) -> list[str] | None:
    assert task.spec.multi is not None
    barred = placer.wish(task).barred
    rooms = placement.rooms(placer.nodes.values(), placer.used, pool.spec.slots_per_node)
    free = [room.node for room in rooms if room.node not in barred and placer.nodes[room.node].address]
    return rules.choose(free, task.spec.multi.instances, task.spec.affinity_id)
