"""Images that nothing here can run: kept without nodes, refused growth with the reason, or simulated and marked."""

from __future__ import annotations

from typing import Any

from azure.batch import models as batch

from poolwright.engines.fake.script import EXIT_CODE, SECONDS
from tests.e2e.service.live import POLL, Live
from tests.support.waiting import wait_until


def windows_pool(live: Live, id: str = "win") -> None:
    machine = batch.VirtualMachineConfiguration(
        image_reference=batch.BatchVmImageReference(
            publisher="MicrosoftWindowsServer", offer="WindowsServer", sku="2022-datacenter"
        ),
        node_agent_sku_id="batch.node.windows amd64",
        windows_configuration=batch.WindowsConfiguration(enable_automatic_updates=False),
        license_type="Windows_Server",
    )
    live.batch.create_pool(
        batch.BatchPoolCreateOptions(
            id=id,
            vm_size="standard_d2s_v3",
            virtual_machine_configuration=machine,
            target_dedicated_nodes=0,
            start_task=batch.BatchStartTask(command_line="cmd /c prepare.bat"),
        )
    )


def grow(live: Live, count: int) -> Any:
    size = batch.BatchPoolResizeOptions(target_dedicated_nodes=count)
    live.batch.begin_resize_pool("win", size, **POLL).result()
    return live.batch.get_pool("win")


def test_windows_pools_are_kept_refused_growth_and_simulated_when_asked_to(live: Live) -> None:
    windows_pool(live)
    wait_until(
        lambda: live.batch.get_pool("win").allocation_state == "steady", 30, lambda: live.why("pools", "win")
    )
    refused = grow(live, 1)
    (error,) = refused.resize_errors
    assert (error.code, refused.current_dedicated_nodes) == ("AllocationFailed", 0)
    assert "windowsserver" in error.message.lower()
    assert "--simulate" in error.message

    live.start_again("--simulate")
    grown = grow(live, 2)
    assert (grown.current_dedicated_nodes, grown.resize_errors) == (2, None)
    wait_until(
        lambda: {node.state for node in live.batch.list_nodes("win")} == {"idle"},
        30,
        lambda: [(node.id, node.state) for node in live.batch.list_nodes("win")],
    )
    nodes = list(live.batch.list_nodes("win"))
    assert all(node["simulated"] is True and node.id.startswith("tvm-sim") for node in nodes)
    assert "simulated" in live.why("pools", "win", "nodes", nodes[0].id)
    assert nodes[0].start_task_info is not None
    assert nodes[0].start_task_info.exit_code == 0

    live.batch.create_job(batch.BatchJobCreateOptions(id="job", pool_info=batch.BatchPoolInfo(pool_id="win")))
    scripted = {
        "plain": {},
        "bad": {EXIT_CODE: "3", SECONDS: "0.1"},
        "wrong": {SECONDS: "soon"},
        "long": {SECONDS: "4"},
    }
    for id, env in scripted.items():
        settings = [batch.EnvironmentSetting(name=name, value=value) for name, value in env.items()]
        live.batch.create_task(
            "job",
            batch.BatchTaskCreateOptions(id=id, command_line="render.exe", environment_settings=settings),
        )
    live.wait_task("long", "running")
    live.kill_service()
    live.start("--simulate")
    ended = {id: live.wait_task(id, "completed")["executionInfo"] for id in scripted}
    assert {id: info.get("exitCode") for id, info in ended.items()} == {
        "plain": 0,
        "bad": 3,
        "wrong": None,
        "long": 0,
    }
    assert SECONDS in ended["wrong"]["failureInfo"]["message"]
    assert ended["long"]["requeueCount"] == 0, "simulated nodes live on over a restart"
    assert live.batch.get_task("job", "plain")["nodeInfo"]["simulated"] is True
    assert "simulated" in live.why("jobs", "job", "tasks", "plain")
    assert {node.id for node in live.batch.list_nodes("win")} == {node.id for node in nodes}
    live.batch.begin_delete_pool("win", **POLL).result()
