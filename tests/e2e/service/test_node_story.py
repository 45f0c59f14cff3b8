"""A node tells its own story: why its start task failed, what it went through, and what lies in its files."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from azure.batch import models as batch
from azure.batch.models._models import BatchNodeRebootOptions as Reboot  # not exported by its own package
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest

from poolwright import __version__
from tests.e2e.service.live import POLL, Live

pytestmark = pytest.mark.one_service

NOISY = "/bin/sh -c 'seq 1000; echo this package does not exist >&2; exit 7'"
GOOD = "/bin/sh -c 'mkdir -p d/e && echo 0123456789 >d/digits.txt && echo deep >d/e/deep.txt; env >env.txt; sleep 0.2'"


def _start(command: str) -> batch.BatchStartTask:
    setting = batch.EnvironmentSetting(name="AZ_BATCH_NODE_ID", value="mine")
    return batch.BatchStartTask(command_line=command, wait_for_success=True, environment_settings=[setting])


def _story(live: Live, node: str) -> Any:
    url = f"https://{live.ready.account_endpoint}/pools/pool/nodes/{node}/history?api-version=2025-06-01"
    answer = live.batch.send_request(HttpRequest("GET", url))
    answer.raise_for_status()
    return answer.json()


def test_a_node_says_why_it_failed_and_what_it_went_through(live: Live) -> None:
    live.pool(dedicated=1, start_task=_start(NOISY))
    live.wait_nodes("pool", {"starttaskfailed": 1})
    node = next(iter(live.batch.list_nodes("pool")))
    id = str(node["id"])
    failure = node["startTaskInfo"]["failureInfo"]
    said = {detail["name"]: detail["value"] for detail in failure["details"]}
    assert failure["code"] == "FailureExitCode"
    assert said["StandardErrorTail"] == "this package does not exist"
    assert said["StandardOutputTail"].endswith("\n999\n1000")
    assert len(said["StandardOutputTail"]) <= 2000, "only its end"
    assert node["nodeAgentInfo"]["version"] == __version__
    assert node["nodeAgentInfo"]["lastUpdateTime"] == node["lastBootTime"]
    assert node["virtualMachineInfo"]["imageReference"]["exactVersion"].startswith("12.")
    assert b"".join(live.batch.download_node_file("pool", id, "startup/stderr.txt"))

    live.batch.update_pool("pool", batch.BatchPoolUpdateOptions(start_task=_start(GOOD)))
    live.batch.begin_reboot_node("pool", id, Reboot(node_reboot_kind="requeue"), **POLL).result()
    live.wait_nodes("pool", {"idle": 1})
    again = live.batch.get_node("pool", id)
    assert again["nodeAgentInfo"] == node["nodeAgentInfo"], "another boot, but no other agent"
    info = again["startTaskInfo"]
    assert (info["result"], info.get("failureInfo")) == ("success", None)
    command = [sys.executable, "-m", "poolwright.cli", "node", "logs", "pool", id]
    where = ["--data-dir", str(live.data_dir)]
    printed = subprocess.run(
        [*command, *where], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "--- node.log" in printed
    assert "starttaskfailed" in printed
    assert ": running" in printed.partition("--- agent.log")[2]
    story = _story(live, id)
    assert [move["state"] for move in story["value"]] == [
        "creating",
        "starting",
        "waitingforstarttask",
        "starttaskfailed",
        "rebooting",
        "starting",
        "waitingforstarttask",
        "idle",
    ]
    assert all(move["reason"] for move in story["value"])
    took = {phase["name"]: phase["milliseconds"] for phase in story["phases"]}
    assert took["startTask"] >= 200
    assert took["total"] >= took["startTask"] + took["clone"]

    _look_at_files(live, id)


def _look_at_files(live: Live, node: str) -> None:
    listed = live.batch.list_node_files(
        "pool", node, recursive=True, filter="startswith(name,'startup/wd/d')"
    )
    found = {str(one["name"]): bool(one["isDirectory"]) for one in listed}
    assert found == {
        "startup/wd/d": True,
        "startup/wd/d/digits.txt": False,
        "startup/wd/d/e": True,
        "startup/wd/d/e/deep.txt": False,
    }
    tops = {str(one["name"]) for one in live.batch.list_node_files("pool", node)}
    assert {"startup", "shared", "workitems", "applications", "volatile", "fsmounts"} <= tops
    digits = "startup/wd/d/digits.txt"
    part = live.batch.download_node_file("pool", node, digits, ocp_range="bytes=2-4")
    assert b"".join(part) == b"234"
    with pytest.raises(HttpResponseError, match="Range Not Satisfiable"):
        live.batch.download_node_file("pool", node, digits, ocp_range="bytes=99-")
    about = live.batch.get_node_file_properties("pool", node, digits)
    assert (about.content_length, about.is_directory) == (11, False)
    assert str(about.url).endswith("digits.txt")
    environment = b"".join(live.batch.download_node_file("pool", node, "startup/wd/env.txt")).decode().split()
    known = dict(line.split("=", 1) for line in environment if line.startswith("AZ_BATCH"))
    assert known["AZ_BATCH_NODE_ID"] == node, "what the service says cannot be overridden"
    assert known["AZ_BATCH_RESERVED_DISK_SPACE_BYTES"] == "1000000"
    with pytest.raises(HttpResponseError, match="not empty"):
        live.batch.delete_node_file("pool", node, "startup/wd/d")
    live.batch.delete_node_file("pool", node, "startup/wd/d", recursive=True)
    with pytest.raises(ResourceNotFoundError):
        live.batch.get_node_file_properties("pool", node, digits)
