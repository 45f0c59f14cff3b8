"""Containers beside ordinary tasks, and how they end: by request, by time, with their node, and past a kill -9."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch

from tests.e2e.service.live import POLL, Live
from tests.e2e.service.test_containers import AT_ONCE, Shop, containers, inside, layers, script, shop
from tests.support.registry import Registry, registry
from tests.support.waiting import wait_until

#: Seconds by which the sleeps of this process's tests are known among those of the host.
LONG = 1_000_000 + os.getpid()
SLEEPS = f"trap 'exit 1' TERM; echo begun; sleep {LONG} & wait"
DEAF = f"echo begun; sleep {LONG}"  # as first process of its container the shell does not hear SIGTERM


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Registry]:
    """A registry that lets everybody pull."""
    with registry(tmp_path / "registry") as made:
        yield made


def sleepers() -> list[str]:
    """Processes on the host that are the sleep of a container here."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"sleep\0{LONG}".encode() in (path / "cmdline").read_bytes():
                found.append(path.name)
        except OSError:
            continue
    return found


def begun(live: Live, *ids: str) -> None:
    """Wait until these tasks' containers run."""
    for id in ids:
        live.wait_task(id, "running")
    wait_until(lambda: all(_output(live, id) == "begun\n" for id in ids), 60, live.service.log_tail)


def _output(live: Live, id: str) -> str:
    try:
        return live.output(id)
    except Exception:  # noqa: BLE001 - there is no such file yet
        return ""


