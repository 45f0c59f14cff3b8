"""Rules of jobs with their real effects, through the official client: states, orders, constraints, failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import ResourceNotFoundError

from tests.e2e.service.live import UNTIL_LET_GO, Live
from tests.support.waiting import wait_until

MANY_SLOTS = 4


def job_state(live: Live, state: str, job: str = "job") -> Any:
    """Wait for the job to be in a state; returns it."""
    wait_until(lambda: live.batch.get_job(job)["state"] == state, 60, lambda: live.batch.get_job(job))
    return live.batch.get_job(job)


def ended(live: Live, task: str, job: str = "job") -> Any:
    """Wait for the task's end; returns how it went."""
    return live.wait_task(task, "completed", job)["executionInfo"]


def terminate(live: Live, reason: str | None) -> None:
    body: Any = {"terminateReason": reason}  # this client cannot send a request without any
    live.batch.begin_terminate_job("job", body)


def disable(live: Live, how: str, job: str = "job") -> None:
    live.batch.begin_disable_job(job, batch.BatchJobDisableOptions(disable_tasks=how))
    assert live.batch.get_job(job)["state"] in ("disabling", "disabled"), "never still active"


def test_disabling_with_requeue_gives_running_tasks_back(live: Live) -> None:
    live.job()
    live.task("t", "echo run >>$AZ_BATCH_NODE_SHARED_DIR/again; sleep 600")
    live.wait_task("t", "running")
    disable(live, "requeue")
    job_state(live, "disabled")
    given_back = live.batch.get_task("job", "t")
    assert (given_back["state"], given_back["previousState"]) == ("active", "running")
    info = given_back["executionInfo"]
    assert (info["requeueCount"], info["retryCount"], "lastRequeueTime" in info) == (1, 0, True)
    live.task("later", "true")
    assert live.state("later") == "active", "a disabled job takes tasks, and starts none"
    live.batch.begin_enable_job("job")
    job_state(live, "active")
    live.wait_task("t", "running")
    ended(live, "later")


def test_disabling_with_terminate_ends_running_tasks(live: Live) -> None:
    live.job()
    live.task("t", "sleep 600")
    live.wait_task("t", "running")
    disable(live, "terminate")
    job_state(live, "disabled")
    info = ended(live, "t")
    assert (info["result"], info["failureInfo"]["code"], info["requeueCount"]) == ("failure", "TaskEnded", 0)


def test_disabling_with_wait_lets_running_tasks_finish_and_starts_no_others(live: Live) -> None:
    live.job(max_parallel_tasks=1)
    live.task("first", UNTIL_LET_GO)
    live.task("second", "true")
    live.wait_task("first", "running")
    disable(live, "wait")
    job_state(live, "disabling")
    live.let_go()
    job_state(live, "disabled")
    assert ended(live, "first")["result"] == "success"
    assert live.state("second") == "active"


@pytest.mark.parametrize(("given", "told"), [("enough of it", "enough of it"), (None, "UserTerminate")])
def test_terminating_ends_what_runs_and_leaves_the_rest(live: Live, given: str | None, told: str) -> None:
    live.job(max_parallel_tasks=1)
    live.task("runs", "sleep 600")
    live.task("waits", "true")
    live.wait_task("runs", "running")
    terminate(live, given)
    done = job_state(live, "completed")
    assert done["executionInfo"]["terminateReason"] == told
    assert "endTime" in done["executionInfo"]
    assert live.batch.get_task("job", "runs")["executionInfo"]["failureInfo"]["code"] == "TaskEnded"
    assert live.state("waits") == "active", "it stays active and never runs"


def test_the_time_of_a_job_ends_it_and_its_tasks(live: Live) -> None:
    live.job(constraints=batch.BatchJobConstraints(max_wall_clock_time=timedelta(seconds=2)))
    live.task("t", "sleep 600")
    done = job_state(live, "completed")
    assert done["executionInfo"]["terminateReason"] == "MaxWallClockTimeExpiry"
    assert live.batch.get_task("job", "t")["executionInfo"]["result"] == "failure"


