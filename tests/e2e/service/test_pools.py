"""Pools and nodes: sizes, start tasks, reboots, preemption, removal, limits."""

from __future__ import annotations

import subprocess
import sys

import pytest
from azure.batch import models as batch
from azure.batch.models._models import BatchNodeRebootOptions  # the client's own package forgets to export it
from azure.core.exceptions import HttpResponseError

from tests.e2e.service.live import POLL, UNTIL_LET_GO, Live
from tests.support.waiting import wait_until

pytestmark = pytest.mark.one_service


def _nodes(live: Live, pool: str = "pool") -> list[str]:
    return [str(node["id"]) for node in live.batch.list_nodes(pool)]


def test_a_pool_grows_shrinks_and_goes(live: Live) -> None:
    live.idle_pool(dedicated=2, low=1)
    resize = batch.BatchPoolResizeOptions(target_dedicated_nodes=4, target_low_priority_nodes=0)
    live.batch.begin_resize_pool("pool", resize, **POLL).result()
    pool = live.batch.get_pool("pool")
    assert (pool["currentDedicatedNodes"], pool["currentLowPriorityNodes"]) == (4, 0)
    live.wait_nodes("pool", {"idle": 4})
    gone = _nodes(live)[0]
    live.batch.begin_remove_nodes("pool", batch.BatchNodeRemoveOptions(node_ids=[gone]), **POLL).result()
    assert live.batch.get_pool("pool")["targetDedicatedNodes"] == 3
    assert gone not in _nodes(live)
    live.batch.begin_delete_pool("pool", **POLL).result()
    with pytest.raises(HttpResponseError, match="PoolNotFound"):
        live.batch.get_pool("pool")


