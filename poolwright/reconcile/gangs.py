"""Multi-instance tasks: their subtasks, what these are given, and when the task's own command may start.

A gang is placed whole or not at all. Each of its nodes runs the coordination command as an execution of its own
(`g<pk>.<attempt>.<id>`); what that leaves running goes on until the gang is over. The execution of the task itself
(`t<pk>.<attempt>`) holds the slot of the master node from the beginning, and is started when all coordination commands
have exited with 0. Whichever of these executions ends first ends the attempt; the task is not placed again before all
of them are known to be dead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from poolwright.decide.task_life import End
from poolwright.domain import sizes
from poolwright.domain.clock import Instant
from poolwright.domain.facts import DirtyKey
from poolwright.domain.job import Job
from poolwright.domain.multi_instance import MASTER_PORT, Subtask, parse_subtask
from poolwright.domain.node import Failure, Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.task import Execution, Task
from poolwright.reconcile.environment import ROOT, node_environment, task_directory, task_spec
from poolwright.reconcile.fleet import ExecSpec
from poolwright.reconcile.kit import Kit
from poolwright.store.base import Tx

#: Why the executions of a gang are ended when one of them ended.
GANG_OVER = "gang"


def begin(tx: Tx, task: Task, nodes: Sequence[Node], now: Instant) -> list[Execution]:
    """Record a new attempt on these nodes, the master first. Returns its executions, to be inserted."""
    rows = [
        Subtask(
            task.pk, id, task.attempt, node.account, node.pool, node.id, node.machine, node.fence,
            node.address or "", now,
        )
        for id, node in enumerate(nodes)
    ]  # fmt: skip
    tx.subtasks.begin(rows)
    # On the master the task's own execution holds the slot.
    return [_execution(task, rows[0], task.execution, 1, now)] + [
        _execution(task, row, row.execution, 1 if row.id else 0, now) for row in rows
    ]


def coordination(
    tx: Tx, kit: Kit, pool: Pool, job: Job, task: Task, nodes: Mapping[str, Node], only: Iterable[str] = ()
) -> list[ExecSpec]:
    """The starts of the coordination commands that are not known to be done; `only` those of these names, if any."""
    multi, wanted = task.spec.multi, set(only)
    assert multi is not None, f"task {task.id} has one instance"
    rows = tx.subtasks.of_task(task.pk)
    starts = []
    for row in rows:
        node = nodes.get(row.node)
        if node is None or row.ready_at is not None or row.attempt != task.attempt or node.fence != row.fence:
            continue
        if wanted and row.execution not in wanted:
            continue
        spec = _given(kit, pool, job, task, rows, row, node)
        starts.append(
            replace(
                spec,
                name=row.execution,
                command=multi.coordination,
                resource_files=multi.common_files,
                lingers=True,
                shares=True,
            )
        )
    return starts


def primary(tx: Tx, kit: Kit, pool: Pool, job: Job, task: Task, node: Node) -> list[ExecSpec]:
    """The start of the task's own command; empty while a coordination command is not known to have succeeded."""
    rows = tx.subtasks.of_task(task.pk)
    if not rows or any(row.ready_at is None or row.attempt != task.attempt for row in rows):
        return []
    return [replace(_given(kit, pool, job, task, rows, rows[0], node), continues=True)]


def ready(tx: Tx, kit: Kit, heard: Sequence[tuple[Execution, Instant]]) -> list[ExecSpec]:
    """Coordination commands that succeeded; returns the starts of tasks that waited only for these."""
    starts: list[ExecSpec] = []
    for execution, at in heard:
        task, row = _present(tx, execution)
        if task is None or row is None or row.ready_at is not None:
            continue
        tx.subtasks.put_many([replace(row, ready_at=at, exit_code=0)])
        job, pool = tx.jobs.by_pk(task.job_pk), tx.pools.get(execution.account, execution.pool)
        node = None if task.node is None else tx.nodes.get(execution.account, execution.pool, task.node)
        idle = task.state is not TaskState.RUNNING or task.kill_reason is not None
        if job is None or pool is None or node is None or idle or node.fence != task.fence:
            continue
        starts += primary(tx, kit, pool, job, task, node)
    return starts


def ended(tx: Tx, execution: Execution, end: End) -> End:
    """Note how an instance ended; returns what that means for its task."""
    if (
        end.reason == "exit" and end.status == 0
    ):  # an agent from before there were such tasks ended it too early
        end = replace(
            end, reason="lost", exit_code=None, message="its node is from an older version; reboot it"
        )
    _, row = _present(tx, execution)
    if row is None or row.ended_at is not None:
        return end
    failure = _failure(end) if row.ready_at is None else None
    result = ExecutionResult.SUCCESS if failure is None else ExecutionResult.FAILURE
    code = row.exit_code if row.ready_at is not None else end.status
    tx.subtasks.put_many([replace(row, ended_at=end.at, exit_code=code, failure=failure, result=result)])
    return end


