from __future__ import annotations

import pytest

from poolwright.decide.task_life import PUT_ASIDE, End, assigned, category, ended, terminated
from poolwright.domain.limits import SYSTEM_REQUEUES_MAX
from poolwright.domain.states import ExecutionResult, IllegalTransition, TaskState
from tests.unit.decide.parts import NOW, task

LATER = NOW + 5
EXIT_1 = End(LATER, "exit", exit_code=1)


def test_assignment_makes_a_new_attempt_and_forgets_the_last() -> None:
    old = task(attempt=3, exit_code=1, retry_count=1)
    now = assigned(old, "p", "n", 2, LATER)
    assert (now.state, now.attempt, now.node, now.fence) == (TaskState.RUNNING, 4, "n", 2)
    assert (now.exit_code, now.retry_count, now.execution) == (None, 1, "t7.4")
    with pytest.raises(IllegalTransition, match="completed -> running"):
        assigned(task(TaskState.COMPLETED), "p", "n", 1, LATER)


def test_exit_zero_succeeds() -> None:
    done = ended(task(TaskState.RUNNING), 0, End(LATER, "exit", 0, started_at=NOW + 1), LATER)
    assert (done.state, done.result, done.exit_code) == (TaskState.COMPLETED, ExecutionResult.SUCCESS, 0)
    assert (done.started_at, done.ended_at, done.failure) == (NOW + 1, LATER, None)


def test_nonzero_exit_is_retried_as_often_as_allowed_then_fails() -> None:
    first = ended(task(TaskState.RUNNING, max_retries=1), 0, EXIT_1, LATER)
    assert (first.state, first.retry_count, first.last_retry_at) == (TaskState.ACTIVE, 1, LATER)
    second = ended(assigned(first, "p", "n", 1, LATER), 0, EXIT_1, LATER)
    assert second.result is ExecutionResult.FAILURE
    assert second.failure is not None
    assert (second.failure.category, second.failure.code) == ("usererror", "FailureExitCode")
    assert second.exit_code == 1


@pytest.mark.parametrize(
    ("own", "jobs", "retried"), [(None, 1, True), (0, 1, False), (-1, 0, True), (None, 0, False)]
)
def test_the_tasks_own_retries_win_over_the_jobs(own: int | None, jobs: int, retried: bool) -> None:
    after = ended(task(TaskState.RUNNING, max_retries=own), jobs, EXIT_1, LATER)
    assert (after.state is TaskState.ACTIVE) is retried


def test_a_signal_is_a_nonzero_exit() -> None:
    assert ended(task(TaskState.RUNNING), 0, End(LATER, "exit", signal=9), LATER).exit_code == 137


def test_wall_clock_ends_without_retry() -> None:
    after = ended(task(TaskState.RUNNING, max_retries=5), 0, End(LATER, "wallclock", signal=9), LATER)
    assert after.failure is not None
    assert (after.failure.category, after.failure.code) == ("usererror", "TaskEnded")
    assert after.failure.details == (("Reason", "MaxWallClockTime"),)


def test_a_launch_failure_is_not_retried_by_count() -> None:
    end = End(LATER, "failed", code="CommandProgramNotFound", message="no such file")
    after = ended(task(TaskState.RUNNING, max_retries=5), 0, end, LATER)
    assert after.failure is not None
    assert (after.failure.category, after.failure.code) == ("usererror", "CommandProgramNotFound")


def test_whose_fault_a_failure_is() -> None:
    for code in ("CommandLaunchFailed", "TaskEnded", "MaxInternalRetryCountReached", "BlobNotFound"):
        assert category(code) == "usererror"
    for code in ("DiskFull", "ResourceDirectoryCreateFailed", "BlobDownloadTimedOut", "InternalError"):
        assert category(code) == "servererror"


def test_requeue_by_request_and_by_the_system_are_counted_apart() -> None:
    asked = ended(task(TaskState.RUNNING), 0, End(LATER, "killed:requeue"), LATER)
    assert (asked.state, asked.requeue_count, asked.system_requeues, asked.retry_count) == (
        TaskState.ACTIVE,
        1,
        0,
        0,
    )
    lost = ended(task(TaskState.RUNNING), 0, End(LATER, "lost"), LATER)
    assert (lost.state, lost.requeue_count, lost.system_requeues, lost.retry_count) == (
        TaskState.ACTIVE,
        0,
        1,
        0,
    )
    stale = ended(task(TaskState.RUNNING), 0, End(LATER, "failed", code="StaleFence"), LATER)
    assert (stale.state, stale.system_requeues) == (TaskState.ACTIVE, 1)


def test_an_order_counts_when_the_execution_was_lost_instead() -> None:
    after = ended(task(TaskState.RUNNING, kill_reason="requeue"), 0, End(LATER, "lost"), LATER)
    assert (after.requeue_count, after.system_requeues, after.kill_reason) == (1, 0, None)


@pytest.mark.parametrize("reason", ["killed:putaside", "lost"])
def test_what_nobody_asked_for_is_no_requeue_of_the_users(reason: str) -> None:
    after = ended(task(TaskState.RUNNING, kill_reason=PUT_ASIDE), 0, End(LATER, reason), LATER)
    assert (after.state, after.requeue_count, after.system_requeues, after.kill_reason) == (
        TaskState.ACTIVE,
        0,
        1,
        None,
    )


def test_lost_too_often_is_a_failure() -> None:
    after = ended(task(TaskState.RUNNING, system_requeues=SYSTEM_REQUEUES_MAX), 0, End(LATER, "lost"), LATER)
    assert after.failure is not None
    assert (after.failure.category, after.failure.code) == ("usererror", "MaxInternalRetryCountReached")


def test_a_terminated_task_completes_once() -> None:
    gone = terminated(task(TaskState.RUNNING), LATER, "by request")
    assert gone.failure is not None
    assert (gone.state, gone.failure.code, gone.kill_reason) == (
        TaskState.COMPLETED,
        "TaskEnded",
        "terminate",
    )
    assert ended(gone, 0, End(LATER + 9, "exit", 0), LATER + 9) is gone
