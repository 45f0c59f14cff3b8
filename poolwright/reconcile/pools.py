"""One pass over one pool: its plan, its placement, and the work that follows, in one transaction."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from poolwright.decide import pool_plan, task_life
from poolwright.decide.node_life import Act, start_due, start_ends
from poolwright.decide.node_logins import travellers
from poolwright.decide.pool_plan import PoolPlan
from poolwright.decide.snapshot import ImagePreparing
from poolwright.decide.task_life import PUT_ASIDE, REQUEUE, TERMINATE, End
from poolwright.domain import sizes, task_events
from poolwright.domain.clock import SECOND, Instant, Micros
from poolwright.domain.facts import DirtyKey
from poolwright.domain.limits import CREATE_BATCH_MAX, LOGINS_BATCH_MAX, Settings
from poolwright.domain.node import Logins, Node, start_name
from poolwright.domain.pool import Pool
from poolwright.domain.resource import pool_key
from poolwright.domain.states import TaskState
from poolwright.domain.task import Execution
from poolwright.engines.base import Forward, MachineRequest, Source
from poolwright.reconcile import (
    autoscale,
    certificates,
    endings,
    gang_placer,
    gangs,
    hello,
    node_storage,
    packages,
    preemption,
    snapshots,
)
from poolwright.reconcile.environment import start_spec
from poolwright.reconcile.fleet import ExecSpec, Install, Kill
from poolwright.reconcile.images import DiskSet
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.node_images import keep_versions
from poolwright.reconcile.placer import Placer, settle
from poolwright.reconcile.snapshots import PoolView
from poolwright.store.base import Tx

#: While an image is being made its readiness is looked for this often.
PREPARING_LOOK: Micros = SECOND // 2

_MAKES = frozenset({Act.CREATE, Act.RESTART, Act.REIMAGE})


@dataclass(frozen=True, slots=True)
class Life:
    """One life of one node: what an engine call is about, and what its answer must still match."""

    account: str
    pool: str
    node: str
    machine: str
    fence: int


@dataclass(slots=True)
class PoolWork:
    """What to do outside once the pass is durable. Engine work is at most one batch of each sort."""

    starts: list[ExecSpec] = field(default_factory=list)
    installs: list[Install] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    acks: list[str] = field(default_factory=list)
    creates: list[tuple[Life, MachineRequest]] = field(default_factory=list)
    stops: list[Life] = field(default_factory=list)  # of restarts: to be stopped before their create
    wipes: list[Life] = field(default_factory=list)  # of reimages: to be deleted before their create
    halts: list[Life] = field(default_factory=list)  # to be stopped, none follows
    logins: list[tuple[Life, Logins]] = field(default_factory=list)  # machines to tell who may log in
    travellers: tuple[str, ...] = ()  # accounts that may always log in, from other nodes
    removes: list[Life] = field(default_factory=list)
    evicts: list[Life] = field(default_factory=list)
    prepare: Pool | None = None
    more: bool = False  # a bound was met: look again at once
    wake_at: Instant | None = None

    @property
    def acts(self) -> bool:
        """Whether an engine is asked for anything."""
        return bool(self.creates or self.halts or self.removes or self.evicts or self.logins)

    @property
    def asked(self) -> Hashable:
        """What an engine is asked for, to be compared with what it was asked before."""
        creates = tuple(life for life, _ in self.creates)
        orders = tuple((life, logins.wanted) for life, logins in self.logins)
        return creates, tuple(self.halts), tuple(self.removes), tuple(self.evicts), orders


def run(tx: Tx, kit: Kit, account: str, id: str, now: Instant) -> PoolWork:
    """Plan the pool, write what changes, place what is ready. Call it inside a write."""
    due_at = autoscale.run(tx, kit, account, id, now)
    view = snapshots.load(tx, kit, account, id, now)
    if view is None:
        return PoolWork()
    plan = pool_plan.plan(view.snapshot, kit.ids)
    work = PoolWork(wake_at=min((at for at in (plan.wake_at, due_at) if at is not None), default=None))
    if plan.gone:
        tx.journal.record(plan.facts)
        tx.pools.delete(account, id)
        tx.resources.unlink(pool_key(account, id))
        return work
    nodes = _write(tx, view, plan)
    _end_tasks(tx, view, plan, now)
    if isinstance(view.snapshot.image, ImagePreparing):
        work.prepare = view.snapshot.pool
        work.wake_at = (
            now + PREPARING_LOOK if work.wake_at is None else min(work.wake_at, now + PREPARING_LOOK)
        )
    _acts(work, plan, nodes, view.disks, kit.settings)
    for gone in (*work.wipes, *work.evicts):
        tx.job_nodes.wiped(gone.account, gone.pool, gone.node)
    if view.disks is not None and work.creates:
        asked = [(life.node, request) for life, request in work.creates]
        kept = keep_versions(tx, kit, nodes, asked, view.disks)
        kept = packages.keep(tx, plan.pool, kept)
        kept = certificates.give(tx, plan.pool, nodes, [(r[0], k) for r, k in zip(asked, kept, strict=True)])
        work.creates = [(life, request) for (life, _), request in zip(work.creates, kept, strict=True)]
    _place(tx, kit, plan.pool, list(nodes.values()), now, work)
    _orders(tx, kit, view, nodes, now, work)
    return work


def life(node: Node) -> Life:
    """What an engine call about this node is about."""
    return Life(node.account, node.pool, node.id, node.machine, node.fence)


def request(pool: Pool, node: Node, disks: DiskSet, settings: Settings) -> MachineRequest:
    """The machine of this life of the node."""
    size = sizes.find(pool.spec.vm_size)
    return MachineRequest(
        name=node.machine,
        kind="node",
        fence=node.fence,
        hostname=node.id.replace("_", "-")[:63],
        os_disk=disks.os_path,
        data_disks=disks.data,
        cores=float(size.cores) if size is not None else 1.0,
        memory_mib=size.memory_mib if size is not None else 1024,
        labels={"account": node.account, "pool": node.pool, "node": node.id},
        os_offset=disks.os_volume[0],
        os_size=disks.os_volume[1],
        accounts=pool.spec.accounts,
        own_disks=node_storage.own_disks(pool.spec, settings.storage_classes, disks.os_bytes),
        mounts=node_storage.mounts(pool.spec, settings.exports),
        forwards=_forwards(pool, node),
        network=pool_key(pool.account, pool.id),
    )


def _forwards(pool: Pool, node: Node) -> tuple[Forward, ...]:
    nat_pools = {nat_pool.name: nat_pool for nat_pool in pool.spec.network.nat_pools}
    return tuple(
        Forward(
            given.protocol,
            given.port,
            nat_pools[given.nat_pool].backend_port,
            tuple(Source(r.allow, r.source, r.source_ports) for r in nat_pools[given.nat_pool].by_priority),
        )
        for given in node.front_ports
        if given.nat_pool in nat_pools
    )


def _write(tx: Tx, view: PoolView, plan: PoolPlan) -> dict[str, Node]:
    """Write what the plan changes; returns the pool's nodes as they are now, by id."""
    if plan.pool_changed:
        tx.pools.update(plan.pool)
    if plan.new:
        tx.nodes.insert_many(plan.new)
    nodes = {node.id: node for node in view.snapshot.nodes} | {node.id: node for node in plan.new}
    for node in plan.changed:
        nodes[node.id] = tx.nodes.update(node)
    if plan.facts:
        tx.journal.record(plan.facts)
    return nodes