def disband(tx: Tx, tasks: Iterable[Task], reason: str = GANG_OVER) -> None:
    """Order the end of what still runs of these tasks, whose attempts are over (or to end, for this reason)."""
    for task in tasks:
        rest = [e for e in tx.executions.of_task(task.pk) if e.kill_reason is None]
        if rest:
            tx.executions.order_kill([e.name for e in rest], reason)
            tx.mark_dirty(DirtyKey("pool", rest[0].account, rest[0].pool))


def keep_slots(tx: Tx, over: Iterable[Execution]) -> None:
    """The slot of a master node stays taken while anything of its gang is alive there, in whatever order it ends."""
    for execution in over:
        if execution.slots and parse_subtask(execution.name) is None:
            rest = [e for e in tx.executions.of_task(execution.task_pk) if not e.slots]
            rest = [e for e in rest if e.node == execution.node]
            tx.executions.delete_many([e.name for e in rest])
            tx.executions.insert_many([replace(e, slots=execution.slots) for e in rest])


def whole(tx: Tx, executions: Sequence[Execution]) -> list[Execution]:
    """These executions, with all others of the gangs they belong to."""
    pks = {named[0] for e in executions if (named := parse_subtask(e.name)) is not None}
    if not pks:
        return list(executions)
    found = {e.name: e for e in executions}
    for pk in sorted(pks):
        found.update((e.name, e) for e in tx.executions.of_task(pk) if e.name not in found)
    return list(found.values())


def explained(failure: Failure | None, execution: Execution) -> Failure | None:
    """The failure of a task because of one of its instances, with the instance."""
    named = parse_subtask(execution.name)
    if failure is None or named is None:
        return failure
    details = (*failure.details, ("Subtask", str(named[2])), ("NodeId", execution.node))
    text = f"{failure.message} (the coordination command of subtask {named[2]} on node {execution.node})"
    return replace(failure, message=text, details=details)


def belongs(task: Task, execution: Execution) -> bool:
    """Whether the execution is of the task's present attempt."""
    if task.execution == execution.name:
        return True
    named = parse_subtask(execution.name)
    return named is not None and named[:2] == (task.pk, task.attempt)


def _present(tx: Tx, execution: Execution) -> tuple[Task | None, Subtask | None]:
    """The task and the row an instance belongs to, if it is of the newest attempt."""
    named = parse_subtask(execution.name)
    task = None if named is None else tx.tasks.by_pks([named[0]]).get(named[0])
    if named is None or task is None or task.attempt != named[1]:
        return None, None
    row = next((row for row in tx.subtasks.of_task(task.pk) if row.id == named[2]), None)
    return task, row if row is not None and row.attempt == named[1] else None


def _given(
    kit: Kit, pool: Pool, job: Job, task: Task, rows: Sequence[Subtask], row: Subtask, node: Node
) -> ExecSpec:
    spec = task_spec(
        task, job, node, node_environment(pool, node, kit.account_url(pool.account)), kit.task_token
    )
    return replace(spec, env={**spec.env, **_environment(pool, job, task, rows, row)})


def _environment(pool: Pool, job: Job, task: Task, rows: Sequence[Subtask], row: Subtask) -> dict[str, str]:
    size = sizes.find(pool.spec.vm_size)
    cores = size.cores if size is not None else 1
    addresses = [one.address for one in rows]
    return {
        "AZ_BATCH_TASK_SHARED_DIR": f"{ROOT}/{task_directory(job.id, task.id)}",
        "AZ_BATCH_NODE_LIST": ";".join(addresses),
        "AZ_BATCH_HOST_LIST": ",".join(addresses),
        "AZ_BATCH_MASTER_NODE": f"{addresses[0]}:{MASTER_PORT}",
        "AZ_BATCH_IS_CURRENT_NODE_MASTER": "true" if row.id == 0 else "false",
        "CCP_NODES": " ".join([str(len(rows)), *(f"{address} {cores}" for address in addresses)]),
    }


def _execution(task: Task, row: Subtask, name: str, slots: int, now: Instant) -> Execution:
    return Execution(
        name, task.pk, task.job_pk, row.account, row.pool, row.node, row.machine, row.fence, slots, now
    )


def _failure(end: End) -> Failure:
    if end.reason == "exit":
        return Failure("usererror", "FailureExitCode", f"The coordination command exited with {end.status}")
    if end.reason == "failed":
        return Failure(
            "usererror",
            end.code or "CommandLaunchFailed",
            end.message or "It could not be started.",
            end.details,
        )
    return Failure(
        "usererror", "TaskEnded", "The subtask was ended before its coordination command was done."
    )
