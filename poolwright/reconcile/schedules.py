"""One pass over one job schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from poolwright.decide import job_life, schedule
from poolwright.decide.schedule import ScheduleSnapshot, Step
from poolwright.domain.clock import Instant
from poolwright.domain.errors import ServiceError
from poolwright.domain.facts import DirtyKey, Fact
from poolwright.domain.job import Job
from poolwright.domain.job_schedule import JobSchedule
from poolwright.domain.limits import SCHEDULE_RETRY
from poolwright.domain.states import JobState, ScheduleState
from poolwright.store.base import Tx

#: Jobs terminated or deleted in one transaction; a schedule may have made thousands.
CHUNK = 100
REASON = "TerminateJobSchedule"

JobMaker = Callable[[Tx, JobSchedule], JobSchedule]
"""Makes the schedule's next job in the transaction, by the rules that callers' jobs are made by. Returns the schedule
as it should be written. Raises ServiceError where the account may have no more jobs."""


def load(tx: Tx, account: str, id: str, now: Instant) -> ScheduleSnapshot | None:
    """The schedule as it is, or None if there is none."""
    found = tx.schedules.get(account, id)
    if found is None:
        return None
    if found.state is ScheduleState.DELETING:
        return ScheduleSnapshot(found, tx.jobs.page_of_schedule(account, id, None, CHUNK), now)
    return ScheduleSnapshot(found, tx.jobs.open_of_schedule(account, id, CHUNK), now)


def run(tx: Tx, make: JobMaker, account: str, id: str, now: Instant) -> Instant | None:
    """Plan the schedule and write what changes. Call it inside a write. Returns when to look again."""
    snapshot = load(tx, account, id, now)
    if snapshot is None:
        return None
    plan = schedule.plan(snapshot)
    before, after = snapshot.schedule, plan.schedule
    if plan.step is Step.MAKE:
        return _make(tx, make, after, now)
    if plan.step is Step.DELETE:
        tx.schedules.delete(account, id)
        _let_go(tx, before)
        tx.journal.record([Fact(now, "schedule.deleted", account, f"schedule/{before.id}")])
        return None
    if plan.step is Step.TERMINATE_JOBS:
        _move(tx, snapshot.jobs, JobState.TERMINATING, now)
    elif plan.step is Step.DELETE_JOBS:
        _move(tx, snapshot.jobs, JobState.DELETING, now)
    if after != before:
        tx.schedules.update(after)
    if after.state is not before.state:
        _let_go(tx, before)
        fact = Fact(now, f"schedule.{after.state.value}", account, f"schedule/{before.id}")
        tx.journal.record([fact])
    # What is due already waits for a job, whose end wakes this look; the periodic pass knows it too.
    return after.due_at if after.due_at is not None and after.due_at > now else None


def _make(tx: Tx, make: JobMaker, due: JobSchedule, now: Instant) -> Instant:
    try:
        made = make(tx, due)
    except ServiceError:
        if due != tx.schedules.get(due.account, due.id):
            tx.schedules.update(due)
        return now + SCHEDULE_RETRY
    tx.schedules.update(made)
    return now


def _move(tx: Tx, jobs: Sequence[Job], state: JobState, now: Instant) -> None:
    """Have the jobs end, or go; what follows is the work of their own loop."""
    for job in jobs:
        if job.state in (state, JobState.DELETING):
            continue
        ending = replace(job_life.moved(job, state, now), disable_tasks=None)
        if state is JobState.TERMINATING:
            ending = replace(ending, terminate_reason=REASON)
        tx.jobs.update(ending)
        tx.mark_dirty(DirtyKey("job", job.account, job.id))
        tx.mark_dirty(DirtyKey("pool", job.account, job.spec.pool))
        detail: dict[str, str | int | float | bool | None] = {"by": "schedule"}
        tx.journal.record([Fact(now, f"job.{state.value}", job.account, f"job/{job.id}", detail)])


def _let_go(tx: Tx, ended: JobSchedule) -> None:
    if ended.pool is not None:
        tx.mark_dirty(DirtyKey("autopool", ended.account, ended.pool))
