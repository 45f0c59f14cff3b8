"""Preparation and release of jobs on nodes: their rows, their executions, and what these are given.

Both run beside the tasks: their executions take no slots and belong to no task (`task_pk` 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from poolwright.decide import job_nodes, task_life
from poolwright.decide.job_nodes import Preparation, Release
from poolwright.decide.task_life import End
from poolwright.domain import task_events
from poolwright.domain.clock import FOREVER, Instant
from poolwright.domain.facts import DirtyKey, Fact
from poolwright.domain.job import Job
from poolwright.domain.job_tasks import JobNode, PreparationTask, ReleaseTask, job_task_name, parse_job_task
from poolwright.domain.multi_instance import parse_subtask
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import ExecutionResult, StartTaskState, TaskState
from poolwright.domain.task import Execution, Task
from poolwright.reconcile.environment import (
    container_problem,
    job_environment,
    node_environment,
    preparation_environment,
    task_directory,
)
from poolwright.reconcile.fleet import ExecSpec
from poolwright.reconcile.kit import Kit
from poolwright.store.base import Tx

#: Rows of a job looked at in one read.
PAGE = 500


def begin(
    tx: Tx, kit: Kit, pool: Pool, job: Job, row: JobNode | None, node: Node, now: Instant
) -> tuple[JobNode, ExecSpec]:
    """Record that the job's preparation begins on the node; returns its row and its start."""
    row = tx.job_nodes.put(job_nodes.begun(row, job.pk, node, now))
    tx.executions.insert_many([_execution("p", row, row.preparation.attempt, row.fence, now)])
    spec = job.spec.preparation
    assert spec is not None, f"job {job.id} has no preparation task"
    return row, _preparation_spec(kit, pool, job, row, node, spec)


def finish(tx: Tx, over: Sequence[tuple[Execution, End]], now: Instant) -> Sequence[tuple[Execution, End]]:
    """Record the ends of preparations and releases; returns the others, but for executions that these ends undid.

    Tasks that wait for a preparation run now, or are active again. Their starts are sent by the pool's next pass.
    """
    if not any(execution.task_pk == 0 for execution, _ in over):
        return over
    rest = []
    for execution, end in over:
        named = parse_job_task(execution.name)
        if named is None:
            rest.append((execution, end))
        else:
            tx.executions.delete_many([execution.name])
            _ended(tx, execution, *named, end, now)
    still = tx.executions.get_many([execution.name for execution, _ in rest])
    return [pair for pair in rest if pair[0].name in still]


def give_up(tx: Tx, job: Job, live: Sequence[Execution], now: Instant) -> None:
    """The job is over by force: rows of what still runs of it say so, whatever is heard of that later."""
    for execution in live:
        named = parse_job_task(execution.name)
        row = None if named is None else tx.job_nodes.get(named[1])
        if named is None or row is None:
            continue
        row = tx.job_nodes.put(job_nodes.given_up(row, now))
        _tell_over(tx, job, row, named[0], now)


def specs(
    tx: Tx, kit: Kit, pool: Pool, live: Sequence[Execution], nodes: Mapping[str, Node]
) -> list[ExecSpec]:
    """The starts of these live executions once more."""
    again = []
    for execution in live:
        named, node = parse_job_task(execution.name), nodes.get(execution.node)
        row = tx.job_nodes.get(named[1]) if named is not None else None
        job = tx.jobs.by_pk(execution.job_pk)
        if named is None or row is None or job is None or node is None or node.fence != execution.fence:
            continue
        kind, _, attempt = named
        if kind == "p" and job.spec.preparation is not None and row.preparation.attempt == attempt:
            again.append(_preparation_spec(kit, pool, job, row, node, job.spec.preparation))
        if kind == "r" and job.spec.release is not None and row.release and row.release.attempt == attempt:
            again.append(_release_spec(kit, pool, job, row, node, job.spec.release))
    return again