def test_removal_requeues_what_was_running(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task("t", UNTIL_LET_GO)
    running = live.wait_task("t", "running")
    node = running["nodeInfo"]["nodeId"]
    live.batch.begin_resize_pool("pool", batch.BatchPoolResizeOptions(target_dedicated_nodes=0))
    wait_until(lambda: _nodes(live) == [], 30, live.states)
    assert live.state("t") == "active"
    live.wait_steady()
    live.batch.begin_resize_pool("pool", batch.BatchPoolResizeOptions(target_dedicated_nodes=1))
    live.wait_task("t", "running")
    live.let_go()
    task = live.wait_task("t", "completed")
    assert task["executionInfo"]["requeueCount"] == 1
    assert task["nodeInfo"]["nodeId"] != node


def test_removal_waits_for_tasks_when_asked(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task("t", UNTIL_LET_GO)
    live.wait_task("t", "running")
    shrink = batch.BatchPoolResizeOptions(target_dedicated_nodes=0, node_deallocation_option="taskcompletion")
    live.batch.begin_resize_pool("pool", shrink)
    live.wait_draining(_nodes(live)[0])
    live.let_go()
    wait_until(lambda: _nodes(live) == [], 30, live.states)
    task = live.batch.get_task("job", "t")
    assert (task["state"], task["executionInfo"]["exitCode"]) == ("completed", 0)


def test_start_tasks(live: Live) -> None:
    once = batch.BatchStartTask(
        command_line="/bin/sh -c 'echo ran >>$AZ_BATCH_NODE_SHARED_DIR/started; test -e $AZ_BATCH_NODE_SHARED_DIR/x"
        " || { touch $AZ_BATCH_NODE_SHARED_DIR/x; exit 3; }'",
        wait_for_success=True,
        max_task_retry_count=2,
    )
    live.idle_pool(id="retried", dedicated=1, start_task=once)
    info = next(iter(live.batch.list_nodes("retried")))["startTaskInfo"]
    assert (info["state"], info["exitCode"], info["retryCount"], info["result"]) == (
        "completed",
        0,
        1,
        "success",
    )
    assert live.ledger("retried", "shared/started") == ["ran", "ran"]

    fails = batch.BatchStartTask(command_line="/bin/sh -c 'echo sorry; exit 9'", wait_for_success=True)
    live.pool(id="failed", dedicated=1, start_task=fails)
    live.wait_nodes("failed", {"starttaskfailed": 1})
    node = next(iter(live.batch.list_nodes("failed")))
    assert node["startTaskInfo"]["exitCode"] == 9
    assert node["startTaskInfo"]["failureInfo"]["code"] == "FailureExitCode"
    text = b"".join(live.batch.download_node_file("failed", str(node["id"]), "startup/stdout.txt"))
    assert text == b"sorry\n"
    assert live.why("pools", "failed", "nodes", str(node["id"]))


def test_what_a_start_task_leaves_running_serves_the_tasks(live: Live) -> None:
    start = batch.BatchStartTask(
        command_line="/bin/sh -c 'cd $AZ_BATCH_NODE_SHARED_DIR;"
        ' setsid sh -c "while :; do date +%N >next; mv next tick; sleep 0.1; done" &\''
    )
    live.idle_pool(dedicated=1, slots=1, start_task=start)
    live.job()
    look = (
        "cd $AZ_BATCH_NODE_SHARED_DIR; until a=$(cat tick); do sleep 0.1; done;"
        " until [ $(cat tick) != $a ]; do sleep 0.1; done"
    )
    for task in ("first", "second"):  # the second after the end of the first, when strays are swept
        live.task(task, f"(setsid sleep 77 &); {look}")
        assert live.wait_task(task, "completed")["executionInfo"]["exitCode"] == 0
    live.task("strays", "pgrep -x -f 'sleep 77' || echo none")
    live.wait_task("strays", "completed")
    assert live.output("strays") == "none\n"


def test_reboot_keeps_the_temporary_disk_and_runs_the_start_task_again(live: Live) -> None:
    start = batch.BatchStartTask(command_line="/bin/sh -c 'echo up >>$AZ_BATCH_NODE_SHARED_DIR/boots'")
    live.idle_pool(dedicated=1, start_task=start)
    node = _nodes(live)[0]
    boots = live.batch.get_node("pool", node)["lastBootTime"]
    options = BatchNodeRebootOptions(node_reboot_kind="requeue")
    live.batch.begin_reboot_node("pool", node, options, **POLL).result()
    wait_until(
        lambda: live.states() == {"idle": 1} and live.batch.get_node("pool", node)["lastBootTime"] != boots,
        30,
        live.states,
    )
    assert live.ledger(name="shared/boots") == ["up", "up"]


def test_disabled_scheduling_keeps_tasks_away(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    node = _nodes(live)[0]
    option = batch.BatchNodeDisableSchedulingOptions(node_disable_scheduling_option="requeue")
    live.batch.disable_node_scheduling("pool", node, option)
    live.wait_nodes("pool", {"offline": 1})
    live.job()
    live.task("t", "true")
    assert live.why("jobs", "job", "tasks", "t")
    with pytest.raises(HttpResponseError, match="NodeAlreadyInTargetSchedulingState"):
        live.batch.disable_node_scheduling("pool", node, option)
    assert live.state("t") == "active"
    live.batch.enable_node_scheduling("pool", node)
    live.wait_task("t", "completed")


def test_preemption_by_the_operator(live: Live) -> None:
    live.idle_pool(dedicated=0, low=1, slots=1)
    live.job()
    live.task("t", UNTIL_LET_GO)
    live.wait_task("t", "running")
    node = _nodes(live)[0]
    command = [sys.executable, "-m", "poolwright.cli", "node", "preempt", "pool", node]
    command += ["--data-dir", str(live.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    live.wait_task("t", "active")
    live.wait_task("t", "running")
    live.let_go()
    task = live.wait_task("t", "completed")
    assert task["executionInfo"]["result"] == "success"
    live.wait_nodes("pool", {"idle": 1})
    assert _nodes(live) == [node], "a preempted node comes back under its id"


def test_a_pool_of_an_image_this_host_cannot_build_says_so(live: Live) -> None:
    live.batch.create_pool(
        batch.BatchPoolCreateOptions(
            id="foreign",
            vm_size="standard_a1_v2",
            virtual_machine_configuration=batch.VirtualMachineConfiguration(
                image_reference=batch.BatchVmImageReference(
                    publisher="almalinux", offer="almalinux-x86_64", sku="9-gen2", version="latest"
                ),
                node_agent_sku_id="batch.node.el 9",
            ),
            target_dedicated_nodes=1,
        )
    )
    live.wait_steady("foreign")
    errors = live.batch.get_pool("foreign")["resizeErrors"]
    assert errors[0]["code"] == "AllocationFailed"
    assert "cannot build" in errors[0]["message"]


def test_tasks_of_a_deleted_pool_run_again_in_another(live: Live) -> None:
    live.idle_pool(id="first", dedicated=1, slots=1)
    live.job(pool="first")
    live.task("twice", "test $AZ_BATCH_POOL_ID = second || sleep 600")
    live.wait_task("twice", "running")
    live.batch.begin_delete_pool("first", **POLL).result()
    back = live.wait_task("twice", "active")
    assert back["executionInfo"]["requeueCount"] == 1
    live.idle_pool(id="second", dedicated=1, slots=1)
    disable = batch.BatchJobDisableOptions(disable_tasks="requeue")
    live.batch.begin_disable_job("job", disable, **POLL).result()
    live.batch.update_job("job", batch.BatchJobUpdateOptions(pool_info=batch.BatchPoolInfo(pool_id="second")))
    live.batch.begin_enable_job("job", **POLL).result()
    assert live.wait_task("twice", "completed")["executionInfo"]["exitCode"] == 0
