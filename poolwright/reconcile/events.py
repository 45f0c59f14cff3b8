"""The hot path: what agents report, and the next tasks for the slots that became free, in one transaction.

A batch costs one commit whatever its length; per task it costs a few rows. An event of an execution that is not
live under its name, machine and fence changes nothing: its end is acknowledged, its running is a reason to kill it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from poolwright.decide.node_events import (
    Booted,
    awaits_machine,
    installed,
    joined,
    machine_gone,
    start_ended,
    without_packages,
)
from poolwright.decide.node_life import HEARD, start_due
from poolwright.decide.node_troubles import disk_full
from poolwright.decide.task_life import STALE, End
from poolwright.domain import task_events
from poolwright.domain.clock import Instant
from poolwright.domain.facts import DirtyKey
from poolwright.domain.limits import ERRORS_PER_NODE_MAX, INSTANCES_MAX
from poolwright.domain.node import Node, start_name
from poolwright.domain.pool import Pool
from poolwright.domain.states import NodeState
from poolwright.domain.task import Execution
from poolwright.reconcile import endings, gang_placer, gangs, packages
from poolwright.reconcile.endings import Held
from poolwright.reconcile.environment import node_environment, parse_start, start_spec, task_spec
from poolwright.reconcile.fleet import (
    Event,
    ExecEvent,
    ExecSpec,
    HealthEvent,
    Kill,
    MachineEvent,
    PackagesEvent,
    Upload,
)
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.node_storage import rooms_of
from poolwright.reconcile.placer import Placer, settle
from poolwright.store.base import Tx


@dataclass(slots=True)
class Reaction:
    """What to tell the agents once the transaction is durable, and what was heard."""

    acks: list[str] = field(default_factory=list)
    starts: list[ExecSpec] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)


class Batch:
    """The nodes and pools a batch touches, each read once."""

    def __init__(self, tx: Tx, kit: Kit, now: Instant) -> None:
        self.tx = tx
        self.kit = kit
        self.now = now
        self.reaction = Reaction()
        self._nodes: dict[str, Node | None] = {}
        self._pools: dict[tuple[str, str], Pool | None] = {}

    def node(self, machine: str) -> Node | None:
        """The node whose machine this is."""
        if machine not in self._nodes:
            self._nodes[machine] = self.tx.nodes.by_machine(machine)
        return self._nodes[machine]

    def pool(self, node: Node) -> Pool:
        """The node's pool."""
        key = (node.account, node.pool)
        if key not in self._pools:
            self._pools[key] = self.tx.pools.get(*key)
        pool = self._pools[key]
        assert pool is not None, f"node {node.id} has no pool"
        return pool

    def save(self, node: Node) -> Node:
        """Write the node and go on with what was written."""
        written = self.tx.nodes.update(node)
        self._nodes[node.machine] = written
        return written

    def full(self, node: Node) -> str | None:
        """Why nothing is to begin on the node: the disk it is on is full, which its pool's next pass sees to."""
        spec = self.pool(node).spec
        return self.kit.room().full or rooms_of(spec, self.kit.class_rooms()).full

    def start_again(self, node: Node) -> None:
        """Send the node's start task if its present attempt is due."""
        start, info = self.pool(node).spec.start_task, node.start_task
        if start is None or info is None or not start_due(node, self.now) or self.full(node) is not None:
            return
        url = self.kit.account_url(node.account)
        self.reaction.starts.append(start_spec(start, info.attempt, self.pool(node), node, url))

    def join(self, node: Node, booted: Booted) -> Node:
        """The machine of the node's present life runs: its packages, its start task or its rest follow."""
        spec = self.pool(node).spec
        contains = spec.containers is not None
        given, problem = packages.of_node(self.tx, node.account, spec.packages, containers=contains)
        if (full := self.full(node)) is not None:
            booted = replace(booted, troubles=(*booted.troubles, disk_full(full)))
        node = joined(node, booted, spec.start_task, self.now, given)
        if problem is not None and node.packages.pending:
            node = without_packages(node, problem, self.now)
        node = self.save(node)
        self.start_again(node)
        if node.packages.pending:
            self.tx.mark_dirty(DirtyKey("pool", node.account, node.pool))
        return node

    def refill(self, machines: Iterable[str]) -> None:
        """Place ready tasks on the nodes of these machines, and note which are idle or running now."""
        by_pool: dict[tuple[str, str], list[Node]] = {}
        for machine in sorted(machines):  # one order, whatever the hash seed: a story must be repeatable
            node = self.node(machine)
            if node is not None:
                by_pool.setdefault((node.account, node.pool), []).append(node)
        for key, nodes in by_pool.items():
            pool = self.pool(nodes[0])
            placer = Placer(self.tx, self.kit, pool, nodes, self.now)
            # Gangs need a look at all nodes, before others take the free ones.
            gangs_wait = gang_placer.waiting(self.tx, self.kit, pool, INSTANCES_MAX, self.now, 1)
            more = bool(gangs_wait) or placer.run()
            settle(self.tx, nodes, placer.used, self.now)
            self.reaction.starts += placer.starts
            if more or any(node.drain is not None for node in nodes):
                self.tx.mark_dirty(DirtyKey("pool", *key))
        self._nodes.clear()