def _end_tasks(tx: Tx, view: PoolView, plan: PoolPlan, now: Instant) -> None:
    """Carry out what the plan says of running tasks: kill orders are noted here and sent with the other orders."""
    for node, reason in plan.end_tasks:
        order_end(tx, [e for e in view.executions if e.node == node.id], reason, now)
    lost = {node.id for node in plan.lost}
    over = [(e, End(now, "lost", message="its node is lost")) for e in view.executions if e.node in lost]
    endings.finish(tx, over, now)


def order_end(tx: Tx, executions: Sequence[Execution], reason: str, now: Instant) -> None:
    """Note the order to end these. A terminated task is completed at once; a requeued one is active again only when
    its execution is over, so that it never runs twice."""
    fresh = [execution for execution in gangs.whole(tx, executions) if not ordered(execution, reason)]
    if not fresh:
        return
    tx.executions.order_kill([execution.name for execution in fresh], reason)
    tasks = tx.tasks.by_pks([execution.task_pk for execution in fresh])
    names = {execution.name for execution in fresh}
    holding = (TaskState.PREPARING, TaskState.RUNNING)
    running = [t for t in tasks.values() if t.state in holding and t.execution in names]
    if reason == TERMINATE:
        ended = [task_life.terminated(task, now, "The task was ended by request.") for task in running]
    else:
        ended = [replace(task, kill_reason=reason) for task in running]
    gangs.disband(tx, [task for task in ended if task.spec.multi is not None], reason)
    if tx.tasks.update_many(ended):
        tx.mark_dirty(DirtyKey("pool", fresh[0].account, fresh[0].pool))
    for task in ended:
        job = tx.jobs.by_pk(task.job_pk) if task.failure is not None else None
        if job is not None:
            tx.journal.record(task_events.ended(job, task, now))
            endings.act_on_job(tx, job, task, now)