def test_the_time_of_a_task_passes_while_its_job_is_being_disabled(live: Live) -> None:
    live.job()
    limits = batch.BatchTaskConstraints(max_task_retry_count=3, max_wall_clock_time=timedelta(seconds=2))
    live.task("t", "sleep 600", constraints=limits)
    live.wait_task("t", "running")
    disable(live, "wait")
    job_state(live, "disabled")
    info = ended(live, "t")
    assert (info["failureInfo"]["code"], info["retryCount"]) == ("TaskEnded", 0)
    assert {"name": "Reason", "value": "MaxWallClockTime"} in info["failureInfo"]["details"]


def test_the_time_of_a_job_may_pass_while_it_is_disabled_and_be_changed_while_it_runs(live: Live) -> None:
    limits = batch.BatchJobConstraints(max_wall_clock_time=timedelta(seconds=3))
    live.job("off", constraints=limits)
    disable(live, "requeue", "off")
    live.task("never", "true", "off")
    live.job("shortened")
    live.task("t", "sleep 600", "shortened")
    live.wait_task("t", "running", "shortened")
    live.batch.update_job("shortened", batch.BatchJobUpdateOptions(constraints=limits))
    done = job_state(live, "completed", "shortened")
    assert done["executionInfo"]["terminateReason"] == "MaxWallClockTimeExpiry"
    started = datetime.fromisoformat(str(live.batch.get_job("off")["creationTime"]))
    over = started + timedelta(seconds=3)
    wait_until(lambda: datetime.now(UTC) > over, 60, f"it is {over}")
    assert live.batch.get_job("off")["state"] == "disabled", "only an active job ends by its time"
    live.batch.begin_enable_job("off")
    done = job_state(live, "completed", "off")
    assert done["executionInfo"]["terminateReason"] == "MaxWallClockTimeExpiry"
    assert live.state("never", "off") == "active"


def test_an_empty_job_counts_as_all_complete(live: Live) -> None:
    live.job("empty", all_tasks_complete_mode="terminatejob")
    assert job_state(live, "completed", "empty")["executionInfo"]["terminateReason"] == "AllTasksComplete"
    live.job()
    live.task("a", "true")
    live.task("b", "sleep 0.3; exit 1")
    live.batch.update_job("job", batch.BatchJobUpdateOptions(all_tasks_complete_mode="terminatejob"))
    assert job_state(live, "completed")["executionInfo"]["terminateReason"] == "AllTasksComplete"
    assert ended(live, "b")["exitCode"] == 1, "failed is complete too"


def test_tasks_without_retries_of_their_own_have_the_jobs(live: Live) -> None:
    live.job(constraints=batch.BatchJobConstraints(max_task_retry_count=2))
    live.task("of-job", "exit 1")
    live.task("own", "exit 1", constraints=batch.BatchTaskConstraints(max_task_retry_count=1))
    none = batch.BatchTaskConstraints(max_task_retry_count=0)
    live.task("none", "exit 1", constraints=none)
    counts = {id: ended(live, id)["retryCount"] for id in ("of-job", "own", "none")}
    assert counts == {"of-job": 2, "own": 1, "none": 0}


def test_no_more_tasks_of_a_job_run_than_it_allows(live: Live) -> None:
    live.job(max_parallel_tasks=2)
    for number in range(6):
        live.task(f"t{number}", "sleep 600")
    wait_until(lambda: live.batch.get_job_task_counts("job")["taskCounts"]["running"] == 2, 60, "two run")
    assert "maxParallelTasks" in live.why("jobs", "job", "tasks", "t5")
    live.batch.update_job("job", batch.BatchJobUpdateOptions(max_parallel_tasks=-1))
    counts = live.batch.get_job_task_counts
    wait_until(lambda: counts("job")["taskCounts"]["running"] == MANY_SLOTS, 60, lambda: str(counts("job")))


def test_a_failed_task_ends_a_job_that_performs_exit_options_whatever_it_says(live: Live) -> None:
    live.job(task_failure_mode="performexitoptionsjobaction")
    live.task("well", "exit 0")
    ended(live, "well")
    assert live.batch.get_job("job")["state"] == "active", "nothing is done for the exit code 0"
    live.task("badly", "exit 9")
    assert job_state(live, "completed")["executionInfo"]["terminateReason"] == "TaskFailed"


