"""An agent connects: what it holds against what the rows say, both ways.

A live execution that the agent does not know has never reached it (an agent forgets an execution only after its end
was acknowledged, and an end is acknowledged only after its row is gone), so its start is simply sent again, under the
same name: the agent will not run one name twice. Only one that was to be killed anyway is over. Of a machine that
has not told its own agent everything yet ("silent") nothing follows; its reports come later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from poolwright.decide import node_troubles
from poolwright.decide.node_events import start_ended
from poolwright.decide.node_life import HEARD
from poolwright.decide.task_life import End
from poolwright.domain.clock import Instant
from poolwright.domain.facts import DirtyKey
from poolwright.domain.job import Job
from poolwright.domain.node import Node, start_name
from poolwright.domain.states import NodeState, TaskState
from poolwright.domain.task import Execution
from poolwright.reconcile import endings, events, gangs, job_nodes
from poolwright.reconcile.environment import node_environment, task_spec
from poolwright.reconcile.events import Batch, Reaction
from poolwright.reconcile.fleet import ExecSpec, Hello, Kill, MachineEvent
from poolwright.reconcile.kit import Kit
from poolwright.store.base import Tx


@dataclass(frozen=True, slots=True)
class Greeting:
    """What to do about a hello: messages, and machines that no row owns."""

    reaction: Reaction
    orphans: tuple[str, ...]


def greet(tx: Tx, kit: Kit, hello: Hello, heard_at: Instant, now: Instant) -> Greeting:
    """Reconcile every node with what its agent said, at `heard_at`, that it holds. Call it inside a write.

    What began after `heard_at` may be missing from the greeting and be well.
    """
    held = {machine.machine: machine for machine in hello.machines}
    rows = tx.nodes.machines()
    tx.nodes.touch([name for name in held if name in rows], now)
    batch = Batch(tx, kit, now)
    freed = events.record(batch, hello.execs)
    known = {item.name for item in hello.execs}
    for name in rows:
        node = batch.node(name)
        if node is not None:
            freed |= _node(batch, node, held.get(name), known, heard_at)
    for health in hello.health:
        events.hear_health(batch, health)
    batch.refill(freed)
    orphans = tuple(name for name in held if name not in rows and hello.kinds.get(name) == "node")
    for account, pool in sorted({(account, pool) for account, pool, _ in rows.values()}):
        tx.mark_dirty(DirtyKey("pool", account, pool))
    return Greeting(batch.reaction, orphans)


def _node(
    batch: Batch, node: Node, machine: MachineEvent | None, known: set[str], heard_at: Instant
) -> set[str]:
    if node.state is NodeState.UNUSABLE:
        # The agent is back: what was given up while it was away deserves new tries.
        node = batch.save(replace(node, attempts=0, retry_at=batch.now))
    if machine is None or machine.state in ("gone", "broken"):
        present = node.state in HEARD or node.state is NodeState.UNKNOWN or node_troubles.held(node)
        if present and (node.booted_at or 0) < heard_at:
            said = "its agent does not know it" if machine is None else f"its machine is {machine.state}"
            events.lose(batch, node, said)
        return set()
    if machine.fence != node.fence or machine.silent:
        return set()
    info = node.start_task
    if info is not None and info.ended_at is None and start_name(node, info.attempt) not in known:
        _start_unheard(batch, node)
    live = [e for e in batch.tx.executions.of_machine(node.machine) if e.since < heard_at]
    unheard = [execution for execution in live if execution.name not in known]
    _order_again(batch, [execution for execution in live if execution.name in known])
    over = [e for e in unheard if e.kill_reason is not None or e.fence != node.fence]
    lost = [(execution, End(batch.now, "lost", message="its agent does not know it")) for execution in over]
    endings.finish(batch.tx, lost, batch.now)
    gone = {execution.name for execution in over}
    if batch.full(node) is None:
        batch.reaction.starts += specs(
            batch.tx, batch.kit, [e for e in unheard if e.name not in gone], {node.id: node}
        )
    return {node.machine} if over else set()


def _start_unheard(batch: Batch, node: Node) -> None:
    """The agent does not know the node's start task: it has not begun, so it begins now, or has no end to wait for."""
    info = node.start_task
    if info is not None and info.ends:
        lost = End(batch.now, "lost", message="its agent does not know it")
        node = batch.save(start_ended(node, batch.pool(node).spec.start_task, lost, False, batch.now))
    batch.start_again(node)


def _order_again(batch: Batch, live: Iterable[Execution]) -> None:
    for execution in live:
        if execution.kill_reason is not None:
            batch.reaction.kills.append(Kill(execution.machine, execution.name, execution.kill_reason))


def specs(tx: Tx, kit: Kit, live: list[Execution], nodes: Mapping[str, Node]) -> list[ExecSpec]:
    """The starts of live executions once more; `nodes` by node id, all of one pool."""
    if not live:
        return []
    tasks = tx.tasks.by_pks([execution.task_pk for execution in live])
    jobs: dict[int, Job | None] = {}
    pool = tx.pools.get(live[0].account, live[0].pool)
    assert pool is not None, f"execution {live[0].name} has no pool"
    again = []
    for execution in live:
        task, node = tasks.get(execution.task_pk), nodes.get(execution.node)
        if execution.job_pk not in jobs:
            jobs[execution.job_pk] = tx.jobs.by_pk(execution.job_pk)
        job = jobs[execution.job_pk]
        if task is None or node is None or job is None or not gangs.belongs(task, execution):
            continue  # a preparation or release among others: see below
        if task.state is not TaskState.RUNNING or node.fence != execution.fence:
            continue
        if task.execution != execution.name:
            again += gangs.coordination(tx, kit, pool, job, task, nodes, (execution.name,))
        elif task.spec.multi is not None:
            again += gangs.primary(tx, kit, pool, job, task, node)
        else:
            common = node_environment(pool, node, kit.account_url(node.account))
            again.append(task_spec(task, job, node, common, kit.task_token))
    return again + job_nodes.specs(tx, kit, pool, [e for e in live if e.task_pk == 0], nodes)
