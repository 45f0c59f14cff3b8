"""The story of pools, jobs and tasks through the official client, synchronous."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import OLD_VERSION, Live

POLL_S = 0.05
DEADLINE_S = 20

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@pytest.fixture(params=[None, OLD_VERSION])
def client(live: Live, request: pytest.FixtureRequest) -> Iterator[BatchClient]:
    options = {} if request.param is None else {"api_version": request.param}
    with live.client(**options) as found:
        yield found


def pool_options(id: str) -> models.BatchPoolCreateOptions:
    return models.BatchPoolCreateOptions(
        id=id,
        vm_size="STANDARD_D2s_v3",
        virtual_machine_configuration=models.VirtualMachineConfiguration(
            image_reference=models.BatchVmImageReference(publisher="debian", offer="debian-12", sku="12"),
            node_agent_sku_id="batch.node.debian 12",
        ),
        target_dedicated_nodes=0,
        task_slots_per_node=2,
        start_task=models.BatchStartTask(
            command_line="/bin/true", max_task_retry_count=1, wait_for_success=True
        ),
        metadata=[models.BatchMetadataItem(name="owner", value="tests")],
    )


def job_options(id: str, pool: str = "nowhere") -> models.BatchJobCreateOptions:
    return models.BatchJobCreateOptions(id=id, pool_info=models.BatchPoolInfo(pool_id=pool))


def code_of(error: HttpResponseError) -> str:
    """The service's code, as the client read it."""
    assert error.error is not None
    return str(error.error.code)


def refused_download(client: Any, job: str, name: str, **options: str) -> int:
    """The status of a download that fails. (Of a streamed answer the client reads no error body.)"""
    with pytest.raises(HttpResponseError) as refused:
        client.download_task_file(job, "t", name, **options)
    response: Any = refused.value.response
    response.close()
    return int(response.status_code)


def named(client: Any, what: str) -> str:
    """An id of its own for each api-version of a test."""
    return f"{what}-{client._config.api_version.replace('.', '-')}"


def test_a_pool_from_create_to_delete(client: Any) -> None:
    id = named(client, "Pool")
    client.create_pool(pool_options(id))
    with pytest.raises(ResourceExistsError) as again:
        client.create_pool(pool_options(id.upper()))
    assert code_of(again.value) == "PoolExists"

    pool = client.get_pool(id)
    assert (pool.id, pool.vm_size, pool.state) == (id, "standard_d2s_v3", models.BatchPoolState.ACTIVE)
    assert pool.allocation_state == models.AllocationState.RESIZING
    assert pool.resize_timeout == timedelta(minutes=15)
    assert pool.task_slots_per_node == 2
    assert pool.task_scheduling_policy.node_fill_type == models.BatchNodeFillType.SPREAD
    assert pool.virtual_machine_configuration.image_reference.version == "latest"
    assert pool.start_task.user_identity.auto_user.scope == models.AutoUserScope.POOL
    assert [(item.name, item.value) for item in pool.metadata] == [("owner", "tests")]
    assert pool.resize_errors is None
    assert id in [found.id for found in client.list_pools()]
    assert client.pool_exists(id)

    client.update_pool(
        id,
        models.BatchPoolUpdateOptions(metadata=[]),
        etag=pool.etag,
        match_condition=MatchConditions.IfNotModified,
    )
    changed = client.get_pool(id)
    assert changed.metadata is None
    assert changed.start_task.command_line == "/bin/true"
    assert changed.etag != pool.etag
    with pytest.raises(HttpResponseError) as stale:
        client.update_pool(
            id,
            models.BatchPoolUpdateOptions(metadata=[]),
            etag=pool.etag,
            match_condition=MatchConditions.IfNotModified,
        )
    assert stale.value.status_code == 412

    with pytest.raises(ResourceExistsError) as busy:
        client.begin_resize_pool(id, models.BatchPoolResizeOptions(target_dedicated_nodes=3))
    assert code_of(busy.value) == "PoolBeingResized"


