"""Job schedules: what callers may ask of them, and how their jobs are made. When a job is due is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from poolwright.commands import accounts, auto_pools, jobs
from poolwright.commands.context import (
    NO_CONDITIONS,
    Caller,
    Context,
    Preconditions,
    next_modified,
    record,
    wake,
)
from poolwright.commands.file_rules import check_job_files
from poolwright.domain.auto_pool import JOB, SCHEDULE, AutoPool
from poolwright.domain.clock import MINUTE, Clock, Ids, span, utc
from poolwright.domain.errors import ServiceError, bad_property, within
from poolwright.domain.job import Job
from poolwright.domain.job_schedule import JobSchedule, ScheduleSpec, Timing, job_id
from poolwright.domain.limits import SCHEDULE_SPAN_MIN, Settings
from poolwright.domain.node import Failure
from poolwright.domain.rules import check_id, not_found
from poolwright.domain.states import SCHEDULE as MOVES
from poolwright.domain.states import JobState, PoolState, ScheduleState, advance
from poolwright.store.base import Tx

ScheduleChange = Callable[[JobSchedule], tuple[ScheduleSpec, bytes]]
"""Computes the new spec and document from the schedule as it is."""

#: Why the jobs of a schedule that is terminated end (public word).
REASON = "TerminateJobSchedule"
#: Jobs that may be open at a time: one, and such as are being deleted.
_OPEN_MAX = 100
#: Why a schedule that is ending cannot be changed any more, by its state.
_ENDED = {
    ScheduleState.TERMINATING: "JobScheduleBeingTerminated",
    ScheduleState.COMPLETED: "JobScheduleCompleted",
    ScheduleState.DELETING: "JobScheduleBeingDeleted",
}


def create(tx: Tx, ctx: Context, account: str, id: str, spec: ScheduleSpec, document: bytes) -> JobSchedule:
    """Make a schedule, active at once; its loop makes the jobs.

    Raises 400 as `jobs.create` and InvalidPropertyValue for its times; 403 and 404 for an auto pool (see
    `auto_pools.check`); 409 JobScheduleExists, JobScheduleBeingDeleted, JobWithSameIdExists,
    ActiveJobAndScheduleQuotaReached.
    """
    check_id("job schedule", id)
    check_spec(ctx, spec)
    after = spec.timing.not_after
    if after is not None and after <= ctx.now:
        raise bad_property(
            "schedule.doNotRunAfter", utc(after), "It has passed, so that no job could be made."
        )
    account = accounts.get(tx, account).name
    _check_files(tx, ctx, account, spec)
    existing = tx.schedules.get(account, id)
    if existing is not None:
        deleting = existing.state is ScheduleState.DELETING
        raise ServiceError("JobScheduleBeingDeleted" if deleting else "JobScheduleExists")
    if tx.jobs.get(account, id) is not None:
        raise ServiceError("JobWithSameIdExists")
    jobs.check_quota(tx, ctx, account)
    schedule = JobSchedule(account, id, spec, document, ScheduleState.ACTIVE, *(ctx.now,) * 3, due_at=ctx.now)
    tx.schedules.insert(schedule)
    _noted(tx, ctx, schedule, "schedule.create")
    return schedule


def _check_files(tx: Tx, ctx: Context, account: str, spec: ScheduleSpec) -> None:
    try:
        check_job_files(tx, ctx, account, spec.job)
    except ServiceError as error:
        raise within("jobSpecification.", error) from None


def check_spec(ctx: Context, spec: ScheduleSpec, known: AutoPool | None = None) -> None:
    """Rules that need no state. Raises as `create` says. A `known` auto pool was judged before: a shared key may change
    the times of a schedule whose image it may not use."""
    _check_timing(spec.timing)
    try:
        jobs.check_spec(spec.job)
        if spec.job.auto_pool is not None and spec.job.auto_pool != known:
            auto_pools.check(ctx, spec.job.auto_pool, scheduled=True)
    except ServiceError as error:
        raise within("jobSpecification.", error) from None


def _check_timing(timing: Timing) -> None:
    for name, given in (("startWindow", timing.window), ("recurrenceInterval", timing.every)):
        if given is not None and given < SCHEDULE_SPAN_MIN:
            reason = f"The least value is {SCHEDULE_SPAN_MIN // MINUTE} minute."
            raise bad_property(f"schedule.{name}", span(given), reason)
    if timing.not_after is not None and timing.not_after <= (timing.not_before or 0):
        raise bad_property(
            "schedule.doNotRunAfter", utc(timing.not_after), "It must be later than doNotRunUntil."
        )


def get(tx: Tx, account: str, id: str) -> JobSchedule:
    """The schedule. Raises JobScheduleNotFound (404)."""
    schedule = tx.schedules.get(account, id)
    if schedule is None:
        raise not_found("job schedule", id)
    return schedule


def change(
    tx: Tx, ctx: Context, account: str, id: str, changing: ScheduleChange, pre: Preconditions
) -> JobSchedule:
    """Change times or the specification of later jobs; a job that exists stays as it is.

    Raises 400, 403, 404 JobScheduleNotFound, 409 JobScheduleCompleted, JobScheduleBeingTerminated or
    JobScheduleBeingDeleted, 412.
    """
    schedule = _open(tx, account, id, pre)
    spec, document = changing(schedule)
    check_spec(ctx, spec, schedule.spec.job.auto_pool)
    _check_files(tx, ctx, schedule.account, spec)
    changed = replace(schedule, spec=spec, document=document)
    if spec.job.auto_pool != schedule.spec.job.auto_pool:
        changed = replace(changed, pool=None)  # the next job gets a pool of the new kind
        if schedule.pool is not None:
            wake(tx, "autopool", schedule.account, schedule.pool)
    return _written(tx, ctx, changed, "schedule.change")


def disable(tx: Tx, ctx: Context, account: str, id: str, pre: Preconditions) -> JobSchedule:
    """Make no more jobs until enabled again; a job that runs goes on.

    Raises 404 JobScheduleNotFound, 409 JobScheduleDisabled, JobScheduleCompleted, JobScheduleBeingTerminated or
    JobScheduleBeingDeleted, 412.
    """
    schedule = _open(tx, account, id, pre)
    if schedule.state is ScheduleState.DISABLED:
        raise ServiceError("JobScheduleDisabled")
    return _written(tx, ctx, _moved(ctx, schedule, ScheduleState.DISABLED), "schedule.disable")


def enable(tx: Tx, ctx: Context, account: str, id: str, pre: Preconditions) -> JobSchedule:
    """Make jobs again; of what fell due meanwhile only what is still in its window. No change for an active one.

    Raises as `disable`, but for JobScheduleDisabled.
    """
    schedule = _open(tx, account, id, pre)
    if schedule.state is ScheduleState.ACTIVE:
        return schedule
    return _written(tx, ctx, _moved(ctx, schedule, ScheduleState.ACTIVE), "schedule.enable")


def terminate(
    tx: Tx, ctx: Context, account: str, id: str, pre: Preconditions, *, force: bool = False
) -> JobSchedule:
    """End the schedule and the job that is active, with the reason TerminateJobSchedule; `force` as for a job. Raises
    as `enable`."""
    schedule = _open(tx, account, id, pre)
    for job in tx.jobs.open_of_schedule(schedule.account, id, _OPEN_MAX) if force else ():
        _end_at_once(tx, ctx, job)
    return _written(tx, ctx, _moved(ctx, schedule, ScheduleState.TERMINATING), "schedule.terminate")


def _end_at_once(tx: Tx, ctx: Context, job: Job) -> None:
    if job.state is JobState.DELETING:
        jobs.delete(tx, ctx, job.account, job.id, NO_CONDITIONS, force=True)
    else:
        jobs.terminate(tx, ctx, job.account, job.id, REASON, NO_CONDITIONS, force=True)


def delete(
    tx: Tx, ctx: Context, account: str, id: str, pre: Preconditions, *, force: bool = False
) -> JobSchedule:
    """Begin to delete the schedule with its jobs, their tasks and files; its loop does it in bounded steps. `force` as
    for a job.

    Raises 404 JobScheduleNotFound, 409 JobScheduleBeingDeleted, 412.
    """
    schedule = get(tx, account, id)
    pre.check_write(schedule.modified_at)
    if schedule.state is ScheduleState.DELETING:
        raise ServiceError("JobScheduleBeingDeleted")
    for job in tx.jobs.open_of_schedule(schedule.account, id, _OPEN_MAX) if force else ():
        jobs.delete(tx, ctx, job.account, job.id, NO_CONDITIONS, force=True)
    return _written(tx, ctx, _moved(ctx, schedule, ScheduleState.DELETING), "schedule.delete")


@dataclass(frozen=True, slots=True)
class JobFactory:
    """How the loop makes the jobs of schedules: by the rules of callers, in the name of the service."""

    clock: Clock
    ids: Ids
    settings: Settings

    def __call__(self, tx: Tx, schedule: JobSchedule) -> JobSchedule:
        """Make the next job. See reconcile/schedules.py, JobMaker."""
        ctx = Context(self.clock, self.ids, self.settings, Caller("system", "schedules"))
        return make_job(tx, ctx, schedule)


def make_job(tx: Tx, ctx: Context, schedule: JobSchedule) -> JobSchedule:
    """Make the schedule's next job and return the schedule that counts it, not yet written.

    Raises ActiveJobAndScheduleQuotaReached (409). A pool that cannot be made ends the job, not the schedule.
    """
    jobs.check_quota(tx, ctx, schedule.account)
    number = schedule.jobs + 1
    id, spec, failure = job_id(schedule.id, number), schedule.spec.job, None
    shared = schedule.pool
    if spec.auto_pool is not None:
        if spec.auto_pool.lifetime == JOB:
            pool, failure = auto_pools.make(tx, ctx, schedule.account, JOB, id, spec.auto_pool)
        else:
            pool, failure = _shared_pool(tx, ctx, schedule)
            shared = pool if failure is None else None
        spec = replace(spec, pool=pool)
    jobs.begin(
        tx,
        ctx,
        Job(
            schedule.account,
            id,
            spec,
            schedule.spec.job_document,
            JobState.ACTIVE,
            *(ctx.now,) * 4,
            schedule=schedule.id,
        ),
        failure,
    )
    return replace(schedule, jobs=number, last_run_at=ctx.now, pool=shared)


def _shared_pool(tx: Tx, ctx: Context, schedule: JobSchedule) -> tuple[str, Failure | None]:
    """The pool all jobs of the schedule share; a new one where there is none, or somebody deletes it by force."""
    if schedule.pool is not None:
        pool = tx.pools.get(schedule.account, schedule.pool)
        if pool is not None and pool.state is PoolState.ACTIVE:
            return pool.id, None
    assert schedule.spec.job.auto_pool is not None
    return auto_pools.make(tx, ctx, schedule.account, SCHEDULE, schedule.id, schedule.spec.job.auto_pool)


def _open(tx: Tx, account: str, id: str, pre: Preconditions) -> JobSchedule:
    schedule = get(tx, account, id)
    pre.check_write(schedule.modified_at)
    code = _ENDED.get(schedule.state)
    if code is not None:
        raise ServiceError(code)
    return schedule


def _moved(ctx: Context, schedule: JobSchedule, state: ScheduleState) -> JobSchedule:
    advance(f"job schedule {schedule.id}", MOVES, schedule.state, state)
    return replace(
        schedule, state=state, state_at=ctx.now, previous_state=schedule.state, previous_at=schedule.state_at
    )


def _written(tx: Tx, ctx: Context, schedule: JobSchedule, kind: str) -> JobSchedule:
    due_at = None if schedule.state is ScheduleState.DISABLED else ctx.now
    modified = next_modified(ctx, schedule.modified_at)
    changed = tx.schedules.update(replace(schedule, modified_at=modified, due_at=due_at))
    _noted(tx, ctx, changed, kind)
    return changed


def _noted(tx: Tx, ctx: Context, schedule: JobSchedule, kind: str) -> None:
    record(tx, ctx, schedule.account, f"schedule/{schedule.id}", kind)
    wake(tx, "schedule", schedule.account, schedule.id)
