"""Manager, preparation and release tasks through the official client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core.exceptions import HttpResponseError

from poolwright.commands import jobs, tasks
from poolwright.domain.clock import MINUTE, SECOND
from poolwright.domain.job_tasks import JobNode
from poolwright.domain.multi_instance import Subtask
from poolwright.domain.node import StartTaskInfo
from poolwright.domain.states import ExecutionResult, StartTaskState
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import Live
from tests.wire.batch.test_sdk_sync import code_of, job_options, pool_options


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[BatchClient]:
    with live.client() as found:
        yield found


def _options(id: str, **more: Any) -> models.BatchJobCreateOptions:
    options = job_options(id)
    options.job_preparation_task = models.BatchJobPreparationTask(command_line="/bin/true")
    for name, value in more.items():
        setattr(options, name, value)
    return options


def test_defaults_are_spelled_out_and_the_manager_is_a_task(client: BatchClient) -> None:
    manager = models.BatchJobManagerTask(id="boss", command_line="/bin/true", display_name="The boss")
    release = models.BatchJobReleaseTask(command_line="/bin/false")
    client.create_job(_options("full", job_manager_task=manager, job_release_task=release))
    job = client.get_job("full")
    assert job.job_preparation_task is not None
    assert job.job_release_task is not None
    assert job.job_manager_task is not None
    preparation = job.job_preparation_task
    assert (preparation.id, preparation.wait_for_success) == ("jobpreparation", True)
    assert preparation.rerun_on_node_reboot_after_success is True
    assert job.job_release_task.id == "jobrelease"
    assert job.job_release_task.max_wall_clock_time == timedelta(minutes=15)
    shown = job.job_manager_task
    assert (shown.kill_job_on_completion, shown.run_exclusive, shown.allow_low_priority_node) == (True,) * 3
    task = client.get_task("full", "boss")
    assert (task.display_name, task.state, task.required_slots) == ("The boss", "active", 1)
    assert client.get_job_task_counts("full").task_counts.active == 1


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"job_preparation_task": None, "job_release_task": ("jobrelease", 1)}, 400, "InvalidPropertyValue"),
        ({"job_release_task": ("r", 16)}, 400, "InvalidPropertyValue"),
        ({"job_release_task": ("JobPreparation", 1)}, 400, "InvalidPropertyValue"),
        ({"job_manager_task": "jobpreparation"}, 409, "TaskIdSameAsJobPreparationTask"),
        ({"job_manager_task": "r", "job_release_task": ("r", 1)}, 409, "TaskIdSameAsJobReleaseTask"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    client: BatchClient, more: dict[str, Any], status: int, code: str
) -> None:
    given = dict(more)
    if "job_release_task" in given:
        id, minutes = given["job_release_task"]
        given["job_release_task"] = models.BatchJobReleaseTask(
            id=id, command_line="x", max_wall_clock_time=timedelta(minutes=minutes)
        )
    if "job_manager_task" in given:
        given["job_manager_task"] = models.BatchJobManagerTask(id=given["job_manager_task"], command_line="x")
    with pytest.raises(HttpResponseError) as refused:
        client.create_job(_options("unfit", **given))
    assert (refused.value.status_code, code_of(refused.value)) == (status, code)


def test_a_task_may_not_bear_their_ids(client: BatchClient) -> None:
    client.create_job(_options("ids", job_release_task=models.BatchJobReleaseTask(command_line="x")))
    for id, code in (
        ("JOBPREPARATION", "TaskIdSameAsJobPreparationTask"),
        ("jobrelease", "TaskIdSameAsJobReleaseTask"),
    ):
        with pytest.raises(HttpResponseError) as refused:
            client.create_task("ids", models.BatchTaskCreateOptions(id=id, command_line="x"))
        assert (refused.value.status_code, code_of(refused.value)) == (409, code)


def test_the_status_lists_each_node_in_pages_and_by_filter(client: BatchClient, live: Live) -> None:
    client.create_job(_options("status"))

    def ran(tx: Tx) -> None:
        job = jobs.get(tx, ACCOUNT, "status")
        for number in range(5):
            info = StartTaskInfo(StartTaskState.COMPLETED, 10, 1, 20, 0, None, ExecutionResult.SUCCESS)
            if number == 3:
                info = replace(info, exit_code=4, result=ExecutionResult.FAILURE)
            tx.job_nodes.put(JobNode(0, job.pk, ACCOUNT, "p", f"n{number}", f"m{number}", 1, info))

    live.write(ran)
    listed = list(client.list_job_preparation_and_release_task_status("status", max_results=2))
    assert [item.node_id for item in listed] == [f"n{number}" for number in range(5)]
    assert listed[0].job_preparation_task_execution_info is not None
    assert listed[0].job_preparation_task_execution_info.result == "success"
    failed = "jobPreparationTaskExecutionInfo/result eq 'failure'"
    found = list(
        client.list_job_preparation_and_release_task_status("status", filter=failed, select=["nodeId"])
    )
    assert [(item.node_id, item.pool_id) for item in found] == [("n3", None)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("poolId eq 'P' and nodeId ge 'n4'", [4]),
        ("jobPreparationTaskExecutionInfo/state eq 'running'", [0]),
        ("jobPreparationTaskExecutionInfo/exitCode ne 0", [3]),
        ("jobPreparationTaskExecutionInfo/startTime gt DateTime'2026-01-01T00:00:02Z'", [3, 4]),
        ("jobPreparationTaskExecutionInfo/endTime lt DateTime'2026-01-01T00:01:02Z'", [1]),
        ("jobReleaseTaskExecutionInfo/result eq 'failure'", [2]),
        ("jobReleaseTaskExecutionInfo/exitCode gt 6 and jobReleaseTaskExecutionInfo/state ne 'running'", [2]),
        ("jobReleaseTaskExecutionInfo/endTime ge DateTime'2026-01-01'", [2]),
        ("jobReleaseTaskExecutionInfo/startTime ge DateTime'2026-01-01' or nodeId eq 'N0'", [0, 2]),
    ],
)
def test_the_status_is_filtered_by_every_field(
    client: BatchClient, live: Live, text: str, found: list[int]
) -> None:
    id = f"by-{abs(hash(text)) % 10**9}"
    client.create_job(_options(id, job_release_task=models.BatchJobReleaseTask(command_line="x")))
    since = datetime(2026, 1, 1, tzinfo=UTC)

    def at(second: int) -> int:
        return int((since + timedelta(seconds=second)).timestamp()) * SECOND

    def ran(tx: Tx) -> None:
        job = jobs.get(tx, ACCOUNT, id)
        for number in range(5):
            info = StartTaskInfo(
                StartTaskState.COMPLETED, at(number), 1, at(60 + number), 0, None, ExecutionResult.SUCCESS
            )
            if number == 0:
                info = StartTaskInfo(StartTaskState.RUNNING, at(0), 1)
            if number == 3:
                info = replace(info, exit_code=4, result=ExecutionResult.FAILURE)
            over = replace(info, exit_code=7, result=ExecutionResult.FAILURE) if number == 2 else None
            tx.job_nodes.put(JobNode(0, job.pk, ACCOUNT, "p", f"n{number}", f"m{number}", 1, info, over))

    live.write(ran)
    listed = client.list_job_preparation_and_release_task_status(id, filter=text)
    assert [item.node_id for item in listed] == [f"n{number}" for number in found]


def test_a_job_without_preparation_has_no_status(client: BatchClient) -> None:
    client.create_job(job_options("bare"))
    with pytest.raises(HttpResponseError) as refused:
        list(client.list_job_preparation_and_release_task_status("bare"))
    assert (refused.value.status_code, code_of(refused.value)) == (409, "JobPreparationTaskNotSpecified")


def test_ending_the_manager_ends_its_job(client: BatchClient) -> None:
    manager = models.BatchJobManagerTask(id="boss", command_line="/bin/true")
    client.create_job(_options("managed", job_manager_task=manager))
    client.terminate_task("managed", "boss")
    assert client.get_job("managed").state == "terminating"


def test_recent_tasks_of_nodes_tell_instances_of_multi_instance_tasks(
    client: BatchClient, live: Live
) -> None:
    pool = pool_options("gangs")
    pool.task_slots_per_node = 1
    pool.enable_inter_node_communication = True
    client.create_pool(pool)
    master, other = live.add_node("gangs", 1), live.add_node("gangs", 2)
    client.create_job(job_options("gangs", "gangs"))
    gang = models.MultiInstanceSettings(number_of_instances=2, coordination_command_line="c")
    client.create_task(
        "gangs", models.BatchTaskCreateOptions(id="both", command_line="x", multi_instance_settings=gang)
    )
    client.create_task("gangs", models.BatchTaskCreateOptions(id="alone", command_line="x"))
    live.place("gangs", "both", master)
    live.place("gangs", "alone", other)

    def instances(tx: Tx) -> None:
        task = tasks.get(tx, ACCOUNT, "gangs", "both")
        at = task.created_at
        rows = [
            Subtask(task.pk, id, 1, ACCOUNT, "gangs", node.id, node.machine, 1, "10.0.0.1", at + MINUTE)
            for id, node in enumerate((master, other))
        ]
        tx.subtasks.begin(
            [rows[0], replace(rows[1], ended_at=at + 2 * MINUTE, exit_code=3, result=ExecutionResult.FAILURE)]
        )

    live.write(instances)
    told = client.get_node("gangs", other.id).recent_tasks
    assert told is not None
    assert [(one.task_id, one.subtask_id, one.task_state) for one in told] == [
        ("both", 1, "completed"), ("alone", None, "running"),
    ]  # fmt: skip
    assert told[0].execution_info is not None
    assert (told[0].execution_info.exit_code, told[0].execution_info.result) == (3, "failure")
    assert told[0].task_url == client.get_task("gangs", "both").url
    (first,) = client.get_node("gangs", master.id).recent_tasks or []
    assert (first.task_id, first.subtask_id, first.task_state) == ("both", 0, "running")