def release(tx: Tx, kit: Kit, job: Job, now: Instant, most: int) -> tuple[list[ExecSpec], bool]:
    """Begin up to `most` releases of a job that ends; returns their starts, and whether any is still to be waited
    for."""
    starts: list[ExecSpec] = []
    waits, after = False, 0
    if job.spec.release is None or job.ended_at is not None:
        return starts, False
    while rows := tx.job_nodes.page(job.pk, after, PAGE):
        for row in rows:
            if job_nodes.released(row):
                continue
            node = tx.nodes.get(row.account, row.pool, row.node)
            todo = job_nodes.release(row, node)
            waits = waits or todo is not Release.OVER
            if todo is Release.START and node is not None and len(starts) < most:
                starts += _begin_release(tx, kit, job, row, node, job.spec.release, now)
        after = rows[-1].pk
    return starts, waits


def barred(tx: Tx, job: Job, pool: str, nodes: Mapping[str, Node]) -> frozenset[str]:
    """Nodes on which no task of the job may run because its preparation failed there."""
    spec = job.spec.preparation
    if spec is None:
        return frozenset()
    rows = tx.job_nodes.of_nodes(job.pk, pool, nodes)
    return frozenset(
        id for id, row in rows.items() if job_nodes.preparation(row, nodes[id], spec) is Preparation.BARRED
    )


def _begin_release(
    tx: Tx, kit: Kit, job: Job, row: JobNode, node: Node, spec: ReleaseTask, now: Instant
) -> list[ExecSpec]:
    pool = tx.pools.get(row.account, row.pool)
    if pool is None:
        return []
    row = tx.job_nodes.put(job_nodes.release_begun(row, node, now))
    assert row.release is not None
    tx.executions.insert_many([_execution("r", row, row.release.attempt, node.fence, now)])
    return [_release_spec(kit, pool, job, row, node, spec)]


def _ended(tx: Tx, execution: Execution, kind: str, pk: int, attempt: int, end: End, now: Instant) -> None:
    row = tx.job_nodes.get(pk)
    job = None if row is None else tx.jobs.by_pk(row.job_pk)
    if row is None or job is None:
        return
    info = row.preparation if kind == "p" else row.release
    spec = job.spec.preparation
    if info is None or info.attempt != attempt or info.state is not StartTaskState.RUNNING:
        pass  # given up before
    elif kind == "r":
        row = tx.job_nodes.put(job_nodes.release_ended(row, end))
        if job_nodes.released(row):
            _tell_over(tx, job, row, kind, now)
    elif spec is not None:
        ordered = execution.kill_reason is not None
        row = tx.job_nodes.put(job_nodes.preparation_ended(row, job, spec, end, now, ordered=ordered))
        _prepared(tx, job, row, spec, now)
    tx.mark_dirty(DirtyKey("job", job.account, job.id))
    tx.mark_dirty(DirtyKey("pool", row.account, row.pool))


def _prepared(tx: Tx, job: Job, row: JobNode, spec: PreparationTask, now: Instant) -> None:
    """What follows from the row's new state for the tasks that wait on the node."""
    info = row.preparation
    if row.fence and info.state is StartTaskState.RUNNING:
        tx.executions.insert_many([_execution("p", row, info.attempt, row.fence, now)])
        return
    if row.fence or job_nodes.ends(job):
        _tell_over(tx, job, row, "p", now)
    waiting = _waiting(tx, job, row)
    failed = row.fence > 0 and info.result is ExecutionResult.FAILURE
    if row.fence and (not failed or not spec.wait_for_success):
        free = [task for task in waiting if task.spec.multi is None or _all_prepared(tx, job, task, spec)]
        begun = [task_life.prepared(task, now) for task in free]
        tx.tasks.update_many(begun)
        tx.journal.record([task_events.started(job, task, now) for task in begun])
        return
    if failed:
        detail: dict[str, str | int | float | bool | None] = {"node": row.node, "exitCode": info.exit_code}
        tx.journal.record([Fact(now, "job.preparation.fail", job.account, f"job/{job.id}", detail)])
        why = "The job preparation task failed on the node."
        tx.journal.record(
            [task_events.unschedulable(job, t, "JobPreparationTaskFailed", why, now) for t in waiting]
        )
    tx.tasks.update_many([task_life.unprepared(task, now) for task in waiting])
    tx.executions.delete_many([task.execution for task in waiting if task.spec.multi is None])
    gangs = [task for task in waiting if task.spec.multi is not None]  # nothing of them has begun anywhere
    tx.executions.delete_many([e.name for task in gangs for e in tx.executions.of_task(task.pk)])