def test_pollers_of_a_pool_see_the_transition_and_its_end(live: Live, client: Any) -> None:
    id = named(client, "polled")
    client.create_pool(pool_options(id))
    live.settle(id)
    resizing = client.begin_resize_pool(
        id, models.BatchPoolResizeOptions(target_dedicated_nodes=2), polling_interval=POLL_S
    )
    pool = client.get_pool(id)
    assert (pool.allocation_state, pool.target_dedicated_nodes) == (models.AllocationState.RESIZING, 2)
    stopping = client.begin_stop_pool_resize(id, polling_interval=POLL_S)
    assert client.get_pool(id).allocation_state == models.AllocationState.STOPPING
    live.settle(id)
    node = live.add_node(id, 1)
    for poller in (resizing, stopping):
        poller.wait(DEADLINE_S)
        assert poller.done()
    removing = client.begin_remove_nodes(
        id, models.BatchNodeRemoveOptions(node_ids=[node.id]), polling_interval=POLL_S
    )
    live.settle(id)
    removing.wait(DEADLINE_S)
    deleting = client.begin_delete_pool(id, polling_interval=POLL_S)
    assert client.get_pool(id).state == models.BatchPoolState.DELETING
    live.write(lambda tx: tx.nodes.delete(ACCOUNT, id, node.id))
    live.write(lambda tx: tx.pools.delete(ACCOUNT, id))
    deleting.wait(DEADLINE_S)
    assert deleting.done()
    with pytest.raises(ResourceNotFoundError) as gone:
        client.get_pool(id)
    assert code_of(gone.value) == "PoolNotFound"
    assert "The specified pool does not exist.\nRequestId:" in str(gone.value)


def test_a_shared_key_makes_no_pool_from_a_custom_image(live: Live, client: Any) -> None:
    options = pool_options(named(client, "custom"))
    assert options.virtual_machine_configuration is not None
    options.virtual_machine_configuration.image_reference = models.BatchVmImageReference(
        virtual_machine_image_id="/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i"
    )
    before = live.fingerprint()
    with pytest.raises(HttpResponseError) as refused:
        client.create_pool(options)
    assert (refused.value.status_code, code_of(refused.value)) == (403, "AuthenticationFailed")
    assert live.fingerprint() == before


def test_a_job_through_its_states(live: Live, client: Any) -> None:
    id = named(client, "job")
    client.create_job(job_options(id))
    with pytest.raises(ResourceExistsError) as again:
        client.create_job(job_options(id))
    assert "The specified job already exists." in str(again.value)
    job = client.get_job(id)
    assert job.constraints.max_wall_clock_time == timedelta.max.__class__(
        days=10675199, hours=2, minutes=48, seconds=5, microseconds=477581
    )
    assert (job.priority, job.max_parallel_tasks, job.state) == (0, -1, models.BatchJobState.ACTIVE)
    assert job.execution_info.pool_id == "nowhere"
    client.update_job(id, models.BatchJobUpdateOptions(priority=7))
    job = client.get_job(id)
    assert job.priority == 7
    job.priority, job.metadata = 9, [models.BatchMetadataItem(name="a", value="b")]
    client.replace_job(id, job)
    job = client.get_job(id)
    assert (job.priority, job.metadata[0].name) == (9, "a")
    client.begin_disable_job(
        id,
        models.BatchJobDisableOptions(disable_tasks=models.DisableBatchJobOption.WAIT),
        polling_interval=60,
    )
    assert client.get_job(id).state == models.BatchJobState.DISABLING
    client.begin_enable_job(id, polling_interval=60)
    assert client.get_job(id).state in (models.BatchJobState.ENABLING, models.BatchJobState.ACTIVE)
    client.begin_terminate_job(id, {"terminateReason": "enough"}, polling_interval=60)
    assert client.get_job(id).state == models.BatchJobState.TERMINATING
    assert client.get_job(id).previous_state is not None
    client.begin_delete_job(id, polling_interval=60)
    assert client.get_job(id).state == models.BatchJobState.DELETING


