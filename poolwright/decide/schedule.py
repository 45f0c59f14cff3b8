"""How a job schedule moves on: making the next job, ending, terminating, deleting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from poolwright.domain.clock import Instant, utc
from poolwright.domain.facts import Explanation
from poolwright.domain.job import Job
from poolwright.domain.job_schedule import JobSchedule
from poolwright.domain.occurrences import LATEST, occurrence
from poolwright.domain.states import SCHEDULE, ScheduleState, advance


class Step(Enum):
    """What to do beside writing the schedule's row."""

    NONE = "none"
    MAKE = "make a job"
    TERMINATE_JOBS = "terminate its jobs"
    DELETE_JOBS = "delete its jobs"
    DELETE = "delete its row"


@dataclass(frozen=True, slots=True)
class ScheduleSnapshot:
    """One schedule at one moment. `jobs` are those that stand in its way: jobs that have not completed, or, while the
    schedule is being deleted, all jobs (some of them, where there are many)."""

    schedule: JobSchedule
    jobs: Sequence[Job]
    now: Instant


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """The schedule as it should be, the step to take, when to look again, and why nothing happens until then."""

    schedule: JobSchedule
    step: Step = Step.NONE
    why: Explanation = Explanation("", "")


def plan(snapshot: ScheduleSnapshot) -> SchedulePlan:
    """The next step. `due_at` of the planned schedule is when its loop has to look, None: only an order moves it."""
    schedule, now = snapshot.schedule, snapshot.now
    match schedule.state:
        case ScheduleState.ACTIVE:
            return _active(snapshot)
        case ScheduleState.DISABLED:
            why = Explanation(
                "ScheduleDisabled", "The schedule is disabled and makes no jobs.", "Enable the schedule."
            )
            return SchedulePlan(replace(schedule, due_at=None), why=why)
        case ScheduleState.TERMINATING:
            if not snapshot.jobs:
                return SchedulePlan(_completed(schedule, now), why=_COMPLETED)
            message = f"The job {snapshot.jobs[0].id} is being terminated."
            why = Explanation("ScheduleTerminating", message, "Wait.")
            return SchedulePlan(replace(schedule, due_at=_at_once(schedule, now)), Step.TERMINATE_JOBS, why)
        case ScheduleState.DELETING:
            step = Step.DELETE_JOBS if snapshot.jobs else Step.DELETE
            why = Explanation("ScheduleDeleting", "The schedule and its jobs are being deleted.", "Wait.")
            return SchedulePlan(replace(schedule, due_at=_at_once(schedule, now)), step, why)
        case _:
            return SchedulePlan(replace(schedule, due_at=None), why=_COMPLETED)


_COMPLETED = Explanation("ScheduleCompleted", "The schedule has completed and makes no more jobs.")


def moved(schedule: JobSchedule, state: ScheduleState, now: Instant) -> JobSchedule:
    """The schedule in its next state. Raises IllegalTransition."""
    advance(f"job schedule {schedule.id}", SCHEDULE, schedule.state, state)
    return replace(
        schedule,
        state=state,
        state_at=now,
        previous_state=schedule.state,
        previous_at=schedule.state_at,
        modified_at=max(now, schedule.modified_at + 1),
    )


def _active(snapshot: ScheduleSnapshot) -> SchedulePlan:
    schedule, now = snapshot.schedule, snapshot.now
    due = occurrence(schedule, now)
    if due is None:
        return _last(snapshot)
    if now < due.at:
        message = f"The next job is due at {utc(due.at)}."
        why = Explanation("NextRunLater", message, "Wait.", _times(due.at, due.until))
        return SchedulePlan(replace(schedule, due_at=due.at), why=why)
    waits = replace(schedule, due_at=due.at)
    if snapshot.jobs:
        before = snapshot.jobs[0]
        message = (
            f"A job is due, but the job {before.id} is {before.state.value}, and a schedule has at most one that has"
            " not completed."
        )
        step = "Terminate that job, or have it end by itself: a job manager, or onAllTasksComplete."
        evidence = (*_times(due.at, due.until), ("job", before.id))
        return SchedulePlan(waits, why=Explanation("PreviousJobRuns", message, step, evidence))
    why = Explanation("JobDue", "A job is due and about to be made.", "Wait.", _times(due.at, due.until))
    return SchedulePlan(waits, Step.MAKE, why)


def _last(snapshot: ScheduleSnapshot) -> SchedulePlan:
    """Nothing will be due any more: the schedule ends when its last job and its time are over."""
    schedule, now = snapshot.schedule, snapshot.now
    timing = schedule.spec.timing
    if snapshot.jobs:
        message = f"No further job is due; the schedule completes with its job {snapshot.jobs[0].id}."
        why = Explanation("LastJobRuns", message, "Wait, or terminate the job.")
        return SchedulePlan(replace(schedule, due_at=_at_once(schedule, now)), why=why)
    if timing.every is not None and timing.not_after is not None and now <= timing.not_after:
        message = "No further job is due before doNotRunAfter, when the schedule completes."
        why = Explanation("NoMoreRuns", message, "Wait, or change the schedule.")
        return SchedulePlan(replace(schedule, due_at=timing.not_after + 1), why=why)
    return SchedulePlan(_completed(schedule, now), why=_COMPLETED)


def _completed(schedule: JobSchedule, now: Instant) -> JobSchedule:
    return replace(moved(schedule, ScheduleState.COMPLETED, now), ended_at=now, due_at=None)


def _at_once(schedule: JobSchedule, now: Instant) -> Instant:
    """Now, or since when it has been due, so that a pass that changes nothing writes nothing."""
    return now if schedule.due_at is None else min(schedule.due_at, now)


def _times(at: Instant, until: Instant) -> tuple[tuple[str, str], ...]:
    shown = (("dueAt", utc(at)),)
    return shown if until >= LATEST else (*shown, ("until", utc(until)))