def _waiting(tx: Tx, job: Job, row: JobNode) -> list[Task]:
    """Tasks of the job that wait for the node's preparation, also those that have a subtask there."""
    found = {task.pk: task for task in tx.tasks.running_of_node(row.account, row.pool, row.node)}
    of_gangs = {
        e.task_pk for e in tx.executions.of_machine(row.machine) if parse_subtask(e.name)
    } - found.keys()
    found.update(tx.tasks.by_pks(sorted(of_gangs)))
    return [t for t in found.values() if t.job_pk == job.pk and t.state is TaskState.PREPARING]


def _all_prepared(tx: Tx, job: Job, task: Task, spec: PreparationTask) -> bool:
    """Whether every node of the gang is prepared."""
    for subtask in tx.subtasks.of_task(task.pk):
        node = tx.nodes.get(subtask.account, subtask.pool, subtask.node)
        row = tx.job_nodes.of_nodes(job.pk, subtask.pool, [subtask.node]).get(subtask.node)
        if node is None or job_nodes.preparation(row, node, spec) is not Preparation.DONE:
            return False
    return True


def _tell_over(tx: Tx, job: Job, row: JobNode, kind: str, now: Instant) -> None:
    """The preparation ("p") or release ("r") has ended for good."""
    name, info = ("JobPrep", row.preparation) if kind == "p" else ("JobRelease", row.release)
    spec = job.spec.preparation if kind == "p" else job.spec.release
    if info is None or spec is None:
        return
    fact = task_events.special(job.account, job.id, name, spec.id, row.pool, row.node, info, now)
    tx.journal.record([fact])


def _execution(kind: str, row: JobNode, attempt: int, fence: int, now: Instant) -> Execution:
    return Execution(
        name=job_task_name(kind, row.pk, attempt),
        task_pk=0,
        job_pk=row.job_pk,
        account=row.account,
        pool=row.pool,
        node=row.node,
        machine=row.machine,
        fence=fence,
        slots=0,
        since=now,
    )


def _preparation_spec(
    kit: Kit, pool: Pool, job: Job, row: JobNode, node: Node, spec: PreparationTask
) -> ExecSpec:
    name = job_task_name("p", row.pk, row.preparation.attempt)
    return _spec(kit, pool, job, node, spec, name, {})


def _release_spec(kit: Kit, pool: Pool, job: Job, row: JobNode, node: Node, spec: ReleaseTask) -> ExecSpec:
    assert row.release is not None
    name = job_task_name("r", row.pk, row.release.attempt)
    return _spec(kit, pool, job, node, spec, name, preparation_environment(job))


def _spec(
    kit: Kit,
    pool: Pool,
    job: Job,
    node: Node,
    task: PreparationTask | ReleaseTask,
    name: str,
    more: Mapping[str, str],
) -> ExecSpec:
    common = node_environment(pool, node, kit.account_url(pool.account))
    limit = task.max_wall_clock
    return ExecSpec(
        machine=node.machine,
        fence=node.fence,
        name=name,
        kind="task",
        directory=task_directory(job.id, task.id),
        command=task.command_line,
        env={**job_environment(job, task.id, task.environment, common), **more},
        user=task.user,
        wall_clock_s=None if limit >= FOREVER else limit / 1_000_000,
        resource_files=task.resource_files,
        container=task.container,
        refusal=container_problem(task.container, node, needed=False),
    )
