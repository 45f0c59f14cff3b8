"""Multi-instance tasks onto free nodes, in passes over a whole pool; never on the path of ordinary tasks."""

from __future__ import annotations

from collections.abc import Sequence, Set

from poolwright.decide import gangs as rules
from poolwright.decide import placement
from poolwright.domain.clock import Instant
from poolwright.domain.limits import ASSIGN_BATCH_MAX, GANG_HOLD
from poolwright.domain.multi_instance import SIZE_BASE
from poolwright.domain.pool import Pool
from poolwright.domain.states import JobOrder, PoolState
from poolwright.domain.task import Task
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.placer import ROUNDS_MAX, Placer
from poolwright.store.base import Tx

#: Gangs looked at in one pass.
LOOK = 20


def waiting(
    tx: Tx, kit: Kit, pool: Pool, most: int, now: Instant, limit: int = LOOK, skip: Set[int] = frozenset()
) -> list[Task]:
    """Gangs of at most `most` nodes that may start, best first, but for those of the jobs of `skip`; none in a pool
    that cannot run any."""
    if not rules.runs_gangs(pool) or most <= 0:
        return []
    fifo = pool.spec.job_order is JobOrder.CREATION_TIME
    turn = None if fifo else 0
    expired = kit.expired_tasks(tx, now)
    sizes = (SIZE_BASE + most, SIZE_BASE + 1)
    return tx.tasks.ready(pool.account, pool.id, limit, sizes[0], turn, skip, expired, sizes[1])


def run(tx: Tx, kit: Kit, pool: Pool, placer: Placer, now: Instant) -> tuple[bool, Instant | None]:
    """Place gangs and ordinary tasks in order of priority. Returns whether there may be more to place, and when a gang
    stops holding nodes back. The first gang that finds too few free nodes holds them; while it stands back, all others
    get their try."""
    key = (pool.account, pool.id)
    gangs = _gangs(tx, kit, pool, placer, now)
    stands_back = False
    for task in gangs:
        priority = placer.job(task.job_pk).spec.priority
        if placer.run(above=priority):
            return True, None
        placer.managers(priority)
        if not placer.may_run(task):
            continue  # those before it in this pass are as many as its job allows
        nodes = _nodes(placer, pool, task)
        if nodes is not None:
            placer.start_gang(task, nodes)
        elif not stands_back:
            stands_back = True
            hold, keeps = rules.holds(kit.holds.get(key), task.pk, now)
            kit.holds[key] = hold
            if keeps:
                return False, hold.since + GANG_HOLD
    if not stands_back:
        kit.holds.pop(key, None)
    return placer.run() or (len(gangs) >= LOOK and not stands_back), None


def _gangs(tx: Tx, kit: Kit, pool: Pool, placer: Placer, now: Instant) -> Sequence[Task]:
    """Gangs that would find enough nodes if all were free. Others (their job's preparation failed on too many) wait for
    an operator: they must not hold nodes, nor stand before those behind them."""
    if pool.state is not PoolState.ACTIVE:
        return []
    able = {id for id, node in placer.nodes.items() if placement.takes_tasks(node)}
    most, skip = min(len(able), ASSIGN_BATCH_MAX), set[int]()
    for _ in range(ROUNDS_MAX):
        found = waiting(tx, kit, pool, most, now, skip=skip)
        gangs = [task for task in found if len(able - placer.wish(task).barred) >= _instances(task)]
        if gangs or len(found) < LOOK:
            return gangs
        skip |= {task.job_pk for task in found}
    return []


def _nodes(placer: Placer, pool: Pool, task: Task) -> list[str] | None:
    barred = placer.wish(task).barred
    rooms = placement.rooms(placer.nodes.values(), placer.used, pool.spec.slots_per_node)
    free = [room.node for room in rooms if room.node not in barred and placer.nodes[room.node].address]
    return rules.choose(free, _instances(task), task.spec.affinity_id)


def _instances(task: Task) -> int:
    assert task.spec.multi is not None
    return task.spec.multi.instances
