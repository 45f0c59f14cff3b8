"""Rules of how jobs end and what there may be of them, on a service with limits of its own: the quota of active
jobs, ends by force while nodes are silent, the grace of tasks that are ended, preparation over a reimage."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest

from tests.e2e.service.live import Live, running
from tests.e2e.service.rules.test_jobs import disable, ended, job_state, terminate
from tests.support.waiting import wait_until

QUOTA = 3
KILL_GRACE_S = 7  # longer than the service waits before it repeats an order


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service of few active jobs, short grace and reimages, with two nodes of two slots."""
    with running(
        tmp_path_factory.mktemp("ends"),
        "--allow-reimage",
        "--active-job-quota",
        str(QUOTA),
        "--kill-grace",
        str(KILL_GRACE_S),
    ) as made:
        made.idle_pool(dedicated=2, slots=2)
        yield made


def _shell(script: str) -> str:
    return f"/bin/sh -c '{script}'"


def _refused(order: Callable[[], Any], why: str) -> None:
    """The quota refuses this."""
    with pytest.raises(HttpResponseError) as caught:
        order()
    assert caught.value.error is not None
    assert (caught.value.status_code, caught.value.error.code) == (409, "ActiveJobAndScheduleQuotaReached"), (
        why
    )


def _schedule(live: Live, id: str, first: datetime | None = None) -> None:
    live.batch.create_job_schedule(
        batch.BatchJobScheduleCreateOptions(
            id=id,
            schedule=batch.BatchJobScheduleConfiguration(do_not_run_until=first),
            job_specification=batch.BatchJobSpecification(pool_info=batch.BatchPoolInfo(pool_id="pool")),
        )
    )


def _forget(live: Live, schedule: str) -> None:
    """Delete the schedule and its jobs."""
    live.batch.begin_delete_job_schedule(schedule)
    wait_until(lambda: not list(live.batch.list_job_schedules()), 60, live.service.log_tail)


def test_every_job_and_schedule_that_has_not_completed_counts_for_the_quota(live: Live) -> None:
    live.job("done")
    live.task("t", "true", "done")
    ended(live, "t", "done")
    live.job("off")
    disable(live, "requeue", "off")
    job_state(live, "disabled", "off")
    _schedule(live, "later", datetime.now(UTC) + timedelta(days=1))
    asked: Any = {"terminateReason": "over"}
    try:
        _refused(lambda: live.job("more"), "also one that is disabled, and one without open tasks")
        _refused(lambda: _schedule(live, "other"), "one quota for both")
        live.batch.begin_terminate_job("done", asked)
        job_state(live, "completed", "done")
        live.job("more")  # what is completed does not count
        live.batch.begin_terminate_job_schedule("later")
        wait_until(
            lambda: live.batch.get_job_schedule("later")["state"] == "completed",
            60,
            lambda: live.batch.get_job_schedule("later"),
        )
        live.job("last")
        _refused(lambda: live.job("beyond"), "all places are taken once more")
    finally:
        _forget(live, "later")


def test_the_job_of_a_schedule_waits_for_the_quota(live: Live) -> None:
    for number in range(QUOTA - 1):
        live.job(f"j{number}")
    _schedule(live, "due")
    try:
        assert live.batch.get_job_schedule("due")["state"] == "active", (
            "the schedule itself took the last place"
        )
        assert not list(live.batch.list_jobs_from_schedule("due"))
        live.batch.begin_delete_job("j0")
        wait_until(lambda: list(live.batch.list_jobs_from_schedule("due")), 60, live.service.log_tail)
    finally:
        _forget(live, "due")


