"""Jobs: what callers may ask of them. What follows from a change (killing, completing, removing) is the loop's work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from poolwright.commands import accounts, auto_pools
from poolwright.commands.context import Context, Preconditions, next_modified, record, wake
from poolwright.commands.file_rules import check_job_files
from poolwright.commands.job_tasks import check_job_tasks
from poolwright.domain.auto_pool import JOB
from poolwright.domain.clock import span
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.job import FORCE, NO_ACTION, TERMINATE_DONE, TERMINATE_IDLE, Job, JobSpec, TaskCounts
from poolwright.domain.limits import PRIORITY_MAX, PRIORITY_MIN
from poolwright.domain.node import Failure
from poolwright.domain.rules import check_id, not_found
from poolwright.domain.states import JOB as MOVES
from poolwright.domain.states import JobState, advance
from poolwright.domain.task import NewTask, Task
from poolwright.domain.task_ends import PERFORM, job_after
from poolwright.store.base import Tx

JobChange = Callable[[Job], tuple[JobSpec, bytes]]
"""Computes the new spec and document from the job as it is."""

DISABLE_OPTIONS = ("requeue", "terminate", "wait")
_ENDINGS = (NO_ACTION, TERMINATE_DONE, TERMINATE_IDLE)
_ON_FAILURE = (NO_ACTION, PERFORM)
#: Why a job that is ending cannot be changed any more, by its state.
_ENDED = {
    JobState.TERMINATING: "JobBeingTerminated",
    JobState.COMPLETED: "JobCompleted",
    JobState.DELETING: "JobBeingDeleted",
}


def create(tx: Tx, ctx: Context, account: str, id: str, spec: JobSpec, document: bytes) -> Job:
    """Make a job with its manager task, active at once. Its pool need not exist: the tasks then wait.

    A job that ends when all tasks are complete and has none ends at once (its loop sees to that). An auto pool is
    made with the job; if that fails, the job is completed from the start and says why. Raises 400
    InvalidPropertyValue or OutOfRangePriority; 403 and 404 for an auto pool (see `auto_pools.check`); 409 JobExists,
    JobBeingDeleted, JobScheduleWithSameIdExists, ActiveJobAndScheduleQuotaReached.
    """
    check_id("job", id)
    check_spec(spec)
    if spec.auto_pool is not None:
        auto_pools.check(ctx, spec.auto_pool, scheduled=False)
    account = accounts.get(tx, account).name
    check_job_files(tx, ctx, account, spec)
    existing = tx.jobs.get(account, id)
    if existing is not None:
        raise ServiceError("JobBeingDeleted" if existing.state is JobState.DELETING else "JobExists")
    if tx.schedules.get(account, id) is not None:
        raise ServiceError("JobScheduleWithSameIdExists")
    check_quota(tx, ctx, account)
    failure = None
    if spec.auto_pool is not None:
        pool, failure = auto_pools.make(tx, ctx, account, JOB, id, spec.auto_pool)
        spec = dataclasses.replace(spec, pool=pool)
    return begin(tx, ctx, Job(account, id, spec, document, JobState.ACTIVE, *(ctx.now,) * 4), failure)


def check_quota(tx: Tx, ctx: Context, account: str) -> None:
    """Raises ActiveJobAndScheduleQuotaReached (409) unless the account may have one more job or schedule."""
    quota = ctx.settings.quotas.active_jobs
    if tx.jobs.count_active(account) + tx.schedules.count_active(account) >= quota:
        raise ServiceError("ActiveJobAndScheduleQuotaReached", None, (("Limit", str(quota)),))


def begin(tx: Tx, ctx: Context, job: Job, failure: Failure | None) -> Job:
    """Write a new job: active, or completed at once where its pool could not be made."""
    if failure is not None:
        job = dataclasses.replace(job, state=JobState.COMPLETED, ended_at=ctx.now, scheduling_error=failure)
    job = tx.jobs.insert(job)
    manager = job.spec.manager
    if manager is not None and failure is None:
        document = manager.document.encode()
        tx.tasks.insert_many(job.pk, [NewTask(manager.id, manager.spec, document)], ctx.now)
    detail = {} if failure is None else {"error": failure.code}
    _noted(tx, ctx, job, "job.create", pool=job.spec.pool, priority=job.spec.priority, **detail)
    return job


def check_spec(spec: JobSpec) -> None:
    """Ranges. Raises InvalidPropertyValue or OutOfRangePriority (400)."""
    if spec.auto_pool is None:
        check_id("pool", spec.pool)
    if not PRIORITY_MIN <= spec.priority <= PRIORITY_MAX:
        reason = f"A priority lies from {PRIORITY_MIN} to {PRIORITY_MAX}."
        raise bad_property("priority", spec.priority, reason, "OutOfRangePriority")
    if spec.max_parallel_tasks != -1 and spec.max_parallel_tasks <= 0:
        raise bad_property("maxParallelTasks", spec.max_parallel_tasks, "-1 (no limit) or a positive number.")
    if spec.max_task_retries < -1:
        name = "constraints.maxTaskRetryCount"
        raise bad_property(name, spec.max_task_retries, "-1 (no limit) or a number that is not negative.")
    if spec.max_wall_clock <= 0:
        raise bad_property("constraints.maxWallClockTime", span(spec.max_wall_clock), "A positive duration.")
    if spec.on_all_tasks_complete not in _ENDINGS:
        reason = f"One of {', '.join(_ENDINGS)}."
        raise bad_property("onAllTasksComplete", spec.on_all_tasks_complete, reason)
    check_job_tasks(spec)
    if spec.on_task_failure not in _ON_FAILURE:
        raise bad_property("onTaskFailure", spec.on_task_failure, f"One of {', '.join(_ON_FAILURE)}.")


def get(tx: Tx, account: str, id: str) -> Job:
    """The job. Raises JobNotFound (404)."""
    job = tx.jobs.get(account, id)
    if job is None:
        raise not_found("job", id)
    return job


def patch(tx: Tx, ctx: Context, account: str, id: str, change: JobChange, pre: Preconditions) -> Job:
    """Change what a running job lets change; its pool only while it is disabled.

    Raises 400, 404 JobNotFound, 409 JobCompleted, JobBeingTerminated, JobBeingDeleted or
    OperationInvalidForCurrentState, 412.
    """
    return _changed(tx, ctx, account, id, change, pre, "job.patch")


def replace(tx: Tx, ctx: Context, account: str, id: str, change: JobChange, pre: Preconditions) -> Job:
    """As `patch`, for a change that sets what the caller left out back to its default."""
    return _changed(tx, ctx, account, id, change, pre, "job.replace")


def disable(tx: Tx, ctx: Context, account: str, id: str, tasks_option: str, pre: Preconditions) -> Job:
    """Start no more tasks; running ones are requeued, terminated, or waited for, by `tasks_option`.

    Raises 400, 404 JobNotFound, 409 JobDisabled, JobCompleted, JobBeingTerminated or JobBeingDeleted, 412.
    """
    if tasks_option not in DISABLE_OPTIONS:
        raise bad_property("disableTasks", tasks_option, f"One of {', '.join(DISABLE_OPTIONS)}.")
    job = _open(tx, account, id, pre)
    if job.state in (JobState.DISABLED, JobState.DISABLING):
        raise ServiceError("JobDisabled")
    job = _moved(ctx, dataclasses.replace(job, disable_tasks=tasks_option), JobState.DISABLING)
    return _written(tx, ctx, job, "job.disable", option=tasks_option)


def enable(tx: Tx, ctx: Context, account: str, id: str, pre: Preconditions) -> Job:
    """Let the tasks of a disabled job run again.

    Raises 404 JobNotFound, 409 OperationInvalidForCurrentState (not disabled), JobCompleted, JobBeingTerminated or
    JobBeingDeleted, 412.
    """
    job = _open(tx, account, id, pre)
    if job.state not in (JobState.DISABLED, JobState.DISABLING):
        values = (("JobState", job.state.value), ("Reason", "The job is not disabled."))
        raise ServiceError("OperationInvalidForCurrentState", None, values)
    job = _moved(ctx, dataclasses.replace(job, disable_tasks=None), JobState.ENABLING)
    return _written(tx, ctx, job, "job.enable")


def terminate(
    tx: Tx,
    ctx: Context,
    account: str,
    id: str,
    reason: str | None,
    pre: Preconditions,
    *,
    force: bool = False,
) -> Job:
    """End the job: running tasks are ended, active ones stay active and never run. With `force` neither nodes nor
    release tasks are waited for; a job that is being terminated may be forced once more.

    Raises 404 JobNotFound, 409 JobCompleted, JobBeingTerminated or JobBeingDeleted, 412.
    """
    job = get(tx, account, id)
    if force and job.state is JobState.TERMINATING:
        pre.check_write(job.modified_at)
        return _written(tx, ctx, dataclasses.replace(job, disable_tasks=FORCE), "job.force")
    job = _open(tx, account, id, pre)
    named = reason or "UserTerminate"
    disposal = FORCE if force else None
    job = _moved(
        ctx, dataclasses.replace(job, terminate_reason=named, disable_tasks=disposal), JobState.TERMINATING
    )
    return _written(tx, ctx, job, "job.terminate", reason=named)


def delete(tx: Tx, ctx: Context, account: str, id: str, pre: Preconditions, *, force: bool = False) -> Job:
    """Begin to delete the job with its tasks and their files; its loop removes them in bounded steps. `force` as in
    `terminate`.

    Raises 404 JobNotFound, 409 JobBeingDeleted, 412.
    """
    job = get(tx, account, id)
    pre.check_write(job.modified_at)
    disposal = FORCE if force else None
    if job.state is JobState.DELETING:
        if force:
            return _written(tx, ctx, dataclasses.replace(job, disable_tasks=FORCE), "job.force")
        raise ServiceError("JobBeingDeleted")
    job = _moved(ctx, dataclasses.replace(job, disable_tasks=disposal), JobState.DELETING)
    return _written(tx, ctx, job, "job.delete")


def task_ended(tx: Tx, ctx: Context, job: Job, task: Task) -> None:
    """Do to the job what the end of this task asks for, by its exit conditions."""
    moved = job_after(job, task, ctx.now)
    if moved is not None:
        _noted(tx, ctx, tx.jobs.update(moved), f"job.{moved.state.value}", task=task.id)


def counts(tx: Tx, account: str, id: str) -> tuple[TaskCounts, TaskCounts]:
    """(tasks, slots) of the job by state. Raises JobNotFound (404)."""
    return tx.tasks.counts(get(tx, account, id).pk)


def check_open(job: Job) -> None:
    """Raises JobCompleted, JobBeingTerminated or JobBeingDeleted (409) for a job that is ending or has ended."""
    code = _ENDED.get(job.state)
    if code is not None:
        raise ServiceError(code)


def _open(tx: Tx, account: str, id: str, pre: Preconditions) -> Job:
    job = get(tx, account, id)
    pre.check_write(job.modified_at)
    check_open(job)
    return job


def _changed(
    tx: Tx, ctx: Context, account: str, id: str, change: JobChange, pre: Preconditions, kind: str
) -> Job:
    job = _open(tx, account, id, pre)
    spec, document = change(job)
    check_spec(spec)
    before = job.spec
    spec = auto_pools.changed(tx, job.account, before, spec)
    if before.on_all_tasks_complete != NO_ACTION and spec.on_all_tasks_complete == NO_ACTION:
        reason = f"It cannot go back from {before.on_all_tasks_complete} to noaction."
        raise bad_property("onAllTasksComplete", spec.on_all_tasks_complete, reason)
    moved = spec.pool.lower() != before.pool.lower()
    if moved and job.state is not JobState.DISABLED:
        values = (
            ("PropertyName", "poolInfo"),
            ("Reason", "A job changes its pool only while it is disabled."),
        )
        raise ServiceError("OperationInvalidForCurrentState", None, values)
    return _written(tx, ctx, dataclasses.replace(job, spec=spec, document=document), kind)


def _moved(ctx: Context, job: Job, state: JobState) -> Job:
    advance(f"job {job.id}", MOVES, job.state, state)
    return dataclasses.replace(
        job, state=state, state_at=ctx.now, previous_state=job.state, previous_at=job.state_at
    )


def _written(tx: Tx, ctx: Context, job: Job, kind: str, **detail: str) -> Job:
    changed = tx.jobs.update(dataclasses.replace(job, modified_at=next_modified(ctx, job.modified_at)))
    _noted(tx, ctx, changed, kind, **detail)
    return changed


def _noted(tx: Tx, ctx: Context, job: Job, kind: str, **detail: str | int) -> None:
    record(tx, ctx, job.account, f"job/{job.id}", kind, **detail)
    wake(tx, "job", job.account, job.id)
    wake(tx, "pool", job.account, job.spec.pool)
