from __future__ import annotations

import pytest

from poolwright.decide.job_life import JobPlan, JobSnapshot, plan
from poolwright.domain.clock import MINUTE
from poolwright.domain.job import TaskCounts
from poolwright.domain.states import JobState
from tests.unit.decide.parts import NOW, job

BUSY = TaskCounts(active=1, running=2)
QUIET = TaskCounts(active=1)


def test_an_active_job_is_settled() -> None:
    assert plan(JobSnapshot(job(), BUSY, 2, NOW)) == JobPlan()


def test_wall_clock_is_waited_for_and_then_ends_the_job() -> None:
    timed = job(max_wall_clock=MINUTE)
    assert plan(JobSnapshot(timed, BUSY, 2, NOW)).wake_at == NOW + MINUTE
    over = plan(JobSnapshot(timed, BUSY, 2, NOW + MINUTE))
    assert over.job is not None
    assert (over.job.state, over.job.terminate_reason) == (JobState.TERMINATING, "MaxWallClockTimeExpiry")
    assert over.running == "terminate"


def test_the_last_task_ends_a_job_that_says_so_even_an_empty_one() -> None:
    ending = job(on_all_tasks_complete="terminatejob")
    assert plan(JobSnapshot(ending, QUIET, 0, NOW)).job is None
    for counts in (TaskCounts(), TaskCounts(succeeded=3, failed=1)):
        over = plan(JobSnapshot(ending, counts, 0, NOW)).job
        assert over is not None
        assert over.terminate_reason == "AllTasksComplete"


@pytest.mark.parametrize(
    ("option", "running"), [("requeue", "requeue"), ("terminate", "terminate"), ("wait", None)]
)
def test_disabling_waits_for_its_tasks_as_asked(option: str, running: str | None) -> None:
    disabling = job(state=JobState.DISABLING, disable_tasks=option)
    assert plan(JobSnapshot(disabling, BUSY, 2, NOW)) == JobPlan(running=running)
    done = plan(JobSnapshot(disabling, QUIET, 0, NOW)).job
    assert done is not None
    assert (done.state, done.disable_tasks) == (JobState.DISABLED, None)


def test_terminating_waits_for_live_executions_of_completed_tasks_too() -> None:
    ending = job(state=JobState.TERMINATING, terminate_reason="mine")
    assert plan(JobSnapshot(ending, QUIET, 1, NOW)) == JobPlan(running="terminate")
    done = plan(JobSnapshot(ending, QUIET, 0, NOW)).job
    assert done is not None
    assert (done.state, done.ended_at, done.terminate_reason) == (JobState.COMPLETED, NOW, "mine")


def test_enabling_wakes_the_pool() -> None:
    enabled = plan(JobSnapshot(job(state=JobState.ENABLING), QUIET, 0, NOW))
    assert enabled.job is not None
    assert enabled.job.state is JobState.ACTIVE
    assert enabled.wake_pool
    assert enabled.wake_at == NOW, "all its tasks may have completed meanwhile"


def test_a_job_whose_time_passed_while_it_was_disabled_starts_nothing_more() -> None:
    timed = job(max_wall_clock=MINUTE, state=JobState.ENABLING)
    assert plan(JobSnapshot(timed, QUIET, 0, NOW)).wake_pool
    over = plan(JobSnapshot(timed, QUIET, 0, NOW + MINUTE))
    assert over.job is not None
    assert (over.job.state, over.job.terminate_reason) == (JobState.TERMINATING, "MaxWallClockTimeExpiry")
    assert not over.wake_pool


def test_deleting_kills_first() -> None:
    deleting = job(state=JobState.DELETING)
    assert plan(JobSnapshot(deleting, BUSY, 0, NOW)) == JobPlan(running="terminate")
    assert plan(JobSnapshot(deleting, QUIET, 0, NOW)) == JobPlan(delete=True)
