"""Rules of preparation and release tasks row by row: what interrupts them, who is skipped, what they cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError

from tests.e2e.service.live import Live
from tests.e2e.service.rules.test_jobs import MANY_SLOTS, disable, ended, job_state, terminate
from tests.support.waiting import wait_until

#: Runs for ever the first time, and to its end the second time: what is interrupted must run again to end.
SECOND_TIME = (
    "echo x >>$AZ_BATCH_NODE_SHARED_DIR/{0}; [ $(wc -l <$AZ_BATCH_NODE_SHARED_DIR/{0}) -ge 2 ] || sleep 600"
)
REBOOT: Any = {"nodeRebootOption": "requeue"}


def _shell(script: str) -> str:
    return f"/bin/sh -c '{script}'"


def _prepares(script: str = "true", **more: Any) -> batch.BatchJobPreparationTask:
    return batch.BatchJobPreparationTask(command_line=_shell(script), **more)


def _releases(script: str = "true", **more: Any) -> batch.BatchJobReleaseTask:
    return batch.BatchJobReleaseTask(command_line=_shell(script), **more)


def status(live: Live, job: str = "job") -> dict[str, Any]:
    """How preparation and release fared, by node."""
    return {str(row["nodeId"]): row for row in live.batch.list_job_preparation_and_release_task_status(job)}


def said(live: Live, name: str, pool: str = "pool") -> list[str]:
    """The lines of a shared file; none while its node restarts."""
    try:
        return live.ledger(pool, f"shared/{name}")
    except HttpResponseError:
        return []


def test_what_a_reboot_interrupts_runs_again(live: Live) -> None:
    live.idle_pool("reboots", dedicated=1, slots=1)
    try:
        (node,) = live.batch.list_nodes("reboots")

        def reboot() -> None:
            live.batch.begin_reboot_node("reboots", str(node["id"]), REBOOT, polling_interval=1).result()

        live.job(
            pool="reboots",
            job_preparation_task=_prepares(
                SECOND_TIME.format("began"), rerun_on_node_reboot_after_success=False
            ),
            job_release_task=_releases(SECOND_TIME.format("left")),
        )
        live.task("t", "true")
        live.wait_task("t", "preparing")
        wait_until(lambda: said(live, "began", "reboots") == ["x"], 60, lambda: status(live))
        reboot()
        assert ended(live, "t")["result"] == "success", "a preparation that had not completed is repeated"
        assert said(live, "began", "reboots") == ["x", "x"]
        terminate(live, "over")
        wait_until(lambda: said(live, "left", "reboots") == ["x"], 60, lambda: status(live))
        assert live.batch.get_job("job")["state"] == "terminating", "it waits for its releases"
        reboot()
        job_state(live, "completed")
        assert said(live, "left", "reboots") == ["x", "x"], "a release that was interrupted is repeated"
        (row,) = status(live).values()
        assert row["jobReleaseTaskExecutionInfo"]["result"] == "success"
    finally:
        live.batch.begin_delete_pool("reboots")


def test_a_node_that_leaves_before_the_release_is_skipped_and_still_listed(live: Live) -> None:
    live.idle_pool("leaves", dedicated=2, slots=1)
    try:
        live.job(pool="leaves", job_preparation_task=_prepares(), job_release_task=_releases())
        for number, node in enumerate(live.batch.list_nodes("leaves")):
            place = batch.BatchAffinityInfo(affinity_id=str(node["affinityId"]))
            live.task(f"t{number}", "sleep 600", affinity_info=place)
            live.wait_task(f"t{number}", "running")
        gone, stays = (
            str(live.batch.get_task("job", f"t{number}")["nodeInfo"]["nodeId"]) for number in (0, 1)
        )
        leaving = batch.BatchNodeRemoveOptions(node_ids=[gone], node_deallocation_option="terminate")
        live.batch.begin_remove_nodes("leaves", leaving)
        live.wait_nodes("leaves", {"running": 1})
        info = ended(live, "t0")
        assert (info["result"], info["failureInfo"]["code"], info["requeueCount"]) == (
            "failure",
            "TaskEnded",
            0,
        )
        terminate(live, "over")
        job_state(live, "completed")
        rows = status(live)
        assert set(rows) == {gone, stays}, "also what has left"
        assert "jobReleaseTaskExecutionInfo" not in rows[gone]
        assert rows[stays]["jobReleaseTaskExecutionInfo"]["result"] == "success"
    finally:
        live.batch.begin_delete_pool("leaves")


def test_a_release_takes_no_slot(live: Live) -> None:
    live.job(job_preparation_task=_prepares(), job_release_task=_releases())
    live.task("t", "true")
    ended(live, "t")
    live.job("full")
    for number in range(MANY_SLOTS):
        live.task(f"t{number}", "sleep 600", "full")

    def running() -> int:
        return int(live.batch.get_job_task_counts("full")["taskCounts"]["running"])

    wait_until(lambda: running() == MANY_SLOTS, 60, running)
    terminate(live, "over")
    job_state(live, "completed")
    (row,) = status(live).values()
    assert row["jobReleaseTaskExecutionInfo"]["result"] == "success"
    assert running() == MANY_SLOTS


def test_without_a_completed_preparation_there_is_no_release(live: Live) -> None:
    live.job(job_preparation_task=_prepares("sleep 600"), job_release_task=_releases())
    live.task("t", "true")
    live.wait_task("t", "preparing")
    wait_until(lambda: status(live), 60, lambda: status(live))
    terminate(live, "over")
    job_state(live, "completed")
    (row,) = status(live).values()
    assert "jobReleaseTaskExecutionInfo" not in row
    assert ended(live, "t")["failureInfo"]["code"] == "TaskEnded"


def test_a_task_that_is_being_prepared_for_is_given_back_or_ended(live: Live) -> None:
    live.job(job_preparation_task=_prepares("sleep 600"))
    live.task("t", "true")
    live.wait_task("t", "preparing")
    disable(live, "requeue")
    job_state(live, "disabled")
    task = live.batch.get_task("job", "t")
    assert (task["state"], task["previousState"]) == ("active", "preparing")
    assert task["executionInfo"]["retryCount"] == 0, "not a retry"
    live.batch.begin_enable_job("job")
    live.wait_task("t", "preparing")
    live.batch.terminate_task("job", "t")
    info = ended(live, "t")
    assert (info["result"], info["failureInfo"]["code"]) == ("failure", "TaskEnded")


def test_a_preparation_that_takes_too_long_has_failed(live: Live) -> None:
    limits = batch.BatchTaskConstraints(max_wall_clock_time=timedelta(seconds=1), max_task_retry_count=3)
    live.job(job_preparation_task=_prepares("sleep 600", constraints=limits), job_release_task=_releases())
    live.task("t", "true")

    def failed() -> list[Any]:
        infos = [row["jobPreparationTaskExecutionInfo"] for row in status(live).values()]
        return [info for info in infos if info.get("result") == "failure"]

    wait_until(lambda: len(failed()) == 2, 60, lambda: status(live))
    for info in failed():
        assert (info["failureInfo"]["code"], info["retryCount"]) == ("TaskEnded", 0)
    assert live.state("t") == "active"


def test_a_manager_stays_off_low_priority_nodes_if_it_must(live: Live) -> None:
    live.idle_pool("cheap", dedicated=0, low=1, slots=2)
    try:
        for id, allowed in (("picky", False), ("any", True)):
            boss = batch.BatchJobManagerTask(
                id="boss",
                command_line="/bin/true",
                allow_low_priority_node=allowed,
                run_exclusive=False,
            )
            live.job(id, "cheap", job_manager_task=boss)
        job_state(live, "completed", "any")
        assert live.state("boss", "picky") == "active"
        assert "dedicated" in live.why("jobs", "picky", "tasks", "boss")
    finally:
        live.batch.begin_delete_pool("cheap")


def test_a_manager_that_failed_comes_before_the_other_tasks_of_its_job(live: Live) -> None:
    boss = batch.BatchJobManagerTask(
        id="boss",
        command_line=_shell("sleep 0.5; exit 1"),
        run_exclusive=False,
        constraints=batch.BatchTaskConstraints(max_task_retry_count=-1),
    )
    live.job(job_manager_task=boss)
    live.wait_task("boss", "running")
    for number in range(MANY_SLOTS):
        live.task(f"t{number}", "sleep 600")

    def tries() -> int:
        return int(live.batch.get_task("job", "boss")["executionInfo"]["retryCount"])

    wait_until(lambda: tries() >= 3, 60, tries)
    waiting = list(live.batch.list_tasks("job", filter="state eq 'active' and id ne 'boss'"))
    assert len(waiting) == 1, "the place that it left is its own again"


def test_a_manager_that_lost_its_place_gets_another_at_the_cost_of_its_own_tasks(live: Live) -> None:
    boss = batch.BatchJobManagerTask(id="boss", command_line=_shell("sleep 600"), run_exclusive=False)
    live.job(job_manager_task=boss)
    lost = str(live.wait_task("boss", "running")["nodeInfo"]["nodeId"])
    for number in range(MANY_SLOTS - 1):
        live.task(f"t{number}", "sleep 600")
        live.wait_task(f"t{number}", "running")
    asked: Any = {"nodeDisableSchedulingOption": "requeue"}
    live.batch.disable_node_scheduling("pool", lost, asked)
    try:

        def place() -> Any:
            task = live.batch.get_task("job", "boss")
            return task["state"], task.get("nodeInfo", {}).get("nodeId") != lost

        wait_until(lambda: place() == ("running", True), 60, place)
        counts = [live.batch.get_task("job", f"t{n}")["executionInfo"] for n in range(MANY_SLOTS - 1)]
        assert sorted(info["requeueCount"] for info in counts) == [0, 1, 1], "its neighbour, and one for it"
        assert {info["retryCount"] for info in counts} == {0}
    finally:
        live.batch.enable_node_scheduling("pool", lost)
