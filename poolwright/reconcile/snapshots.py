"""Reading one pool for its planners: rows become a PoolSnapshot."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from poolwright.decide import preempt
from poolwright.decide.sharing import sharing_keys
from poolwright.decide.snapshot import Headroom, Held, ImageMissing, ImagePreparing, ImageReady, PoolSnapshot
from poolwright.domain import sizes
from poolwright.domain.clock import Instant
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.resource import pool_key
from poolwright.domain.states import AllocationState, DeallocationOption, JobState, NodeState, TaskState
from poolwright.domain.task import Execution
from poolwright.reconcile.images import DiskSet
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.node_storage import rooms_of
from poolwright.store.base import Tx

_log = logging.getLogger(__name__)

#: Finished tasks of a node looked at for their retention; older ones are taken to be over.
RETAINED_TASKS_MAX = 1000


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool's snapshot, with what the planners do not need but the pass does."""

    snapshot: PoolSnapshot
    executions: tuple[Execution, ...]
    disks: DiskSet | None


def load(tx: Tx, kit: Kit, account: str, id: str, now: Instant) -> PoolView | None:
    """The pool as it is, or None if there is none."""
    pool = tx.pools.get(account, id)
    if pool is None:
        return None
    nodes = tx.nodes.of_pool(account, id)
    executions = tx.executions.of_pool(account, id)
    # What runs beside the tasks takes no slot, and nobody waits for it.
    live = Counter(execution.node for execution in executions if execution.slots)
    ordered = Counter(e.node for e in executions if e.slots and e.kill_reason is not None)
    beside = Counter(e.node for e in executions if not e.slots and e.kill_reason is None)
    slots: Counter[str] = Counter()
    for execution in executions:
        slots[execution.node] += execution.slots
    stay = sum(node.drain is None and node.state is not NodeState.LEAVING_POOL for node in nodes)
    answer = _disks(tx, kit, pool)
    disks = answer if isinstance(answer, DiskSet) else None
    simulated = _simulated(kit, disks)
    room, classes = kit.room(), rooms_of(pool.spec, kit.class_rooms())
    snapshot = PoolSnapshot(
        pool=pool,
        nodes=tuple(nodes),
        now=now,
        image=ImageReady(answer.image) if isinstance(answer, DiskSet) else answer,
        held={id: Held(live[id], ordered[id], slots[id], beside[id]) for id in sorted({*live, *beside})},
        retained_until=_retained(tx, pool, nodes, live),
        headroom=headroom(tx, kit, pool, stay),
        quotas=kit.settings.quotas,
        host_refuses=None if simulated else _refusal(kit, disks),
        simulated=simulated,
        regrow=kit.settings.regrow_large_pools,
        managers=_managers(tx, pool),
        ports_taken=_ports_taken(tx, kit, pool, stay),
        auto_pool=tx.auto_pools.get(account, id) is not None,
        pressure=preempt.holds_back(kit.beat, kit.pressure_limit_mib),
        disk_low=room.low or classes.low,
        disk_full=room.full or classes.full,
    )
    return PoolView(snapshot, tuple(executions), disks)


def _disks(tx: Tx, kit: Kit, pool: Pool) -> DiskSet | ImagePreparing | ImageMissing:
    """The pool's disks. A failing look at the disks must not keep the pool's other nodes and tasks waiting."""
    try:
        return kit.images.disks_for(tx, pool)
    except OSError as error:
        _log.warning("the disks of pool %s cannot be looked at: %s", pool.id, error)
        return ImagePreparing(f"its disks cannot be looked at now: {error.strerror or error}")


def headroom(tx: Tx, kit: Kit, pool: Pool, have: int) -> Headroom:
    """What other pools use of what this one shares; only read while the pool may grow."""
    size = sizes.find(pool.spec.vm_size)
    cores = size.cores if size is not None else 1
    if not _growing(pool, have):
        return Headroom(cores_per_node=cores)
    image_dedicated, image_low = _nodes_of(tx, sharing(tx, pool))
    quotas = kit.settings.quotas
    cores_dedicated = cores_low = 0
    if quotas.dedicated_cores is not None or quotas.low_priority_cores is not None:
        for other in tx.pools.every():
            if other.account == pool.account and other.id.lower() != pool.id.lower():
                dedicated, low = _nodes_of(tx, [other])
                each = sizes.find(other.spec.vm_size)
                cores_dedicated += dedicated * (each.cores if each is not None else 1)
                cores_low += low * (each.cores if each is not None else 1)
    return Headroom(image_dedicated, image_low, cores_dedicated, cores_low, cores)