def test_a_preparation_is_always_repeated_after_a_reimage(live: Live) -> None:
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(
            command_line=_shell("echo $AZ_BATCH_NODE_ID >>$AZ_BATCH_NODE_SHARED_DIR/prepared"),
            rerun_on_node_reboot_after_success=False,
        ),
        job_release_task=batch.BatchJobReleaseTask(
            command_line=_shell("echo $AZ_BATCH_NODE_ID >>$AZ_BATCH_NODE_SHARED_DIR/released")
        ),
    )
    node = next(iter(live.batch.list_nodes("pool")))
    place = batch.BatchAffinityInfo(affinity_id=str(node["affinityId"]))
    asked: Any = {"nodeReimageOption": "requeue"}

    def reimage() -> None:
        live.batch.begin_reimage_node("pool", str(node["id"]), asked, polling_interval=1).result()
        live.wait_nodes("pool", {"idle": 2})

    for id in ("first", "second"):
        live.task(id, "cat $AZ_BATCH_NODE_SHARED_DIR/prepared", affinity_info=place)
        assert ended(live, id)["result"] == "success"
        assert live.batch.get_task("job", id)["nodeInfo"]["nodeId"] == node["id"]
        assert live.ledger(name="shared/prepared") == [node["id"]], "on the new disk, once"
        reimage()
    terminate(live, "over")
    job_state(live, "completed")
    assert live.ledger(name="shared/released") == [], "nothing is left there to be released"


def _failures_to_schedule(live: Live) -> set[str]:
    """Codes of the tasks that could not be scheduled, as events tell them."""
    request = HttpRequest(
        "GET", f"https://{live.ready.account_endpoint}/events?api-version=2025-06-01&after=0"
    )
    answer = live.batch.send_request(request)
    answer.raise_for_status()
    told = [event for event in answer.json()["value"] if event.get("eventName") == "TaskScheduleFailEvent"]
    return {str(event["properties"]["schedulingError"]["code"]) for event in told}


def test_a_node_is_barred_by_a_failed_preparation_until_it_is_reimaged(live: Live) -> None:
    nodes = {str(node["id"]): str(node["affinityId"]) for node in live.batch.list_nodes("pool")}
    mended, barred = nodes

    def place(node: str) -> batch.BatchAffinityInfo:
        return batch.BatchAffinityInfo(affinity_id=nodes[node])

    live.job("other")
    for node in nodes:
        live.task(node, "touch $AZ_BATCH_NODE_SHARED_DIR/spoiled", "other", affinity_info=place(node))
        ended(live, node, "other")
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(
            command_line=_shell("[ ! -e $AZ_BATCH_NODE_SHARED_DIR/spoiled ]")
        )
    )
    live.task("t", "true", affinity_info=place(barred))

    def failed() -> int:
        rows = live.batch.list_job_preparation_and_release_task_status("job")
        return sum(row["jobPreparationTaskExecutionInfo"].get("result") == "failure" for row in rows)

    wait_until(lambda: failed() == 2, 60, failed)
    task = live.batch.get_task("job", "t")
    assert (task["state"], task["previousState"]) == ("active", "preparing"), "it has not failed"
    assert _failures_to_schedule(live) == {"JobPreparationTaskFailed"}
    for node in nodes:
        live.task(f"{node}-2", "true", "other", affinity_info=place(node))
        ended(live, f"{node}-2", "other")
        assert live.batch.get_task("other", f"{node}-2")["nodeInfo"]["nodeId"] == node, "others use it"
    assert live.state("t") == "active"
    asked: Any = {"nodeReimageOption": "requeue"}
    live.batch.begin_reimage_node("pool", mended, asked, polling_interval=1).result()
    assert ended(live, "t")["result"] == "success"
    assert live.batch.get_task("job", "t")["nodeInfo"]["nodeId"] == mended, "the other one stays barred"


def test_the_place_of_a_preparation_keeps_its_name_when_it_was_cleaned(live: Live) -> None:
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(
            id="prep",
            command_line=_shell("touch made; echo $AZ_BATCH_TASK_DIR $AZ_BATCH_TASK_WORKING_DIR >../said"),
            constraints=batch.BatchTaskConstraints(retention_time=timedelta(seconds=1)),
        )
    )
    look = (
        "echo $AZ_BATCH_JOB_PREP_DIR $AZ_BATCH_JOB_PREP_WORKING_DIR; ls $AZ_BATCH_JOB_PREP_WORKING_DIR/made"
    )
    live.task("before", look)
    assert ended(live, "before")["exitCode"] == 0
    node = live.batch.get_task("job", "before")["nodeInfo"]
    said = b"".join(live.batch.download_node_file("pool", node["nodeId"], "workitems/job/job-1/prep/said"))
    live.batch.delete_node_file("pool", node["nodeId"], "workitems/job/job-1/prep", recursive=True)
    place = batch.BatchAffinityInfo(affinity_id=str(node["affinityId"]))
    live.task("after", look, affinity_info=place)
    assert ended(live, "after")["exitCode"] != 0, "what was there is gone, and is not prepared again"
    assert live.output("after").split() == live.output("before").split()[:2] == said.decode().split()