def apply(tx: Tx, kit: Kit, items: Sequence[Event], now: Instant) -> Reaction:
    """Record a batch of reports. Call it inside a write; deliver the reaction after the commit."""
    batch = Batch(tx, kit, now)
    freed = record(batch, items)
    batch.refill(freed)
    return batch.reaction


def record(batch: Batch, items: Sequence[Event]) -> set[str]:
    """Everything but placing; returns the machines that have room now."""
    execs = [item for item in items if isinstance(item, ExecEvent)]
    freed = _tasks(batch, [item for item in execs if not item.name.startswith("s")])
    for item in execs:
        if item.name.startswith("s"):
            freed |= _start_task(batch, item)
    for item in execs:
        if item.end is not None and item.end.code == STALE:
            _absent(batch, item)
    for machine in items:
        if isinstance(machine, MachineEvent):
            freed |= _machine(batch, machine)
        elif isinstance(machine, HealthEvent):
            hear_health(batch, machine)
        elif isinstance(machine, PackagesEvent):
            freed |= _packages(batch, machine)
    return freed


def hear_health(batch: Batch, item: HealthEvent) -> None:
    """What is wrong with a machine is noted; the pool's next pass decides what follows."""
    node = batch.node(item.machine)
    if node is None or node.fence != item.fence or awaits_machine(node):
        return
    before = tuple(error for error in node.errors if error.source == "machine")
    if before != item.troubles:
        others = tuple(error for error in node.errors if error.source != "machine")
        batch.save(replace(node, errors=(*others, *item.troubles)[-ERRORS_PER_NODE_MAX:]))
        batch.tx.mark_dirty(DirtyKey("pool", node.account, node.pool))


def _packages(batch: Batch, item: PackagesEvent) -> set[str]:
    """The packages and images of a node are there, or cannot be had."""
    node = batch.node(item.machine)
    if node is None or node.fence != item.fence or not node.packages.pending:
        return set()
    if item.problem is not None:
        if node.state is NodeState.STARTING:
            batch.save(without_packages(node, item.problem, batch.now, item.code))
        return set()
    batch.start_again(batch.save(installed(node, batch.pool(node).spec.start_task, batch.now)))
    return {item.machine}


def lose(batch: Batch, node: Node, why: str) -> None:
    """The node's machine is gone: its executions are over, the node is to be made again."""
    over = [(e, End(batch.now, "lost", message=why)) for e in batch.tx.executions.of_machine(node.machine)]
    endings.finish(batch.tx, over, batch.now)
    batch.reaction.acks += [execution.name for execution, _ in over]
    after = machine_gone(node, why, batch.now)
    if after is not node:
        batch.save(after)
    batch.tx.mark_dirty(DirtyKey("pool", node.account, node.pool))


