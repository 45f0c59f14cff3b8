"""Single statements about jobs and their tasks through the official client: what stays, goes back, is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core.exceptions import HttpResponseError

from poolwright.commands import jobs, tasks
from poolwright.domain.job import Job
from poolwright.domain.states import JobState, TaskState
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import Live
from tests.wire.batch.test_job_schedules import auto_info
from tests.wire.batch.test_sdk_sync import code_of, job_options, pool_options

POOL = models.BatchPoolInfo(pool_id="nowhere")


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[BatchClient]:
    with live.client() as found:
        yield found


def _refusal(call: Any, *arguments: Any, **more: Any) -> tuple[int | None, str]:
    with pytest.raises(HttpResponseError) as refused:
        call(*arguments, **more)
    return refused.value.status_code, code_of(refused.value)


def _task(id: str, **more: Any) -> models.BatchTaskCreateOptions:
    return models.BatchTaskCreateOptions(**{"id": id, "command_line": "x", **more})


def test_a_job_has_one_pool_and_only_one(client: BatchClient) -> None:
    both = auto_info()
    both.pool_id = "nowhere"
    long = auto_info()
    assert long.auto_pool_specification is not None
    long.auto_pool_specification.auto_pool_id_prefix = "x" * 21
    for info, code in (
        (models.BatchPoolInfo(), "MissingRequiredProperty"),
        (both, "InvalidPropertyValue"),
        (long, "InvalidPropertyValue"),
    ):
        options = models.BatchJobCreateOptions(id="pools", pool_info=info)
        assert _refusal(client.create_job, options) == (400, code)


def test_a_network_of_the_job_is_refused_by_name(client: BatchClient) -> None:
    options = job_options("network")
    options.network_configuration = models.BatchJobNetworkConfiguration(
        subnet_id="/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n",
        skip_withdraw_from_vnet=False,
    )
    with pytest.raises(HttpResponseError, match="networkConfiguration") as refused:
        client.create_job(options)
    assert (refused.value.status_code, code_of(refused.value)) == (400, "UnsupportedProperty")


def test_a_job_starts_when_it_is_made(client: BatchClient) -> None:
    client.create_job(job_options("starts"))
    job = client.get_job("starts")
    assert job.execution_info is not None
    assert (job.state, job.execution_info.start_time) == ("active", job.creation_time)
    assert (job.previous_state, job.execution_info.end_time) == (None, None)


def test_what_is_fixed_at_creation_stays(client: BatchClient) -> None:
    options = job_options("fixed")
    options.uses_task_dependencies, options.task_failure_mode = True, "performexitoptionsjobaction"
    options.common_environment_settings = [models.EnvironmentSetting(name="A", value="1")]
    options.job_manager_task = models.BatchJobManagerTask(id="boss", command_line="b")
    options.job_preparation_task = models.BatchJobPreparationTask(command_line="p")
    options.job_release_task = models.BatchJobReleaseTask(command_line="r")
    client.create_job(options)
    client.replace_job("fixed", models.BatchJob(pool_info=POOL))
    job = client.get_job("fixed")
    assert job.job_manager_task is not None
    assert job.job_preparation_task is not None
    assert job.job_release_task is not None
    assert (job.uses_task_dependencies, job.task_failure_mode) == (True, "performexitoptionsjobaction")
    assert [(item.name, item.value) for item in job.common_environment_settings or ()] == [("A", "1")]
    lines = [job.job_manager_task.command_line, job.job_preparation_task.command_line]
    assert [*lines, job.job_release_task.command_line] == ["b", "p", "r"]
    assert job.job_release_task.retention_time == job.job_preparation_task.constraints.retention_time  # type: ignore[union-attr]
    assert job.job_release_task.retention_time == timedelta(days=7)


def test_a_replacement_without_a_mode_means_noaction(client: BatchClient) -> None:
    client.create_job(job_options("modes-put"))
    client.create_task("modes-put", _task("t"))
    plain = models.BatchJob(pool_info=POOL)
    client.replace_job("modes-put", plain)
    assert client.get_job("modes-put").all_tasks_complete_mode == "noaction"
    client.update_job("modes-put", models.BatchJobUpdateOptions(all_tasks_complete_mode="terminatejob"))
    assert _refusal(client.replace_job, "modes-put", plain) == (400, "InvalidPropertyValue"), (
        "left out it means noaction, and there is no way back"
    )
    kept = models.BatchJob(pool_info=POOL, all_tasks_complete_mode="terminatejob")
    client.replace_job("modes-put", kept)


def test_everything_that_a_patch_may_change(client: BatchClient) -> None:
    client.create_job(job_options("patched"))
    limits = models.BatchJobConstraints(max_task_retry_count=4, max_wall_clock_time=timedelta(hours=9))
    item = models.BatchMetadataItem(name="a", value="b")
    client.update_job(
        "patched",
        models.BatchJobUpdateOptions(
            constraints=limits, metadata=[item], max_parallel_tasks=3, allow_task_preemption=True
        ),
    )
    job = client.get_job("patched")
    assert job.constraints is not None
    assert (job.constraints.max_task_retry_count, job.constraints.max_wall_clock_time) == (
        4,
        timedelta(hours=9),
    )
    assert [one.as_dict() for one in job.metadata or ()] == [{"name": "a", "value": "b"}]
    assert (job.max_parallel_tasks, job.allow_task_preemption, job.priority) == (3, True, 0)
    client.update_job("patched", models.BatchJobUpdateOptions(priority=5))
    assert client.get_job("patched").constraints == job.constraints, "what is left out stays"


def _update(job: Job, tx: Tx) -> None:
    tx.jobs.update(job)


OPEN = (JobState.ACTIVE, JobState.DISABLING, JobState.DISABLED, JobState.ENABLING)


@pytest.mark.parametrize("state", OPEN)
def test_a_job_is_terminated_and_deleted_from_every_open_state(
    client: BatchClient, live: Live, state: JobState
) -> None:
    why: Any = {"terminateReason": "enough"}
    orders: dict[str, Any] = {
        "terminating": partial(client.begin_terminate_job, options=why),
        "deleting": client.begin_delete_job,
    }
    for name, order in orders.items():
        id = f"{name}-{state.value}"
        client.create_job(job_options(id))
        found = live.read(partial(jobs.get, account=ACCOUNT, id=id))
        live.write(partial(_update, replace(found, state=state)))
        order(id)
        job = client.get_job(id)
        assert (job.state, job.previous_state) == (name, state.value)


def _move(live: Live, job: str, task: str, state: TaskState) -> None:
    def change(tx: Tx) -> None:
        tx.tasks.update_many([replace(tasks.get(tx, ACCOUNT, job, task), state=state)])

    live.write(change)


@pytest.mark.parametrize("state", [TaskState.ACTIVE, TaskState.PREPARING, TaskState.RUNNING])
def test_a_task_is_terminated_in_every_state_but_the_last(
    client: BatchClient, live: Live, state: TaskState
) -> None:
    id = f"ends-{state.value}"
    client.create_job(job_options(id))
    client.create_task(id, _task("t"))
    _move(live, id, "t", state)
    client.terminate_task(id, "t")
    task = client.get_task(id, "t")
    info = task.execution_info
    assert info is not None
    assert info.failure_info is not None
    assert (task.state, task.previous_state, info.result) == ("completed", state.value, "failure")
    assert (info.failure_info.code, info.failure_info.category) == ("TaskEnded", "usererror")
    assert _refusal(client.terminate_task, id, "t") == (409, "TaskCompleted")


def test_tasks_that_wait_for_one_another_are_taken_and_wait(client: BatchClient) -> None:
    options = job_options("circle")
    options.uses_task_dependencies = True
    client.create_job(options)
    for id, other in (("a", "b"), ("b", "a"), ("self", "self")):
        client.create_task("circle", _task(id, depends_on=models.BatchTaskDependencies(task_ids=[other])))
    assert {task.state for task in client.list_tasks("circle")} == {"active"}


def test_what_a_task_lists_may_be_too_large(client: BatchClient) -> None:
    client.create_job(job_options("large-task"))
    much = [models.EnvironmentSetting(name=f"N{n}", value="v" * 1000) for n in range(40)]
    assert _refusal(client.create_task, "large-task", _task("t", environment_settings=much)) == (
        413,
        "RequestEntityTooLarge",
    )


def test_a_body_may_be_too_large(client: BatchClient) -> None:
    options = job_options("body")
    options.metadata = [models.BatchMetadataItem(name=f"n{n}", value="v" * 8000) for n in range(600)]
    assert _refusal(client.create_job, options) == (413, "RequestBodyTooLarge")


def test_metadata_that_cannot_be(client: BatchClient) -> None:
    options = job_options("meta")
    options.metadata = [models.BatchMetadataItem(name="a\nb", value="v")]
    assert _refusal(client.create_job, options) == (400, "InvalidMetadata")


def test_instances_have_a_default_and_need_a_coordination_command(client: BatchClient, live: Live) -> None:
    client.create_job(job_options("gang"))
    one: Any = {"coordinationCommandLine": "c"}
    client.create_task("gang", _task("t", multi_instance_settings=models.MultiInstanceSettings(one)))
    known = live.read(lambda tx: tasks.get(tx, ACCOUNT, "gang", "t")).spec.multi
    assert known is not None
    assert known.instances == 1
    none: Any = {"numberOfInstances": 2}
    lacking = _task("u", multi_instance_settings=models.MultiInstanceSettings(none))
    assert _refusal(client.create_task, "gang", lacking) == (400, "MissingRequiredProperty")
    for number, code in ((150, None), (151, "InvalidPropertyValue")):
        gang = models.MultiInstanceSettings(coordination_command_line="c", number_of_instances=number)
        wanted = _task(f"n{number}", multi_instance_settings=gang)
        if code is None:
            client.create_task("gang", wanted)
        else:
            assert _refusal(client.create_task, "gang", wanted) == (400, code)


@pytest.mark.parametrize(
    "given",
    [
        {"file_path": "x"},
        {"http_url": "http://h/a", "storage_container_url": "http://h/c"},
        {"http_url": "http://h/a"},
        {"http_url": "http://h/a", "file_path": "../x"},
        {"http_url": "http://h/a", "file_path": "x", "file_mode": "rwx"},
        {"storage_container_url": "http://h/c", "file_path": "/etc"},
    ],
)
def test_a_resource_file_has_one_source_and_stays_inside(client: BatchClient, given: dict[str, Any]) -> None:
    if "files" not in [job.id for job in client.list_jobs()]:
        client.create_job(job_options("files"))
    wanted = _task("t", resource_files=[models.ResourceFile(**given)])
    assert _refusal(client.create_task, "files", wanted) == (400, "InvalidPropertyValue")


def test_where_a_task_is_is_told_in_full(client: BatchClient, live: Live) -> None:
    client.create_pool(pool_options("located"))
    node = live.add_node("located", 1)
    client.create_job(job_options("located-job", "located"))
    client.create_task("located-job", _task("t"))
    live.place("located-job", "t", node)
    info = client.get_task("located-job", "t").node_info
    assert info is not None
    assert (info.pool_id, info.node_id, info.affinity_id) == ("located", node.id, f"TVM:{node.id}")
    assert info.node_url == f"{live.url}/pools/located/nodes/{node.id}"
    root = "workitems/located-job/job-1/t"
    assert info.task_root_directory == root
    assert info.task_root_directory_url == f"{info.node_url}/files/{root}"


def test_one_task_that_is_too_large_fails_alone(client: BatchClient) -> None:
    client.create_job(job_options("too-large"))
    big = _task("big", command_line="x" * 1_100_000)
    with pytest.raises(Exception, match="RequestBodyTooLarge"):
        client.create_tasks("too-large", [_task("small"), big])