def test_exit_options_may_spare_or_disable_the_job(live: Live) -> None:
    live.job(task_failure_mode="performexitoptionsjobaction")
    spare, stop = batch.ExitOptions(job_action="none"), batch.ExitOptions(job_action="disable")
    conditions = batch.ExitConditions(
        exit_codes=[batch.ExitCodeMapping(code=5, exit_options=spare)],
        exit_code_ranges=[batch.ExitCodeRangeMapping(start=4, end=6, exit_options=stop)],
        default=batch.ExitOptions(job_action="terminate"),
    )
    live.task("long", "sleep 600")
    live.wait_task("long", "running")
    live.task("listed", "exit 5", exit_conditions=conditions)
    ended(live, "listed")
    assert live.batch.get_job("job")["state"] == "active", "a listed code goes before a range"
    live.task("ranged", "exit 6", exit_conditions=conditions)
    ended(live, "ranged")
    job_state(live, "disabled")
    info = live.wait_task("long", "active")["executionInfo"]
    assert info["requeueCount"] == 1, "as disabling with requeue"


def test_deleting_takes_running_tasks_along_and_runs_the_release(live: Live) -> None:
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(command_line="/bin/true"),
        job_release_task=batch.BatchJobReleaseTask(
            command_line="/bin/sh -c 'echo $AZ_BATCH_NODE_ID >>$AZ_BATCH_NODE_SHARED_DIR/released-by-delete'"
        ),
    )
    live.task("t", "sleep 600")
    node = live.wait_task("t", "running")["nodeInfo"]["nodeId"]
    live.batch.begin_delete_job("job")
    wait_until(lambda: not list(live.batch.list_jobs()), 60, lambda: list(live.batch.list_jobs()))
    with pytest.raises(ResourceNotFoundError):
        live.batch.get_task("job", "t")
    assert live.ledger(name="shared/released-by-delete") == [node], "not where no task of the job ran"


def test_tasks_of_higher_priority_start_first_and_running_ones_stay(live: Live) -> None:
    live.job("full")
    for number in range(MANY_SLOTS):
        live.task(f"t{number}", "sleep 600", "full")
    wait_until(
        lambda: live.batch.get_job_task_counts("full")["taskCounts"]["running"] == MANY_SLOTS, 60, "all run"
    )
    live.job("low", priority=-5, max_parallel_tasks=1)
    live.job("high", max_parallel_tasks=1)
    live.task("t", "sleep 600", "low")
    live.task("t", "sleep 600", "high")
    live.batch.update_job("high", batch.BatchJobUpdateOptions(priority=500))
    assert live.batch.get_job_task_counts("full")["taskCounts"]["running"] == MANY_SLOTS
    live.batch.terminate_task("full", "t0")
    live.wait_task("t", "running", "high")
    assert live.state("t", "low") == "active"
    live.batch.terminate_task("full", "t1")
    live.wait_task("t", "running", "low")


def test_a_manager_that_need_not_end_its_job_and_survives_a_requeue(live: Live) -> None:
    live.job(
        job_manager_task=batch.BatchJobManagerTask(
            id="boss", command_line="/bin/sh -c 'sleep 600'", kill_job_on_completion=False, run_exclusive=True
        )
    )
    node = live.wait_task("boss", "running")["nodeInfo"]["nodeId"]
    for number in range(MANY_SLOTS):
        live.task(f"t{number}", "sleep 600")
    counts = live.batch.get_job_task_counts
    wait_until(lambda: counts("job")["taskCounts"]["running"] == 3, 60, lambda: str(counts("job")))
    places = {
        live.batch.get_task("job", f"t{n}").get("nodeInfo", {}).get("nodeId") for n in range(MANY_SLOTS)
    }
    assert node not in places, "it has its node alone"
    disable(live, "requeue")
    job_state(live, "disabled")
    live.batch.begin_enable_job("job")
    live.wait_task("boss", "running")
    assert live.batch.get_job("job")["state"] == "active", "a requeue of the manager is not its end"
    live.batch.terminate_task("job", "boss")
    assert live.batch.get_job("job")["state"] == "active"


