"""Files of deleted tasks and jobs go from the nodes, also when a kill comes between; those of others stay."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError, ResourceExistsError

from tests.e2e.service.live import POLL, Live
from tests.support.waiting import wait_until


def _nodes(live: Live) -> list[str]:
    return [str(node["id"]) for node in live.batch.list_nodes("pool")]


def _directories(live: Live, *nodes: str) -> set[str] | None:
    """Of tasks, on these nodes or all, as job/task; None while the agent is not connected again."""
    found = set()
    for node in nodes or _nodes(live):
        try:
            files = list(live.batch.list_node_files("pool", node, recursive=True))
        except ResourceExistsError:  # NodeNotReady is a conflict
            return None
        for file in files:
            parts = str(file["name"]).split("/")
            if parts[0] == "workitems" and len(parts) > 1:
                found.add("/".join((parts[1], *parts[3:4])))
    return found


def _wait(live: Live, directories: set[str]) -> None:
    wait_until(lambda: _directories(live) == directories, 60, lambda: _directories(live))


@pytest.mark.one_service
def test_files_of_deleted_tasks_and_jobs_go(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=4)
    for job in ("one", "two"):
        live.job(job)
        for task in ("a", "b"):
            live.task(task, "echo hello", job)
        live.wait_completed(2, job)
    live.task("long", "sleep 600", "two")
    live.wait_task("long", "running", "two")
    _wait(live, {"one", "one/a", "one/b", "two", "two/a", "two/b", "two/long"})

    live.batch.delete_task("two", "a")
    live.batch.delete_task("two", "long")
    _wait(live, {"one", "one/a", "one/b", "two", "two/b"})
    live.task("a", "echo again", "two")
    live.wait_task("a", "completed", "two")
    assert live.output("a", "two") == "again\n", "a task with the id of a deleted one has its own files"

    live.batch.begin_delete_job("one")
    live.kill_service()
    live.start()
    _wait(live, {"two", "two/a", "two/b"})
    assert live.output("b", "two") == "hello\n"


@pytest.mark.one_service
def test_files_go_when_their_retention_time_is_over(live: Live) -> None:
    live.idle_pool(dedicated=2, slots=1, enable_inter_node_communication=True)
    live.job("gang")
    settings = batch.MultiInstanceSettings(coordination_command_line="/bin/true", number_of_instances=2)
    live.task("t", "true", "gang", multi_instance_settings=settings)
    primary = live.wait_task("t", "completed", "gang")["nodeInfo"]["nodeId"]
    second = timedelta(seconds=1)
    short = batch.BatchTaskConstraints(retention_time=second)
    live.batch.replace_task("gang", "t", batch.BatchTask(constraints=short))
    live.job()
    live.task("short", "echo hello", constraints=short)
    live.task("kept", "echo hello")
    live.wait_completed(2)
    live.job(
        "over",
        job_preparation_task=batch.BatchJobPreparationTask(command_line="/bin/true", constraints=short),
        job_release_task=batch.BatchJobReleaseTask(command_line="/bin/true", retention_time=second),
    )
    live.task("t", "true", "over")
    live.wait_completed(1, "over")
    why: Any = {"terminateReason": "enough"}
    live.batch.begin_terminate_job("over", why, **POLL).result()
    (row,) = live.batch.list_job_preparation_and_release_task_status("over")
    assert row["jobReleaseTaskExecutionInfo"]["result"] == "success"
    live.kill_service()
    live.start()  # the first look is at the start
    _wait(live, {"gang", "gang/t", "job", "job/kept", "over", "over/t"})
    assert live.output("kept") == "hello\n"
    holders = [node for node in _nodes(live) if "gang/t" in (_directories(live, node) or ())]
    assert holders == [node for node in _nodes(live) if node != primary], "the new time is the primary's"


def _kept_bytes(live: Live) -> int:
    path = live.data_dir / "files" / "archive.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as archive:
        (found,) = archive.execute("SELECT bytes FROM total").fetchone()
    archive.close()
    return int(found)


def test_small_files_outlive_their_node(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=2)
    live.job()
    live.task("a", "echo hello; mkdir wd2; echo more >wd2/small; head -c 2000000 /dev/zero >large")
    live.task("b", "echo hello")
    live.task("ended", "echo so far; sleep 600")
    live.wait_completed(2)

    def has_said() -> bool:
        try:
            return live.output("ended") == "so far\n"
        except HttpResponseError:  # it has not begun
            return False

    wait_until(has_said, 60, lambda: live.state("ended"))
    live.batch.terminate_task("job", "ended")
    live.batch.begin_delete_pool("pool")
    wait_until(lambda: not list(live.batch.list_pools()), 60, "the pool has not gone")
    live.kill_service()
    live.start()

    assert (live.output("a"), live.output("ended")) == ("hello\n", "so far\n")
    assert live.output("a", name="wd/wd2/small") == "more\n"
    names = {str(file["name"]) for file in live.batch.list_task_files("job", "a", recursive=True)}
    assert names == {"stdout.txt", "stderr.txt", "wd", "wd/large", "wd/wd2", "wd/wd2/small"}
    assert {str(file["name"]) for file in live.batch.list_task_files("job", "a")} == {
        "stdout.txt",
        "stderr.txt",
        "wd",
    }
    assert live.batch.get_task_file_properties("job", "a", "wd/large").content_length == 2_000_000
    with pytest.raises(HttpResponseError) as refused:
        live.output("a", name="wd/large")
    assert refused.value.status_code == 409, "it was too large to be kept"
    live.batch.delete_task_file("job", "a", "wd/wd2", recursive=True)
    with pytest.raises(HttpResponseError) as refused:
        live.output("a", name="wd/wd2/small")
    assert refused.value.status_code == 404
    live.batch.begin_delete_job("job")
    wait_until(lambda: _kept_bytes(live) == 0, 60, lambda: f"{_kept_bytes(live)} bytes are kept")
