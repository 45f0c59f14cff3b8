"""What a job is said to wait for."""

from __future__ import annotations

import pytest

from poolwright.decide.explain_job import job
from poolwright.domain.facts import Explanation
from poolwright.domain.job import TERMINATE_DONE, JobSpec, TaskCounts
from poolwright.domain.node import Failure
from poolwright.domain.states import JobState
from tests.unit.decide import parts

NONE, BUSY = TaskCounts(), TaskCounts(running=2, succeeded=1)


@pytest.mark.parametrize(
    ("state", "counts", "code", "said"),
    [
        (JobState.DISABLED, BUSY, "JobDisabled", "disabled"),
        (JobState.TERMINATING, BUSY, "JobTerminating", "2 tasks still run"),
        (JobState.COMPLETED, NONE, "JobCompleted", "completed"),
        (JobState.ACTIVE, NONE, "JobEmpty", "no tasks"),
        (JobState.ACTIVE, BUSY, "TasksRun", "2 tasks run"),
        (JobState.ACTIVE, TaskCounts(succeeded=3), "TasksComplete", "stays active"),
        (JobState.ACTIVE, TaskCounts(active=3), "TasksWait", "3 tasks wait"),
    ],
)
def test_by_state_and_tasks(state: JobState, counts: TaskCounts, code: str, said: str) -> None:
    found = job(parts.job(state=state), counts, None)
    assert found.code == code
    assert said in found.message
    assert ("tasks.succeeded", str(counts.succeeded)) in found.evidence


def test_a_waiting_task_speaks_for_the_others() -> None:
    why = Explanation("PoolEmpty", "The pool p has no nodes.", "Resize the pool.")
    found = job(parts.job(), TaskCounts(active=5, running=1), ("t3", why))
    assert (found.code, found.next_step) == ("PoolEmpty", "Resize the pool.")
    assert "5 tasks wait" in found.message
    assert "t3: The pool p has no nodes." in found.message


def test_a_job_that_could_not_be_scheduled_says_so() -> None:
    error = Failure("usererror", "InvalidAutoPoolSettings", "There is no such image.")
    found = job(parts.job(state=JobState.COMPLETED, scheduling_error=error), NONE, None)
    assert (found.code, found.message) == ("InvalidAutoPoolSettings", "There is no such image.")


def test_a_job_that_ends_with_its_tasks_ends() -> None:
    ends = parts.job(spec=JobSpec("p", on_all_tasks_complete=TERMINATE_DONE))
    assert "ends now" in job(ends, TaskCounts(failed=1), None).message