def test_tasks_one_by_one(live: Live, client: Any) -> None:
    id = named(client, "tasks")
    client.create_job(job_options(id))
    client.create_task(
        id,
        models.BatchTaskCreateOptions(
            id="One",
            command_line="/bin/sh -c 'echo $X'",
            environment_settings=[models.EnvironmentSetting(name="X", value="1")],
            constraints=models.BatchTaskConstraints(
                max_task_retry_count=2, max_wall_clock_time=timedelta(hours=1)
            ),
            required_slots=2,
        ),
    )
    task = client.get_task(id, "one")
    assert (task.id, task.state, task.required_slots) == ("One", models.BatchTaskState.ACTIVE, 2)
    assert task.constraints.retention_time == timedelta(days=7)
    assert task.constraints.max_task_retry_count == 2
    assert task.execution_info.retry_count == task.execution_info.requeue_count == 0
    assert [(item.name, item.value) for item in task.environment_settings] == [("X", "1")]
    with pytest.raises(ResourceExistsError) as again:
        client.create_task(id, models.BatchTaskCreateOptions(id="ONE", command_line="x"))
    assert code_of(again.value) == "TaskExists"
    task.constraints.max_task_retry_count = 5
    client.replace_task(id, "One", task)
    assert client.get_task(id, "One").constraints.max_task_retry_count == 5
    counts = client.get_job_task_counts(id)
    assert (counts.task_counts.active, counts.task_slot_counts.active) == (1, 2)
    client.terminate_task(id, "One")
    ended = client.get_task(id, "One")
    assert ended.state == models.BatchTaskState.COMPLETED
    assert ended.execution_info.result == models.BatchTaskExecutionResult.FAILURE
    assert ended.execution_info.failure_info.code == "TaskEnded"
    client.reactivate_task(id, "One")
    assert client.get_task(id, "One").state == models.BatchTaskState.ACTIVE
    client.delete_task(id, "One")
    with pytest.raises(ResourceNotFoundError):
        client.get_task(id, "One")


def test_many_tasks_pages_filter_and_selection(live: Live, client: Any) -> None:
    id = named(client, "many")
    client.create_job(job_options(id))
    wanted = [
        models.BatchTaskCreateOptions(id=f"t{number:03d}", command_line="/bin/true") for number in range(250)
    ]
    added = client.create_tasks(id, task_collection=wanted)
    assert {item.status for item in added.result_values} == {models.BatchTaskAddStatus.SUCCESS}
    pages = list(client.list_tasks(id, max_results=100).by_page())
    assert [len(list(page)) for page in pages] == [100, 100, 50]
    found = list(client.list_tasks(id, filter="id ge 't100' and startswith(id,'T1')", select=["id", "state"]))
    assert [task.id for task in found] == [f"t{number:03d}" for number in range(100, 200)]
    assert found[0].command_line is None
    few = list(client.list_tasks(id, max_results=7, filter="state eq 'Active' and id lt 't020'"))
    assert [task.id for task in few] == [f"t{number:03d}" for number in range(20)]
    assert client.get_job_task_counts(id).task_counts.active == 250


def test_a_refused_task_does_not_hold_up_the_others(live: Live, client: Any) -> None:
    id = named(client, "mixed")
    client.create_job(job_options(id))
    client.create_task(id, models.BatchTaskCreateOptions(id="a", command_line="x"))
    after_a = models.BatchTaskDependencies(task_ids=["a"])
    added = client.create_task_collection(
        id,
        models.BatchTaskGroup(
            task_values=[
                models.BatchTaskCreateOptions(id="a", command_line="x"),
                models.BatchTaskCreateOptions(id="b", command_line="x", depends_on=after_a),
                models.BatchTaskCreateOptions(id="c/d", command_line="x"),
                models.BatchTaskCreateOptions(id="e", command_line="x"),
            ]
        ),
    )
    outcomes = [(item.task_id, item.status, item.error and item.error.code) for item in added.result_values]
    assert outcomes == [
        ("a", "clienterror", "TaskExists"),
        ("b", "clienterror", "TaskDependenciesNotSpecifiedOnJob"),
        ("c/d", "clienterror", "InvalidPropertyValue"),
        ("e", "success", None),
    ]
    assert [task.id for task in client.list_tasks(id)] == ["a", "e"]


def test_nodes(live: Live, client: Any) -> None:
    id = named(client, "noded")
    client.create_pool(pool_options(id))
    live.settle(id)
    first, spot = live.add_node(id, 1), live.add_node(id, 2, dedicated=False)
    assert [node.id for node in client.list_nodes(id)] == sorted([first.id, spot.id])
    assert [node.id for node in client.list_nodes(id, filter="state eq 'offline'")] == []
    node = client.get_node(id, first.id)
    assert (node.state, node.is_dedicated, node.affinity_id) == ("idle", True, f"TVM:{first.id}")
    assert node.scheduling_state == models.SchedulingState.ENABLED
    assert node.start_task.command_line == "/bin/true"
    assert node.virtual_machine_info.image_reference.offer == "debian-12"
    pool = client.get_pool(id)
    assert (pool.current_dedicated_nodes, pool.current_low_priority_nodes) == (1, 1)
    (counts,) = [
        found for found in client.list_pool_node_counts(filter=f"poolId eq '{id}'") if found.pool_id == id
    ]
    assert (counts.dedicated.idle, counts.dedicated.total, counts.low_priority.idle) == (1, 1, 1)
    finish = models.BatchNodeDisableSchedulingOptions(
        node_disable_scheduling_option=models.BatchNodeDisableSchedulingOption.TASK_COMPLETION
    )
    client.disable_node_scheduling(id, first.id, options=finish)
    with pytest.raises(ResourceExistsError) as already:
        client.disable_node_scheduling(id, first.id, options=finish)
    assert code_of(already.value) == "NodeAlreadyInTargetSchedulingState"
    client.enable_node_scheduling(id, first.id)
    client.begin_reboot_node(id, first.id, {"nodeRebootOption": "requeue"}, polling_interval=60)
    assert client.get_node(id, first.id).state == models.BatchNodeState.REBOOTING
    with pytest.raises(ResourceNotFoundError) as missing:
        client.get_node(id, "none")
    assert code_of(missing.value) == "NodeNotFound"