def ordered(execution: Execution, reason: str) -> bool:
    """Whether its end is ordered already; an order to terminate takes the place of any other."""
    return execution.kill_reason == TERMINATE or (execution.kill_reason is not None and reason != TERMINATE)


def _acts(
    work: PoolWork,
    plan: PoolPlan,
    nodes: dict[str, Node],
    disks: DiskSet | None,
    settings: Settings,
) -> None:
    work.travellers = travellers(plan.pool)
    for act, planned in plan.acts:
        node = nodes[planned.id]
        if act is Act.REMOVE and len(work.removes) < CREATE_BATCH_MAX:
            work.removes.append(life(node))
        elif act is Act.EVICT and len(work.evicts) < CREATE_BATCH_MAX:
            work.evicts.append(life(node))
        elif act is Act.INSTALL:
            containers = plan.pool.spec.containers
            work.installs.append(Install(node.machine, node.fence, node.packages.items, containers))
        elif act is Act.LOGINS and len(work.logins) < LOGINS_BATCH_MAX:
            work.logins.append((life(node), node.logins))
        elif act is Act.STOP and len(work.halts) < CREATE_BATCH_MAX:
            work.halts.append(life(node))
        elif act in _MAKES and disks is not None and len(work.creates) < CREATE_BATCH_MAX:
            work.creates.append((life(node), request(plan.pool, node, disks, settings)))
            if act is Act.RESTART:
                work.stops.append(life(node))
            elif act is Act.REIMAGE:
                work.wipes.append(life(node))
    work.more = work.acts


def _place(tx: Tx, kit: Kit, pool: Pool, nodes: list[Node], now: Instant, work: PoolWork) -> None:
    placer = Placer(tx, kit, pool, nodes, now)
    more, again_at = gang_placer.run(tx, kit, pool, placer, now)
    work.more = more or work.more
    if again_at is not None:
        work.wake_at = again_at if work.wake_at is None else min(work.wake_at, again_at)
    live = tx.executions.of_pool(pool.account, pool.id)
    expired = kit.expired_tasks(tx, now)
    order_end(tx, [e for e in live if 0 < e.task_pk <= expired], TERMINATE, now)
    order_end(tx, preemption.victims(tx, kit, pool, placer, live, expired), REQUEUE, now)
    settle(tx, nodes, placer.used, now)
    work.starts += placer.starts


def _orders(tx: Tx, kit: Kit, view: PoolView, nodes: dict[str, Node], now: Instant, work: PoolWork) -> None:
    """Kill orders until the end is known, and starts nobody has heard of for long."""
    live = tx.executions.of_pool(view.snapshot.pool.account, view.snapshot.pool.id)
    started = {spec.name for spec in work.starts}
    for execution in live:
        if execution.kill_reason is not None and kit.delivery.kill_due(execution.name, now):
            work.kills.append(Kill(execution.machine, execution.name, execution.kill_reason))
    silent = set(
        kit.delivery.starts_due(
            (e.name for e in live if e.kill_reason is None and e.name not in started), now
        )
    )
    work.starts += hello.specs(tx, kit, [e for e in live if e.name in silent], nodes)
    for node in nodes.values():
        _order_start_task(kit, view.snapshot.pool, node, now, work)


def _order_start_task(kit: Kit, pool: Pool, node: Node, now: Instant, work: PoolWork) -> None:
    start, info = pool.spec.start_task, node.start_task
    if info is None:
        return
    name = start_name(node, info.attempt)
    if start_ends(node):
        if kit.delivery.kill_due(name, now):
            work.kills.append(Kill(node.machine, name, PUT_ASIDE))
    elif start is not None and start_due(node, now) and kit.delivery.starts_due([name], now):
        work.starts.append(start_spec(start, info.attempt, pool, node, kit.account_url(pool.account)))
