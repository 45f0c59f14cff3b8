"""kill -9 between what was accepted and what follows: machines, disks, pools. Everything settles, nothing stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from tests.e2e.service.live import POLL, UNTIL_LET_GO, Live
from tests.support.waiting import wait_until

GROUP = "kills"
GROUP_BODY: Any = {"location": "local"}
MACHINE: Any = {
    "location": "local",
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v3"},
        "storageProfile": {
            "osDisk": {"name": "os", "createOption": "FromImage"},
            "dataDisks": [{"lun": 0, "name": "data", "createOption": "Empty", "diskSizeGB": 1}],
        },
    },
}


def _again(live: Live) -> None:
    live.kill_service()
    live.start()


def _image(live: Live) -> dict[str, str]:
    images = live.batch.list_supported_images()
    found = next(image for image in images if image.verification_type == "verified").image_reference
    return {
        "publisher": str(found.publisher),
        "offer": str(found.offer),
        "sku": str(found.sku),
        "version": "latest",
    }


def _script(live: Live, *lines: str) -> str:
    """Run a script, once an earlier one has ended; what it printed."""
    machines: Any = live.clients.compute.virtual_machines
    answers: list[str] = []

    def ran() -> bool:
        try:
            given: Any = {"commandId": "RunShellScript", "script": list(lines)}
            answers.append(
                str(machines.begin_run_command(GROUP, "vm", given, **POLL).result().value[0].message)
            )
        except ResourceExistsError:
            return False
        return True

    wait_until(ran, 60, live.service.log_tail)
    return answers[0]


def test_the_story_of_a_machine_goes_on_after_every_kill(live: Live) -> None:
    live.clients.resources.resource_groups.create_or_update(GROUP, GROUP_BODY)
    MACHINE["properties"]["storageProfile"]["imageReference"] = _image(live)
    live.clients.compute.virtual_machines.begin_create_or_update(GROUP, "vm", MACHINE, polling=False)
    _again(live)

    def state() -> str:
        return str(live.clients.compute.virtual_machines.get(GROUP, "vm").provisioning_state)

    wait_until(lambda: state() == "Succeeded", 120, live.service.log_tail)

    script: Any = {"commandId": "RunShellScript", "script": ["echo begun >>/srv/runs; sleep 2"]}
    live.clients.compute.virtual_machines.begin_run_command(GROUP, "vm", script, polling=False)
    _again(live)
    assert _script(live, "touch /srv/runs; cat /srv/runs").count("begun") <= 1, "never run again by itself"

    live.clients.compute.virtual_machines.begin_deallocate(GROUP, "vm", polling=False)
    _again(live)

    def power() -> list[str]:
        view = live.clients.compute.virtual_machines.instance_view(GROUP, "vm")
        return [str(status.code) for status in view.statuses or ()]

    wait_until(lambda: "PowerState/deallocated" in power(), 60, power)
    source = live.clients.compute.disks.get(GROUP, "os").id
    copy: Any = {
        "location": "local",
        "properties": {"creationData": {"createOption": "Copy", "sourceResourceId": source}},
    }
    live.clients.compute.snapshots.begin_create_or_update(GROUP, "snap", copy, polling=False)
    _again(live)

    def taken() -> str:
        return str(live.clients.compute.snapshots.get(GROUP, "snap").provisioning_state)

    wait_until(lambda: taken() == "Succeeded", 120, taken)
    live.clients.resources.resource_groups.begin_delete(GROUP, polling=False)
    _again(live)

    def gone() -> bool:
        try:
            live.clients.resources.resource_groups.get(GROUP)
        except ResourceNotFoundError:
            return True
        return False

    wait_until(gone, 120, live.service.log_tail)
    disks = live.data_dir / "images" / "disks"
    wait_until(lambda: not _names(disks), 60, lambda: _names(disks))


def _names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


@pytest.mark.one_service
def test_everything_killed_at_once_while_a_job_runs(live: Live) -> None:
    live.idle_pool(dedicated=2, slots=2)
    live.job()
    for number in range(12):
        live.task(f"t{number}", "echo $AZ_BATCH_TASK_ID >>$AZ_BATCH_NODE_SHARED_DIR/ledger; sleep 1")
    wait_until(lambda: len(live.ledger()) >= 4, 30, live.ledger)
    live.kill_nodes()
    live.kill_agent()
    live.kill_service()
    live.start()
    live.wait_completed(12)
    assert all(task["executionInfo"]["result"] == "success" for task in live.batch.list_tasks("job"))
    live.wait_nodes("pool", {"idle": 2})
    assert len(live.ledger()) <= 12 + 4, "only what ran then was run again"


@pytest.mark.one_service
@pytest.mark.parametrize("option", ["requeue", "terminate", "taskcompletion"])
def test_nodes_leave_although_the_service_is_killed(live: Live, option: str) -> None:
    live.idle_pool(dedicated=2, slots=1)
    live.job()
    for task in ("a", "b"):
        live.task(task, UNTIL_LET_GO)
        live.wait_task(task, "running")
    leaving = str(live.batch.get_task("job", "a")["nodeInfo"]["nodeId"])
    order = batch.BatchNodeRemoveOptions(node_ids=[leaving], node_deallocation_option=option)
    live.batch.begin_remove_nodes("pool", order, polling_interval=60)
    live.kill_service()
    live.start()
    dealt_with = {"requeue": "active", "terminate": "completed", "taskcompletion": "running"}[option]
    live.wait_task("a", dealt_with)
    if option == "taskcompletion":
        live.wait_draining(leaving)
    live.let_go()
    live.wait_completed(2)
    live.wait_nodes("pool", {"idle": 1})
    live.wait_steady()
    ended = live.batch.get_task("job", "a")["executionInfo"]
    expected = {"requeue": ("success", 1), "terminate": ("failure", 0), "taskcompletion": ("success", 0)}[
        option
    ]
    assert (ended["result"], ended["requeueCount"]) == expected


@pytest.mark.one_service
def test_a_pool_and_a_job_are_deleted_although_all_is_killed(live: Live) -> None:
    live.idle_pool(dedicated=2, slots=1)
    live.job()
    live.task("a", "sleep 600")
    live.wait_task("a", "running")
    live.batch.begin_delete_job("job", polling_interval=60)
    live.batch.begin_delete_pool("pool", polling_interval=60)
    live.kill_agent()
    live.kill_service()
    live.start()
    wait_until(lambda: not list(live.batch.list_pools()), 60, live.service.log_tail)
    wait_until(lambda: not _jobs(live), 60, lambda: _jobs(live))
    nodes = live.data_dir / "nodes"
    wait_until(lambda: set(_names(nodes)) <= {".trash"}, 30, lambda: _names(nodes))


def _jobs(live: Live) -> list[str]:
    return [str(job["id"]) for job in live.batch.list_jobs()]
