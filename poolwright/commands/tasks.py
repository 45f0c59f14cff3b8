"""Tasks: what callers may ask of them. Adding is the hot path: its cost per task is a few rows in a shared commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poolwright.commands import jobs
from poolwright.commands.context import Context, Preconditions, next_modified, record, wake
from poolwright.commands.file_rules import check_linked
from poolwright.commands.job_tasks import check_not_of_job
from poolwright.domain import task_events
from poolwright.domain.clock import Micros, span
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.job import Job
from poolwright.domain.limits import (
    DEPENDENCY_CHARACTERS_MAX,
    DEPENDENCY_RANGES_MAX,
    ENVIRONMENT_BYTES_MAX,
    SLOTS_PER_NODE_MAX,
    TASK_BYTES_MAX,
    TASKS_PER_COLLECTION_MAX,
)
from poolwright.domain.node import Failure
from poolwright.domain.rules import check_id, not_found
from poolwright.domain.states import TASK, ExecutionResult, JobState, TaskState, advance
from poolwright.domain.task import NewTask, Task
from poolwright.domain.task_ends import PERFORM
from poolwright.store.base import Tx

KILL_TERMINATE = "terminate"


def add(tx: Tx, ctx: Context, account: str, job: str, new: NewTask) -> Task:
    """Add one task, active at once.

    Raises 400, 404 JobNotFound, 409 TaskExists, JobCompleted, JobBeingTerminated or JobBeingDeleted, 413.
    """
    (outcome,) = add_many(tx, ctx, account, job, [new])
    if isinstance(outcome, ServiceError):
        raise outcome
    return outcome


def add_many(
    tx: Tx, ctx: Context, account: str, job: str, news: Sequence[NewTask]
) -> list[Task | ServiceError]:
    """Add up to 100 tasks; one outcome a task, in order. A task that is refused does not hold up the others.

    Raises, for the whole call, 404 JobNotFound, 409 JobCompleted, JobBeingTerminated or JobBeingDeleted, 413
    RequestBodyTooLarge for more than 100 tasks.
    """
    if len(news) > TASKS_PER_COLLECTION_MAX:
        raise ServiceError("RequestBodyTooLarge", None, (("Limit", str(TASKS_PER_COLLECTION_MAX)),))
    found = jobs.get(tx, account, job)
    jobs.check_open(found)
    refusals = [_refusal(tx, ctx, new, found) for new in news]
    fit = [new for new, refusal in zip(news, refusals, strict=True) if refusal is None]
    stored = iter(tx.tasks.insert_many(found.pk, fit, ctx.now) if fit else ())
    outcomes: list[Task | ServiceError] = []
    added = 0
    for refusal in refusals:
        if refusal is not None:
            outcomes.append(refusal)
            continue
        task = next(stored)
        added += task is not None
        outcomes.append(ServiceError("TaskExists") if task is None else task)
    if added:
        record(tx, ctx, found.account, f"job/{found.id}", "task.add", added=added)
        _wake_pool(tx, found)
        if found.spec.cancel_dependents:
            wake(tx, "job", found.account, found.id)
    return outcomes


def get(tx: Tx, account: str, job: str, id: str) -> Task:
    """The task. Raises JobNotFound or TaskNotFound (404)."""
    return _of_job(tx, jobs.get(tx, account, job), id)


def page(tx: Tx, account: str, job: str, after: str | None, limit: int) -> list[Task]:
    """Tasks in order of lower-cased id. Raises JobNotFound (404)."""
    return tx.tasks.page(jobs.get(tx, account, job).pk, after, limit)


def replace_constraints(
    tx: Tx,
    ctx: Context,
    account: str,
    job: str,
    id: str,
    max_retries: int | None,
    max_wall_clock: Micros,
    retention: Micros,
    pre: Preconditions,
) -> Task:
    """Set the constraints, the only part of a task that may change. A new retention time is that of a multi-instance
    task's primary: its subtasks keep theirs.

    Raises 400, 404, 409 JobCompleted, JobBeingTerminated or JobBeingDeleted, 412.
    """
    found, task = _for_change(tx, account, job, id, pre)
    jobs.check_open(found)
    spec = replace(task.spec, max_retries=max_retries, max_wall_clock=max_wall_clock, retention=retention)
    if spec.multi is not None and spec.multi.retention is None:
        spec = replace(spec, multi=replace(spec.multi, retention=task.spec.retention))
    _check_constraints(NewTask(id, spec, task.document))
    changed = replace(task, spec=spec, modified_at=next_modified(ctx, task.modified_at))
    tx.tasks.replace_spec(changed)
    _noted(tx, ctx, found, task, "task.replace")
    return changed


def terminate(tx: Tx, ctx: Context, account: str, job: str, id: str, pre: Preconditions) -> Task:
    """End a task: its row completes at once, its process is ordered to be killed.

    Raises 404, 409 TaskCompleted or JobBeingDeleted, 412.
    """
    found, task = _for_change(tx, account, job, id, pre)
    if task.state is TaskState.COMPLETED:
        raise ServiceError("TaskCompleted")
    _order_kill(tx, task)
    advance(f"task {task.id}", TASK, task.state, TaskState.COMPLETED)
    ended = replace(
        task,
        state=TaskState.COMPLETED,
        state_at=ctx.now,
        modified_at=next_modified(ctx, task.modified_at),
        previous_state=task.state,
        previous_at=task.state_at,
        ended_at=ctx.now,
        result=ExecutionResult.FAILURE,
        failure=Failure("usererror", "TaskEnded", "The task was ended by user request."),
        kill_reason=KILL_TERMINATE,
    )
    tx.tasks.update_many([ended])
    _noted(tx, ctx, found, task, "task.terminate")
    tx.journal.record(task_events.ended(found, ended, ctx.now))
    jobs.task_ended(tx, ctx, found, ended)
    wake(tx, "job", found.account, found.id)
    return ended


def delete(tx: Tx, ctx: Context, account: str, job: str, id: str, pre: Preconditions) -> None:
    """Remove a task: its row goes at once, its process is ordered to be killed, its files go after that.

    Raises 404, 409 JobBeingDeleted, 412.
    """
    found, task = _for_change(tx, account, job, id, pre)
    _order_kill(tx, task)
    tx.tasks.delete(task.pk)
    if task.pool is not None:
        wake(tx, "files", found.account, task.pool)
    _noted(tx, ctx, found, task, "task.delete")
    wake(tx, "job", found.account, found.id)


def reactivate(tx: Tx, ctx: Context, account: str, job: str, id: str, pre: Preconditions) -> Task:
    """Run a failed task again, with its retries counted anew; not before an earlier execution is known to be dead.

    Raises 404, 409 TaskNotCompleted, TaskSucceeded, JobCompleted, JobBeingTerminated or JobBeingDeleted, 412.
    """
    found, task = _for_change(tx, account, job, id, pre)
    jobs.check_open(found)
    if task.state is not TaskState.COMPLETED:
        raise ServiceError("TaskNotCompleted")
    if task.result is ExecutionResult.SUCCESS:
        raise ServiceError("TaskSucceeded")
    advance(f"task {task.id}", TASK, task.state, TaskState.ACTIVE)
    again = replace(
        task,
        state=TaskState.ACTIVE,
        state_at=ctx.now,
        modified_at=next_modified(ctx, task.modified_at),
        previous_state=task.state,
        previous_at=task.state_at,
        ended_at=None,
        exit_code=None,
        result=None,
        failure=None,
        retry_count=0,
        last_retry_at=None,
        system_requeues=0,
        kill_reason=None,
    )
    tx.tasks.update_many([again])
    _noted(tx, ctx, found, task, "task.reactivate")
    return again


def _refusal(tx: Tx, ctx: Context, new: NewTask, job: Job) -> ServiceError | None:
    try:
        check_id("task", new.id)
        if new.spec.resource_files:
            check_linked(tx, ctx, job.account, new.spec.resource_files, "resourceFiles")
        if new.spec.multi is not None:
            name = "multiInstanceSettings.commonResourceFiles"
            check_linked(tx, ctx, job.account, new.spec.multi.common_files, name)
        _check_constraints(new)
        _check_relations(new, job)
    except ServiceError as refusal:
        return refusal
    return None


def _check_constraints(new: NewTask) -> None:
    spec = new.spec
    if not 1 <= spec.required_slots <= SLOTS_PER_NODE_MAX:
        reason = f"A task takes 1 to {SLOTS_PER_NODE_MAX} slots."
        raise bad_property("requiredSlots", spec.required_slots, reason)
    if spec.multi is not None and spec.required_slots != 1:
        reason = "A multi-instance task takes one slot on each of its nodes."
        raise bad_property("requiredSlots", spec.required_slots, reason)
    if spec.max_retries is not None and spec.max_retries < -1:
        name = "constraints.maxTaskRetryCount"
        raise bad_property(name, spec.max_retries, "-1 (no limit) or a number that is not negative.")
    if spec.max_wall_clock <= 0:
        raise bad_property("constraints.maxWallClockTime", span(spec.max_wall_clock), "A positive duration.")
    if spec.retention < 0:
        raise bad_property(
            "constraints.retentionTime", span(spec.retention), "A duration that is not negative."
        )
    if len(new.document) + len(spec.command_line) > TASK_BYTES_MAX:
        raise ServiceError("RequestEntityTooLarge", None, (("Limit", str(TASK_BYTES_MAX)),))
    if sum(len(name) + len(value) + 2 for name, value in spec.environment) > ENVIRONMENT_BYTES_MAX:
        values = (("PropertyName", "environmentSettings"), ("Limit", str(ENVIRONMENT_BYTES_MAX)))
        raise ServiceError("RequestEntityTooLarge", None, values)


def _check_relations(new: NewTask, job: Job) -> None:
    """What the task says of its job and of other tasks fits the job."""
    check_not_of_job(new.id, job.spec)
    given, exits = new.spec.depends_on, new.spec.exit_conditions
    if given is not None:
        if not job.spec.uses_dependencies:
            reason = "The job was made without usesTaskDependencies."
            raise bad_property("dependsOn", new.id, reason, "TaskDependenciesNotSpecifiedOnJob")
        length = sum(map(len, given.ids))
        if length > DEPENDENCY_CHARACTERS_MAX:
            reason = f"All ids together have at most {DEPENDENCY_CHARACTERS_MAX} characters."
            raise bad_property("dependsOn.taskIds", length, reason, "TaskDependencyListTooLong")
        if len(given.ranges) > DEPENDENCY_RANGES_MAX:
            reason = f"At most {DEPENDENCY_RANGES_MAX} ranges that do not touch one another."
            count = len(given.ranges)
            raise bad_property("dependsOn.taskIdRanges", count, reason, "TaskDependencyRangesTooLong")
    action = exits.job_action if exits is not None else None
    if action is not None and job.spec.on_task_failure != PERFORM:
        reason = f"A jobAction needs a job whose onTaskFailure is {PERFORM}."
        raise bad_property(f"exitConditions.{action[0]}", action[1], reason)


def _of_job(tx: Tx, job: Job, id: str) -> Task:
    task = tx.tasks.get(job.pk, id)
    if task is None:
        raise not_found("task", id)
    return task


def _for_change(tx: Tx, account: str, job: str, id: str, pre: Preconditions) -> tuple[Job, Task]:
    found = jobs.get(tx, account, job)
    task = _of_job(tx, found, id)
    pre.check_write(task.modified_at)
    if found.state is JobState.DELETING:
        raise ServiceError("JobBeingDeleted")
    return found, task


def _order_kill(tx: Tx, task: Task) -> None:
    """Kept until the end is known: a slot is free only when the process is dead."""
    if task.attempt:
        live = tx.executions.of_task(task.pk)
        if live:
            tx.executions.order_kill([execution.name for execution in live], KILL_TERMINATE)


def _wake_pool(tx: Tx, job: Job) -> None:
    wake(tx, "pool", job.account, job.spec.pool)


def _noted(tx: Tx, ctx: Context, job: Job, task: Task, kind: str) -> None:
    record(tx, ctx, job.account, f"task/{job.id}/{task.id}", kind)
    _wake_pool(tx, job)
