"""Jobs end by themselves when, and only when, their wall clock or their last task has it; and run no more at a time
than they may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poolwright.domain.clock import MINUTE, Clock, Instant, Micros
from poolwright.domain.job import NO_ACTION, TERMINATE_IDLE, Job
from poolwright.domain.states import JobState, TaskState
from poolwright.domain.task import Task
from poolwright.sim.seen import Seen

#: What is due happens within this time while the service is there: two of its periodic looks.
LATE: Micros = MINUTE
_RUNS = (TaskState.PREPARING, TaskState.RUNNING)


@dataclass(slots=True)
class _Tally:
    """A job's tasks at one moment."""

    open: int = 0  # that keep it from ending with all its tasks
    running: int = 0


def _tally(seen: Seen) -> dict[int, _Tally]:
    found = {job.pk: _Tally() for job in seen.jobs}
    for job, task in seen.tasks:
        tally = found[job.pk]
        tally.running += task.state in _RUNS
        tally.open += task.state is not TaskState.COMPLETED and not _left_behind(job, task)
    return found


def _left_behind(job: Job, task: Task) -> bool:
    """Whether the job does not wait for this task: it waits for others."""
    return (
        job.spec.on_all_tasks_complete == TERMINATE_IDLE and task.state is TaskState.ACTIVE and task.unmet > 0
    )


class JobsEnd:
    """`up` says how long this life of the service has lasted: what became due while it was away is done after that."""

    def __init__(self, clock: Clock, up: Callable[[], Micros]) -> None:
        self._clock = clock
        self._up = up
        self._due: dict[tuple[int, str], Instant] = {}

    def check(self, seen: Seen) -> list[str]:
        said: list[str] = []
        now, tallies = self._clock.now(), _tally(seen)
        due: dict[tuple[int, str], Instant] = {}
        for job in seen.jobs:
            over, tally = job.started_at + job.spec.max_wall_clock, tallies[job.pk]
            if job.state is JobState.ACTIVE:
                done = job.spec.on_all_tasks_complete != NO_ACTION and not tally.open
                for what, is_due in (("its wall clock is over", over <= now), ("all is done", done)):
                    if is_due:
                        since = due[job.pk, what] = self._due.get((job.pk, what), now)
                        if min(now - since, self._up()) > LATE:
                            said.append(f"job {job.id} is active although {what}")
            else:
                said += self._too_early(job, over, tally)
        self._due = due
        return said

    def _too_early(self, job: Job, over: Instant, tally: _Tally) -> list[str]:
        ended = job.ended_at if job.state is JobState.COMPLETED else job.state_at
        if job.state is JobState.DELETING or ended is None:
            return []
        if job.terminate_reason == "MaxWallClockTimeExpiry" and ended < over:
            return [f"job {job.id} ended before its wall clock was over"]
        if job.terminate_reason == "AllTasksComplete" and tally.open:
            return [f"job {job.id} ended with its tasks, {tally.open} are not complete"]
        return []


class ParallelKept:
    """No more tasks of a job run at a time than it allows; when that is lowered, those that run go on."""

    def __init__(self) -> None:
        self._allowed: dict[int, int] = {}

    def changed(self, job: Job, tasks: list[Task]) -> None:
        """A caller changed the job while these tasks were there."""
        self._allowed[job.pk] = sum(task.state in _RUNS for task in tasks)

    def check(self, seen: Seen) -> list[str]:
        said = []
        tallies = _tally(seen)
        for job in seen.jobs:
            most, running = job.spec.max_parallel_tasks, tallies[job.pk].running
            if most <= 0:
                continue
            allowed = max(most, self._allowed.get(job.pk, 0))
            if running > allowed:
                said.append(f"job {job.id} runs {running} tasks of {most}")
            self._allowed[job.pk] = min(allowed, running)
        return said
