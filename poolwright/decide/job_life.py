"""How a job moves on: disabling, enabling, terminating, deleting, its wall clock and the end of its last task."""

from __future__ import annotations

from dataclasses import dataclass, replace

from poolwright.decide.task_life import REQUEUE, TERMINATE
from poolwright.domain.clock import FOREVER, Instant
from poolwright.domain.job import FORCE, NO_ACTION, TERMINATE_IDLE, Job, TaskCounts
from poolwright.domain.states import JOB, JobState, advance


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """One job at one moment. `live` counts executions of tasks that may still be running somewhere; `releasing` says
    that its release tasks are still to be waited for."""

    job: Job
    counts: TaskCounts
    live: int
    now: Instant
    releasing: bool = False


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What to do: the job's next row (None: unchanged), what becomes of running tasks, and when to look again.

    `running` is None, "requeue" or "terminate"; `delete` asks for tasks and, when none is left, the job to go.
    """

    job: Job | None = None
    running: str | None = None
    delete: bool = False
    wake_at: Instant | None = None
    wake_pool: bool = False


def plan(snapshot: JobSnapshot) -> JobPlan:
    """The next step of this job; the empty plan when it is settled."""
    job, now = snapshot.job, snapshot.now
    busy = is_busy(snapshot)
    forced = job.disable_tasks == FORCE
    match job.state:
        case JobState.ACTIVE:
            return _active(snapshot)
        case JobState.DISABLING:
            if not busy:
                return JobPlan(job=moved(job, JobState.DISABLED, now))
            option = job.disable_tasks or REQUEUE
            return JobPlan(running=option if option in (REQUEUE, TERMINATE) else None)
        case JobState.ENABLING:
            over = deadline(job)
            if over is not None and over <= now:  # while it was disabled: nothing starts any more
                return _terminate(job, "MaxWallClockTimeExpiry", now)
            return JobPlan(job=moved(job, JobState.ACTIVE, now), wake_at=now, wake_pool=True)
        case JobState.TERMINATING:
            if snapshot.counts.running if forced else busy:
                return JobPlan(running=TERMINATE)
            if snapshot.releasing and not forced:
                return JobPlan()
            return JobPlan(job=replace(moved(job, JobState.COMPLETED, now), ended_at=now))
        case JobState.DELETING:
            if snapshot.counts.running if forced else busy:
                return JobPlan(running=TERMINATE)
            return JobPlan(delete=forced or not snapshot.releasing)
        case _:
            return JobPlan()


def is_busy(snapshot: JobSnapshot) -> bool:
    """Whether tasks of the job run or may run."""
    return snapshot.live > 0 or snapshot.counts.running > 0


def moved(job: Job, state: JobState, now: Instant) -> Job:
    """The job in its next state. Raises IllegalTransition."""
    advance(f"job {job.id}", JOB, job.state, state)
    return replace(
        job,
        state=state,
        state_at=now,
        previous_state=job.state,
        previous_at=job.state_at,
        disable_tasks=job.disable_tasks if state is JobState.DISABLING else None,
    )


def deadline(job: Job) -> Instant | None:
    """When the job's wall clock runs out, or None."""
    if job.spec.max_wall_clock >= FOREVER:
        return None
    return job.started_at + job.spec.max_wall_clock


def _active(snapshot: JobSnapshot) -> JobPlan:
    job, counts, now = snapshot.job, snapshot.counts, snapshot.now
    over = deadline(job)
    if over is not None and over <= now:
        return _terminate(job, "MaxWallClockTimeExpiry", now)
    mode = job.spec.on_all_tasks_complete
    open_tasks = counts.active + counts.running
    if mode == TERMINATE_IDLE:
        open_tasks -= counts.waiting
    if mode != NO_ACTION and open_tasks == 0:
        return _terminate(job, "AllTasksComplete", now)
    return JobPlan(wake_at=over)


def _terminate(job: Job, reason: str, now: Instant) -> JobPlan:
    ending = replace(moved(job, JobState.TERMINATING, now), terminate_reason=reason)
    return JobPlan(job=ending, running=TERMINATE, wake_at=now)