@pytest.mark.one_service
def test_the_end_of_a_task_is_the_end_of_its_container(live: Live, hub: Registry) -> None:
    tasks = shop(live, hub, slots=4)
    busy = tasks.add("head -c 8388608 /dev/zero >f; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
    listens = tasks.add("trap 'echo bye; exit 4' TERM; echo begun; while :; do sleep 1 & wait; done")
    asked = tasks.add(SLEEPS)
    limit = batch.BatchTaskConstraints(max_wall_clock_time=timedelta(seconds=1))
    late = tasks.add(DEAF, constraints=limit)
    assert tasks.end(late)["failureInfo"]["code"] == "TaskEnded"
    tasks.said(busy)
    used = live.batch.get_task("job", busy, expand=["stats"]).task_statistics
    assert used is not None
    assert used.user_cpu_time > timedelta(milliseconds=50), "what a container used is its task's"
    assert used.write_io_gib >= 8 / 1024
    assert used.write_iops >= 8
    other = live.batch.get_task("job", late, expand=["stats"]).task_statistics
    assert other is not None
    assert other.write_io_gib < 1 / 1024, "what another task's container used is not this one's"
    begun(live, listens, asked)
    info = live.batch.get_task("job", asked)["executionInfo"]["containerInfo"]
    assert info["state"] == "running"
    for id in (listens, asked):
        live.batch.terminate_task("job", id)
        live.wait_task(id, "completed")
    wait_until(lambda: "bye" in live.output(listens), 60, lambda: live.output(listens))
    wait_until(lambda: not sleepers(), 60, sleepers)
    wait_until(lambda: not layers(live), 60, lambda: layers(live))
    reboot = tasks.add(SLEEPS)
    begun(live, reboot)
    (node,) = live.batch.list_nodes("pool")
    live.batch.begin_reboot_node("pool", str(node["id"]), AT_ONCE, **POLL).result()
    wait_until(lambda: live.batch.get_task("job", reboot)["executionInfo"]["requeueCount"] == 1, 60, str)
    begun(live, reboot)
    assert len(sleepers()) == 1, "the container of the node's former life is gone"
    live.batch.terminate_task("job", reboot)
    live.batch.begin_delete_pool("pool", **POLL).result()
    wait_until(lambda: not sleepers(), 60, sleepers)


@pytest.mark.one_service
def test_containers_outlive_the_service_and_the_host_agent(live: Live, hub: Registry) -> None:
    tasks = shop(live, hub)
    id = tasks.add("echo begun; while [ ! -e go ]; do sleep 0.1; done; echo done; exit 5")
    begun(live, id)
    live.kill_service()
    live.kill_agent()
    live.start()
    assert live.state(id) == "running"
    node = live.batch.get_task("job", id)["nodeInfo"]
    root = f"{node['taskRootDirectory']}"
    (temp,) = (live.data_dir / "nodes").glob("*/temp")
    (temp / root / "wd" / "go").write_text("")
    end = tasks.end(id)
    assert (end["exitCode"], live.output(id)) == (5, "begun\ndone\n")
    assert live.batch.get_task("job", id)["executionInfo"]["requeueCount"] == 0
    wait_until(lambda: not layers(live), 60, lambda: layers(live))
    live.kill_nodes()
    live.wait_nodes("pool", {"idle": 1})
    again = tasks.add("echo again")
    assert tasks.said(again) == ["again"]


@pytest.mark.one_service
def test_the_other_tasks_of_pools_and_jobs(live: Live, hub: Registry) -> None:
    hub.push("tools/shell")
    image = f"{hub.server}/tools/shell"
    settings = inside(image)
    note = "{ id -u; test -e /etc/os-release || echo bare; } >"
    live.idle_pool(
        dedicated=1,
        machine=containers(image),
        start_task=batch.BatchStartTask(
            command_line=script(f"{note}$AZ_BATCH_NODE_SHARED_DIR/start"),
            container_settings=settings,
            wait_for_success=True,
        ),
    )
    (node,) = live.batch.list_nodes("pool")
    assert node["startTaskInfo"]["containerInfo"]["state"] == "exited"
    assert live.ledger(name="shared/start") == ["1500", "bare"]
    manager = batch.BatchJobManagerTask(
        id="boss",
        command_line=script("cat $AZ_BATCH_JOB_PREP_DIR/wd/note"),
        container_settings=settings,
        kill_job_on_completion=True,
    )
    live.job(
        job_manager_task=manager,
        job_preparation_task=batch.BatchJobPreparationTask(
            command_line=script(f"{note}note"), container_settings=settings
        ),
        job_release_task=batch.BatchJobReleaseTask(
            command_line=script(f"{note}$AZ_BATCH_NODE_SHARED_DIR/release"), container_settings=settings
        ),
    )
    wait_until(
        lambda: live.batch.get_job("job")["state"] == "completed", 60, lambda: live.batch.get_job("job")
    )
    assert live.output("boss").split() == ["1500", "bare"]
    (status,) = live.batch.list_job_preparation_and_release_task_status("job")
    for kind in ("jobPreparationTaskExecutionInfo", "jobReleaseTaskExecutionInfo"):
        assert status[kind]["containerInfo"]["state"] == "exited", status
    assert live.ledger(name="shared/release") == ["2000", "bare"]
    live.job("plain", job_preparation_task=batch.BatchJobPreparationTask(command_line="/bin/true"))
    live.task("t", "echo in", job="plain", container_settings=settings)
    live.wait_task("t", "completed", job="plain")
    assert live.output("t", job="plain") == "in\n"


@pytest.mark.one_service
def test_a_tag_means_the_same_for_the_whole_life_of_a_node(live: Live, hub: Registry) -> None:
    tasks = shop(live, hub)

    def version(tag: str, digest: str | None = None) -> Any:
        name = f"{hub.server}/tools/moves"
        return tasks.said(tasks.add("echo $V", image=f"{name}@{digest}" if digest else f"{name}:{tag}"))

    old = hub.push("tools/moves", tag="v", Env=["V=old"])
    assert version("v") == ["old"]
    new = hub.push("tools/moves", tag="v", Env=["V=new"])
    assert version("v") == ["old"]
    assert (version("v", new), version("v", old)) == (["new"], ["old"])
    (node,) = live.batch.list_nodes("pool")
    live.batch.begin_reboot_node("pool", str(node["id"]), AT_ONCE, **POLL).result()
    live.wait_nodes("pool", {"idle": 1})
    assert version("v") == ["new"]
    hub.stop()
    assert version("v") == ["new"], "what is on the node needs no registry"
    hub.start()


@pytest.mark.one_service
def test_instances_of_a_gang_are_containers(live: Live, hub: Registry) -> None:
    tasks: Shop = shop(live, hub, dedicated=2, slots=1, enable_inter_node_communication=True)
    coordination = script("echo $AZ_BATCH_IS_CURRENT_NODE_MASTER >$AZ_BATCH_TASK_SHARED_DIR/here")
    id = tasks.add(
        "cat $AZ_BATCH_TASK_SHARED_DIR/here",
        multi_instance_settings=batch.MultiInstanceSettings(
            number_of_instances=2, coordination_command_line=coordination
        ),
    )
    assert tasks.said(id) == ["true"]
    (subtask,) = live.batch.list_subtasks("job", id)
    assert subtask["containerInfo"]["containerId"] != tasks.end(id)["containerInfo"]["containerId"]