def test_supported_images(client: Any) -> None:
    images = list(client.list_supported_images(filter="nodeAgentSKUId eq 'batch.node.debian 12'"))
    assert [(image.image_reference.offer, image.os_type) for image in images] == [("debian-12", "linux")]
    assert len(list(client.list_supported_images(max_results=3))) > 3


def test_no_pool_is_made_of_an_image_whose_support_has_ended(live: Live, client: Any) -> None:
    ends = {
        image.image_reference.sku: image.batch_support_end_of_life
        for image in client.list_supported_images()
        if image.image_reference.publisher == "almalinux"
    }
    assert [ends[sku].year for sku in ("8-gen2", "9-gen2")] == [2000, 2090]
    id = named(client, "supported")
    for sku, agent, made in (("8-gen2", "el 8", False), ("9-gen2", "el 9", True)):
        image = models.BatchVmImageReference(publisher="almalinux", offer="almalinux-x86_64", sku=sku)
        options = pool_options(id)
        options.virtual_machine_configuration = models.VirtualMachineConfiguration(
            image_reference=image, node_agent_sku_id=f"batch.node.{agent}"
        )
        if made:
            client.create_pool(options)
            continue
        with pytest.raises(HttpResponseError) as refused:
            client.create_pool(options)
        assert code_of(refused.value) == "InvalidPropertyValue"
        assert "ended on 2000-01-01" in refused.value.message or "ended on 2000-01-01" in str(
            refused.value.model
        )


def test_files_of_a_task_and_of_a_node(live: Live, client: Any) -> None:
    id = named(client, "filed")
    client.create_pool(pool_options(id))
    node = live.add_node(id, 1)
    client.create_job(job_options(id, id))
    client.create_task(id, models.BatchTaskCreateOptions(id="t", command_line="x"))
    with pytest.raises(ResourceExistsError) as early:
        list(client.list_task_files(id, "t"))
    assert code_of(early.value) == "TaskFilesUnavailable"
    live.place(id, "t", node)
    wd = live.files.root / node.machine / "workitems" / id / "job-1" / "t" / "wd"
    wd.mkdir(parents=True)
    (wd.parent / "stdout.txt").write_text("0123456789")
    (wd / "a b%.bin").write_bytes(b"x" * 200_000)

    assert client.get_task(id, "t").node_info.node_id == node.id
    assert [(file.name, file.is_directory) for file in client.list_task_files(id, "t")] == [
        ("stdout.txt", False),
        ("wd", True),
    ]
    (deep,) = client.list_task_files(id, "t", recursive=True, filter="startswith(name,'wd/')")
    assert (deep.name, int(deep.properties.content_length)) == ("wd/a b%.bin", 200_000)
    assert b"".join(client.download_task_file(id, "t", "wd/a b%.bin")) == b"x" * 200_000
    assert b"".join(client.download_task_file(id, "t", "stdout.txt", ocp_range="bytes=2-4")) == b"234"
    assert b"".join(client.download_task_file(id, "t", "stdout.txt", ocp_range="bytes=7-")) == b"789"
    assert refused_download(client, id, "stdout.txt", ocp_range="bytes=10-") == 416
    properties = client.get_task_file_properties(id, "t", "stdout.txt")
    assert (properties.content_length, properties.is_directory) == (10, False)
    name = f"workitems/{id}/job-1/t/stdout.txt"
    assert b"".join(client.download_node_file(id, node.id, name)) == b"0123456789"
    assert "workitems" in [file.name for file in client.list_node_files(id, node.id)]
    client.delete_task_file(id, "t", "stdout.txt")
    assert refused_download(client, id, "stdout.txt") == 404