def _absent(batch: Batch, item: ExecEvent) -> None:
    """A start met no such life of the machine. If it is the node's present one, the node would refuse whatever is
    placed on it: it is made again, so that a task does not use up its tries there."""
    node = batch.node(item.machine)
    if node is not None and node.fence == item.fence and node.state in HEARD:
        lose(batch, node, "its agent does not run it")


def _tasks(batch: Batch, items: Sequence[ExecEvent]) -> set[str]:
    """Ends of tasks, each at most once; unknown executions are acknowledged or killed."""
    if not items:
        return set()
    live = batch.tx.executions.get_many([item.name for item in items])
    over: dict[str, tuple[Execution, End]] = {}
    reaction = batch.reaction
    ready: list[tuple[Execution, Instant]] = []
    for item in items:
        execution = live.get(item.name)
        known = execution is not None and (execution.machine, execution.fence) == (item.machine, item.fence)
        if item.end is None:
            if not known:
                reaction.kills.append(Kill(item.machine, item.name, "unknown"))
            elif execution is not None and execution.kill_reason is not None:
                reaction.kills.append(Kill(item.machine, item.name, execution.kill_reason))
            else:
                reaction.heard.append(item.name)
                if execution is not None and item.ready_at is not None:
                    ready.append((execution, item.ready_at))
            continue
        reaction.acks.append(item.name)
        if execution is not None and known:
            over.setdefault(item.name, (execution, item.end))
    held = endings.finish(batch.tx, list(over.values()), batch.now)
    if held:
        _hold(batch, held)
    if ready:
        reaction.starts += gangs.ready(batch.tx, batch.kit, ready)
    return {execution.machine for execution, _ in over.values()}


def _hold(batch: Batch, held: Sequence[Held]) -> None:
    """These ends are recorded once the output files are uploaded: until then the agents keep them."""
    waiting = {one.execution.name for one in held}
    batch.reaction.acks = [name for name in batch.reaction.acks if name not in waiting]
    for one in held:
        node = batch.node(one.execution.machine)
        if node is not None:
            common = node_environment(batch.pool(node), node, batch.kit.account_url(node.account))
            spec = task_spec(one.task, one.job, node, common)
            batch.reaction.uploads.append(Upload(spec, one.files, one.end))
    batch.reaction.heard += waiting


def _start_task(batch: Batch, item: ExecEvent) -> set[str]:
    named = parse_start(item.name)
    node = batch.node(item.machine)
    info = None if node is None else node.start_task
    present = (
        named is not None
        and node is not None
        and info is not None
        and item.name == start_name(node, info.attempt)
        and item.fence == node.fence
        and info.ended_at is None
    )
    if item.end is None:
        if present:
            batch.reaction.heard.append(item.name)
        else:
            batch.reaction.kills.append(Kill(item.machine, item.name, "unknown"))
        return set()
    batch.reaction.acks.append(item.name)
    if not present or node is None:
        return set()
    after = start_ended(node, batch.pool(node).spec.start_task, item.end, False, batch.now)
    if after is not node:
        after = batch.save(after)
        told = after.start_task
        if told is not None and told.ended_at is not None:
            fact = task_events.special(node.account, "", "StartTask", "", node.pool, node.id, told, batch.now)
            batch.tx.journal.record([fact])
        batch.start_again(after)
        batch.tx.mark_dirty(DirtyKey("pool", node.account, node.pool))
    return {item.machine}


def _machine(batch: Batch, item: MachineEvent) -> set[str]:
    node = batch.node(item.machine)
    if node is None or node.fence != item.fence:
        return set()
    if item.state in ("gone", "broken"):
        lose(batch, node, item.detail or f"its machine is {item.state}")
        return set()
    if node.state is NodeState.STARTING and not awaits_machine(node):
        told = tuple(error for error in node.errors if error.source == "machine")
        booted = Booted(item.address or node.address, node.notes, node.phases_ms, told, node.agent_version)
        batch.join(node, booted)
        return {item.machine}
    return set()