def _growing(pool: Pool, have: int) -> bool:
    wanted = pool.target_dedicated + pool.target_low_priority
    return pool.allocation is AllocationState.RESIZING or have < wanted


def _ports_taken(tx: Tx, kit: Kit, pool: Pool, have: int) -> frozenset[tuple[str, int]]:
    """Front-end ports that are not this pool's to give; only read while it may grow, and has NAT pools."""
    if not pool.spec.network.nat_pools or not _growing(pool, have):
        return frozenset()
    own = kit.settings.service_port
    taken = set() if own is None else {("tcp", own)}
    for other in tx.pools.every():
        if other.spec.network.nat_pools and pool_key(other.account, other.id) != pool_key(
            pool.account, pool.id
        ):
            for node in tx.nodes.of_pool(other.account, other.id):
                taken |= {(given.protocol, given.port) for given in node.front_ports}
    return frozenset(taken)


def sharing(tx: Tx, pool: Pool) -> list[Pool]:
    """Other pools whose nodes count together with this pool's: see decide/sharing.py."""
    image = pool.spec.image.image_id
    if image is None:
        return []
    keys = sorted(sharing_keys(tx.resources, image))
    found = {(p.account, p.id.lower()): p for key in keys for p in tx.pools.with_image(key)}
    found.pop((pool.account, pool.id.lower()), None)
    return list(found.values())


def _nodes_of(tx: Tx, pools: Sequence[Pool]) -> tuple[int, int]:
    dedicated = low = 0
    for pool in pools:
        for (_, is_dedicated), count in tx.nodes.counts(pool.account, pool.id).items():
            if is_dedicated:
                dedicated += count
            else:
                low += count
    return dedicated, low


def _managers(tx: Tx, pool: Pool) -> frozenset[str]:
    if pool.allocation is not AllocationState.RESIZING:
        return frozenset()
    found = set()
    for job in tx.jobs.of_pool(pool.account, pool.id, frozenset({JobState.ACTIVE})):
        task = None if job.spec.manager is None else tx.tasks.get(job.pk, job.spec.manager.id)
        if (
            task is not None
            and task.state in (TaskState.PREPARING, TaskState.RUNNING)
            and task.node is not None
        ):
            found.add(task.node)
    return frozenset(found)


def _retained(tx: Tx, pool: Pool, nodes: Sequence[Node], live: Counter[str]) -> dict[str, Instant]:
    """Until when nodes that wait for it must keep the data of finished tasks; also those that a resize may choose to
    go in this very pass."""
    resizes = pool.allocation is AllocationState.RESIZING
    chosen = pool.resize.option if resizes else None
    until = {}
    for node in nodes:
        drained = None if node.drain is None else node.drain.option
        # A resize may take over a drain.
        if DeallocationOption.RETAINED_DATA not in (chosen, drained) or live[node.id]:
            continue
        tasks = tx.tasks.recent_of_node(node.account, node.pool, node.id, RETAINED_TASKS_MAX)
        kept = [task.ended_at + task.spec.retention for task in tasks if task.ended_at is not None]
        until[node.id] = max(kept, default=0)
    return until


def _simulated(kit: Kit, disks: DiskSet | None) -> bool:
    """Whether machines of this image can only be pretended, and may be."""
    able = kit.capabilities
    if able is None or disks is None or disks.os not in able.simulates:
        return False
    return not disks.made or disks.os not in able.runs_os


def _refusal(kit: Kit, disks: DiskSet | None) -> str | None:
    """Why this host can never run the image, as far as the engine has told."""
    able = kit.capabilities
    if able is None:
        return None
    if not able.usable:
        return "this host runs no machines: " + "; ".join(f"{m.what}: {m.consequence}" for m in able.missing)
    if disks is not None and disks.os not in able.runs_os:
        runs = ", ".join(sorted(able.runs_os))
        hint = "with --simulate they are simulated"
        return f"no engine of this service runs {disks.os} machines (it runs {runs}); {hint}"
    if disks is not None and disks.data and not able.data_disks:
        return "this host cannot attach the data disks of the image"
    return None
