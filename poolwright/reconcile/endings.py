"""Executions that are over: their tasks move on, their slots are free, whoever waited for them is woken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from poolwright.decide import task_life
from poolwright.decide.task_life import End
from poolwright.domain import task_events
from poolwright.domain.clock import Instant
from poolwright.domain.facts import TASK_COMPLETE, DirtyKey, Fact
from poolwright.domain.job import NO_ACTION, TERMINATE_IDLE, Job
from poolwright.domain.multi_instance import parse_subtask
from poolwright.domain.states import ExecutionResult, JobState, TaskState
from poolwright.domain.task import Execution, Task
from poolwright.domain.task_ends import job_after
from poolwright.domain.task_usage import NOTHING, TaskUsage
from poolwright.domain.transfer import OutputFile
from poolwright.reconcile import gangs, job_nodes
from poolwright.store.base import Tx


@dataclass(frozen=True, slots=True)
class Held:
    """An end that waits until its task's output files are uploaded; nothing of it is recorded yet."""

    execution: Execution
    end: End
    task: Task
    job: Job
    files: tuple[OutputFile, ...]


def finish(tx: Tx, over: Sequence[tuple[Execution, End]], now: Instant) -> list[Held]:
    """Record the ends of these live executions; returns those that wait for uploads.

    Only the present attempt of a task changes the task: an older execution (of a task deleted or started anew since)
    just frees its slots. Wakes the job if something waits for it, and the job's pool if a task is active again.
    """
    over = job_nodes.finish(tx, over, now)
    if not over:
        return []
    tasks = tx.tasks.by_pks([execution.task_pk for execution, _ in over])
    jobs: dict[int, Job | None] = {}
    changed: list[Task] = []
    written: list[Task] = []
    used: dict[int, TaskUsage] = {}
    facts: list[Fact] = []
    complete = tx.journal.keeps(TASK_COMPLETE)
    totals: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
    held: list[Held] = []
    names: list[str] = []
    for execution, end in over:
        pk = execution.job_pk
        if pk not in jobs:
            jobs[pk] = tx.jobs.by_pk(pk)
        job, task = jobs[pk], tasks.get(execution.task_pk)
        success = False
        if job is not None and task is not None and gangs.belongs(task, execution):
            before = _with_order(task, execution)
            after = _after(tx, job, before, execution, end, now)
            if files := _deliveries(before, after, execution, end):
                held.append(Held(execution, end, task, job, files))
                continue
            spent = task_life.spent(task, execution, end)
            used[pk] = used.get(pk, NOTHING) + spent
            moved = after is not task
            after = tasks[task.pk] = replace(
                after, used=(after.used or NOTHING) + spent
            )  # a gang has more ends
            written.append(after)
            if moved:
                changed.append(after)
                success = after.result is ExecutionResult.SUCCESS
                facts += task_events.ended(job, after, now, complete=complete)
                jobs[pk] = act_on_job(tx, job, after, now)
        _count(totals, execution, success)
        names.append(execution.name)
    freed = tx.tasks.update_many(written, used)
    tx.executions.delete_many(names)
    gangs.keep_slots(tx, [e for e, _ in over if e.name in names and _maybe_gang(tasks.get(e.task_pk))])
    gangs.disband(tx, [task for task in changed if task.spec.multi is not None])
    for (account, pool), deltas in totals.items():
        tx.nodes.add_task_totals(account, pool, deltas)
    if facts:
        tx.journal.record(facts)
    active_again = {task.job_pk for task in changed if task.state is TaskState.ACTIVE}
    for pk, job in jobs.items():
        if job is not None:
            _wake(tx, job, pk in active_again or (freed and job.spec.uses_dependencies))
    return held


def act_on_job(tx: Tx, job: Job, task: Task, now: Instant) -> Job:
    """The job after this task's end, as the task's exit conditions have it."""
    moved = job_after(job, task, now)
    if moved is None:
        return job
    detail: dict[str, str | int | float | bool | None] = {"task": task.id, "reason": moved.terminate_reason}
    tx.journal.record([Fact(now, f"job.{moved.state.value}", job.account, f"job/{job.id}", detail)])
    tx.mark_dirty(DirtyKey("job", job.account, job.id))
    return tx.jobs.update(moved)


def _after(tx: Tx, job: Job, task: Task, execution: Execution, end: End, now: Instant) -> Task:
    if execution.name == task.execution:
        return task_life.ended(task, job.spec.max_task_retries, end, now)
    after = task_life.ended(task, job.spec.max_task_retries, gangs.ended(tx, execution, end), now)
    return after if after is task else replace(after, failure=gangs.explained(after.failure, execution))


def _maybe_gang(task: Task | None) -> bool:
    return task is None or task.spec.multi is not None


def _deliveries(before: Task, after: Task, execution: Execution, end: End) -> tuple[OutputFile, ...]:
    """Output files come from where the task's own command ran."""
    return task_life.deliveries(before, after, end) if execution.name == before.execution else ()


def _with_order(task: Task, execution: Execution) -> Task:
    """The kill order may be noted at the execution only (a node's drain): the task's end has to know it."""
    if execution.kill_reason is None or task.kill_reason is not None:
        return task
    if task.state in (TaskState.COMPLETED, TaskState.ACTIVE):
        return task
    return replace(task, kill_reason=execution.kill_reason)


def _wake(tx: Tx, job: Job, active_again: bool) -> None:
    spec = job.spec
    if job.state is not JobState.ACTIVE or spec.cancel_dependents:
        tx.mark_dirty(DirtyKey("job", job.account, job.id))
    elif spec.on_all_tasks_complete != NO_ACTION:
        counts, _ = tx.tasks.counts(job.pk)
        if counts.active + counts.running == (
            counts.waiting if spec.on_all_tasks_complete == TERMINATE_IDLE else 0
        ):
            tx.mark_dirty(DirtyKey("job", job.account, job.id))
    if active_again:
        tx.mark_dirty(DirtyKey("pool", job.account, job.spec.pool))


def _count(
    totals: dict[tuple[str, str], dict[str, tuple[int, int]]], execution: Execution, success: bool
) -> None:
    if parse_subtask(execution.name) is not None:
        return
    deltas = totals.setdefault((execution.account, execution.pool), {})
    run, succeeded = deltas.get(execution.node, (0, 0))
    deltas[execution.node] = (run + 1, succeeded + success)