def test_a_failed_preparation_bars_its_nodes_for_the_job_only(live: Live) -> None:
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(
            command_line="/bin/sh -c 'exit 4'", constraints=batch.BatchTaskConstraints(max_task_retry_count=1)
        ),
        job_release_task=batch.BatchJobReleaseTask(command_line="/bin/true"),
    )
    live.task("t", "true")

    def failed() -> list[Any]:
        rows = live.batch.list_job_preparation_and_release_task_status("job")
        return [row for row in rows if row["jobPreparationTaskExecutionInfo"].get("result") == "failure"]

    wait_until(lambda: len(failed()) == 2, 60, failed)
    info = failed()[0]["jobPreparationTaskExecutionInfo"]
    assert (info["exitCode"], info["retryCount"], info["failureInfo"]["code"]) == (4, 1, "FailureExitCode")
    assert live.state("t") == "active"
    assert "preparation task failed" in live.why("jobs", "job", "tasks", "t")
    live.job("other")
    live.task("t", "true", "other")
    assert ended(live, "t", "other")["result"] == "success"
    terminate(live, "over")
    job_state(live, "completed")


def test_tasks_may_start_beside_a_preparation_and_the_release_may_fail(live: Live) -> None:
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(
            command_line="/bin/sh -c 'sleep 3'", wait_for_success=False
        ),
        job_release_task=batch.BatchJobReleaseTask(
            command_line="/bin/sh -c 'exit 3'", max_wall_clock_time=timedelta(minutes=1)
        ),
    )
    live.task("t", "true")
    ended(live, "t")
    (row,) = live.batch.list_job_preparation_and_release_task_status("job")
    wait_until(
        lambda: next(iter(live.batch.list_job_preparation_and_release_task_status("job")))[
            "jobPreparationTaskExecutionInfo"
        ]["state"] == "completed",
        60,
        lambda: str(row),
    )  # fmt: skip
    terminate(live, "over")
    job_state(live, "completed")
    (row,) = live.batch.list_job_preparation_and_release_task_status("job")
    info = row["jobReleaseTaskExecutionInfo"]
    assert (info["exitCode"], info["result"]) == (3, "failure"), (
        "the job is over all the same; it is not retried"
    )


def test_a_release_runs_no_longer_than_its_time(live: Live) -> None:
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(command_line="/bin/true"),
        job_release_task=batch.BatchJobReleaseTask(
            command_line="/bin/sh -c 'sleep 600'", max_wall_clock_time=timedelta(seconds=1)
        ),
    )
    live.task("t", "true")
    ended(live, "t")
    terminate(live, "over")
    job_state(live, "completed")
    (row,) = live.batch.list_job_preparation_and_release_task_status("job")
    assert row["jobReleaseTaskExecutionInfo"]["failureInfo"]["code"] == "TaskEnded"


def test_counts_are_of_tasks_and_of_their_slots(live: Live) -> None:
    live.job()
    live.task("two", "sleep 600", required_slots=2)
    live.task("one", "sleep 600")
    live.task("well", "true")
    live.task("badly", "exit 1")
    live.wait_completed(2)
    live.wait_task("two", "running")
    live.wait_task("one", "running")
    found = live.batch.get_job_task_counts("job")
    tasks, slots = found["taskCounts"], found["taskSlotCounts"]
    assert [tasks[n] for n in ("active", "running", "completed", "succeeded", "failed")] == [0, 2, 2, 1, 1]
    assert [slots[n] for n in ("active", "running", "completed", "succeeded", "failed")] == [0, 3, 2, 1, 1]


def test_a_task_whose_node_is_being_prepared_counts_as_running(live: Live) -> None:
    live.job(job_preparation_task=batch.BatchJobPreparationTask(command_line="/bin/sh -c 'sleep 600'"))
    live.task("t", "true")
    live.wait_task("t", "preparing")
    counts = live.batch.get_job_task_counts("job")["taskCounts"]
    assert (counts["active"], counts["running"]) == (0, 1)
    (row,) = live.batch.list_job_preparation_and_release_task_status("job")
    assert row["jobPreparationTaskExecutionInfo"]["state"] == "running"
