"""A job schedule: makes jobs of one specification, once or again and again, at most one active at a time."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.clock import FOREVER, Instant, Micros
from poolwright.domain.job import JobSpec
from poolwright.domain.states import ScheduleState


@dataclass(frozen=True, slots=True)
class Timing:
    """When jobs are made. All in UTC, which knows no daylight saving.

    The first job is due at `not_before` (None: when the schedule was added), further ones each `every` after that
    (None: there is only one). A job that cannot be made within `window` of its due time is not made.
    """

    not_before: Instant | None = None
    not_after: Instant | None = None
    window: Micros = FOREVER
    every: Micros | None = None


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """What the caller asked for. `job_document` is the JSON its jobs get, to be echoed."""

    timing: Timing
    job: JobSpec
    job_document: bytes
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class JobSchedule:
    """A schedule as stored. `due_at` is when its loop has to look, or None when only an event can move it."""

    account: str
    id: str
    spec: ScheduleSpec
    document: bytes
    state: ScheduleState
    state_at: Instant
    created_at: Instant
    modified_at: Instant
    previous_state: ScheduleState | None = None
    previous_at: Instant | None = None
    ended_at: Instant | None = None
    jobs: int = 0  # made so far; the last one is `recent_job`
    last_run_at: Instant | None = None  # when the last one was made
    pool: str | None = None  # the auto pool its jobs share, once made
    due_at: Instant | None = None
    revision: int = 0

    @property
    def recent_job(self) -> str | None:
        """The id of the newest job it made."""
        return job_id(self.id, self.jobs) if self.jobs else None


def workitem(job: str) -> tuple[str, str]:
    """The two directories a job's tasks lie in: (job, "job-1"), or (schedule, "job-<n>") for a schedule's job."""
    first, _, number = job.partition(":")
    return first, number or "job-1"


def job_id(schedule: str, number: int) -> str:
    """The id of a schedule's job; `number` counts from 1. A colon is in no id that callers choose."""
    return f"{schedule}:job-{number}"