def test_a_task_that_is_ended_is_asked_first_and_killed_after_the_grace(live: Live) -> None:
    live.job()
    here = "$AZ_BATCH_NODE_SHARED_DIR"
    live.task(
        "heeds", f'trap "echo asked >>{here}/heeds; exit 7" TERM; touch ready; while :; do sleep 0.1; done'
    )
    live.task(
        "stays",
        f'trap "echo asked >>{here}/stays" TERM; touch ready; while :; do date +%s.%N >>{here}/alive; sleep 0.1; done',
    )
    for id in ("heeds", "stays"):
        live.wait_task(id, "running")
        _wait_ready(live, id)
    terminate(live, "over")
    job_state(live, "completed")
    assert live.ledger(name="shared/heeds") == live.ledger(name="shared/stays") == ["asked"]
    for id in ("heeds", "stays"):
        info = ended(live, id)
        assert (info["result"], info["failureInfo"]["code"]) == ("failure", "TaskEnded")
    went_on = float(live.ledger(name="shared/alive")[-1]) - _order_at(live)
    assert went_on > KILL_GRACE_S - 1, "it had its time"
    assert not _looping(), "and no more"


def _wait_ready(live: Live, task: str) -> None:
    """Wait until the task has set its trap."""

    def names() -> list[str]:
        try:
            return [str(file["name"]) for file in live.batch.list_task_files("job", task, recursive=True)]
        except ResourceNotFoundError:  # its node has not made its directory yet
            return []

    wait_until(lambda: "wd/ready" in names(), 60, names)


def _order_at(live: Live) -> float:
    """When the job was ended: its tasks were then."""
    moment = live.batch.get_task("job", "stays")["executionInfo"]["endTime"]
    return datetime.fromisoformat(str(moment)).timestamp()


def _looping(marker: str = "/stays") -> list[int]:
    """Processes of this host whose command line has this."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"AZ_BATCH_NODE_SHARED_DIR" in line and marker.encode() in line:
            found.append(int(process.name))
    return found


@contextmanager
def _silent(live: Live) -> Iterator[None]:
    """The host agent, and with it every node, says and hears nothing."""
    agent = live.agent_pid()
    os.kill(agent, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(agent, signal.SIGCONT)


@pytest.mark.parametrize("how", ["terminate", "delete"])
def test_force_ends_a_job_whose_nodes_are_silent(live: Live, how: str) -> None:
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(command_line="/bin/true"),
        job_release_task=batch.BatchJobReleaseTask(
            command_line=_shell("echo x >>$AZ_BATCH_NODE_SHARED_DIR/released-by-force")
        ),
    )
    mark = f"/forced-{how}"
    live.task("t", f"while :; do touch $AZ_BATCH_NODE_SHARED_DIR{mark}; sleep 0.1; done")
    live.wait_task("t", "running")
    wait_until(lambda: _looping(mark), 60, mark)
    with _silent(live):
        if how == "terminate":
            terminate(live, "patient")
            live.wait_task("t", "completed")
            assert live.batch.get_job("job")["state"] == "terminating", "its node has not confirmed"
            asked: Any = {"terminateReason": "forced"}
            live.batch.begin_terminate_job("job", asked, force=True)
            done = job_state(live, "completed")
            assert done["executionInfo"]["terminateReason"] == "patient"
            assert live.batch.get_task("job", "t")["executionInfo"]["failureInfo"]["code"] == "TaskEnded"
        else:
            live.batch.begin_delete_job("job")
            live.wait_task("t", "completed")
            assert live.batch.get_job("job")["state"] == "deleting", "its node has not confirmed"
            live.batch.begin_delete_job("job", force=True)
            wait_until(lambda: not list(live.batch.list_jobs()), 60, lambda: list(live.batch.list_jobs()))
        assert _looping(mark), "nobody told the node yet"
    wait_until(lambda: not _looping(mark), 60, lambda: _looping(mark))
    live.wait_nodes("pool", {"idle": 2})
    assert live.ledger(name="shared/released-by-force") == []
