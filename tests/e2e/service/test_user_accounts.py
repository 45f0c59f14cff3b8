"""Tasks run as the named accounts of their pool, with no more rights than these have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.batch import models as batch
from azure.batch.models._models import BatchNodeRebootOptions as Reboot  # not exported by its own package

from tests.e2e.service.live import POLL, Live

pytestmark = pytest.mark.one_service

PASSWORD = "correct horse battery"
WHO = 'echo "$(id -un) $(id -u) $(id -g) $HOME $(stat -c %U .)"'


def _as(name: str) -> dict[str, Any]:
    return {"user_identity": batch.UserIdentity(username=name)}


def _task(live: Live, id: str, command: str, **more: Any) -> Any:
    live.task(id, command, **more)
    return live.wait_task(id, "completed")["executionInfo"]


def test_tasks_and_start_tasks_run_as_the_accounts_of_the_pool(live: Live) -> None:
    linux = batch.LinuxUserConfiguration(uid=4321, gid=4322)
    start = batch.BatchStartTask(
        command_line=f"/bin/sh -c 'echo life >>lives; {WHO}; umask >&2'",
        wait_for_success=True,
        **_as("chief"),
    )
    live.idle_pool(
        dedicated=1,
        start_task=start,
        user_accounts=[
            batch.UserAccount(name="chief", password=PASSWORD, elevation_level="admin"),
            batch.UserAccount(name="worker", password=PASSWORD, linux_user_configuration=linux),
        ],
    )
    shown = live.batch.get_pool("pool")["userAccounts"]
    assert [(one["name"], one["elevationLevel"]) for one in shown] == [
        ("chief", "admin"),
        ("worker", "nonadmin"),
    ]
    assert all("password" not in one for one in shown)
    live.job()
    node = str(next(iter(live.batch.list_nodes("pool")))["id"])
    said = b"".join(live.batch.download_node_file("pool", node, "startup/stdout.txt")).decode().split()
    assert (said[0], said[3], said[4]) == ("chief", "/home/chief", "chief")

    assert _task(live, "who", WHO, **_as("worker"))["exitCode"] == 0
    assert live.output("who").split() == ["worker", "4321", "4322", "/home/worker", "worker"]
    reads = "cat $AZ_BATCH_NODE_STARTUP_DIR/stdout.txt $AZ_BATCH_NODE_STARTUP_DIR/wd/lives"
    for id, more in (("reads", _as("worker")), ("autoreads", {})):
        assert _task(live, id, reads, **more)["exitCode"] == 0, "startup is readable by every task"
    writes = "echo x >>$AZ_BATCH_NODE_STARTUP_DIR/wd/lives"
    assert _task(live, "writes", writes, **_as("worker"))["exitCode"] != 0
    assert _task(live, "ownwrites", writes, **_as("chief"))["exitCode"] == 0
    shares = "echo $(id -un) >$AZ_BATCH_NODE_SHARED_DIR/$(id -un); cat $AZ_BATCH_NODE_SHARED_DIR/*"
    assert _task(live, "shares", shares, **_as("worker"))["exitCode"] == 0
    pries = 'cat "$AZ_BATCH_NODE_ROOT_DIR/workitems/job/job-1/who/stdout.txt"'
    assert _task(live, "pries", pries)["exitCode"] != 0, "accounts do not read one another's tasks"

    failed = _task(live, "ghost", "true", **_as("ghost"))
    assert failed["result"] == "failure"
    assert "exitCode" not in failed
    assert "'ghost'" in failed["failureInfo"]["message"]
    assert "chief, worker" in failed["failureInfo"]["message"]
    assert _task(live, "root", "true", **_as("root"))["result"] == "failure", "no account of the pool"

    live.batch.begin_reboot_node("pool", node, Reboot(node_reboot_kind="requeue"), **POLL).result()
    live.wait_nodes("pool", {"idle": 1})
    _task(live, "again", f"{WHO}; {reads}", **_as("worker"))
    lines = live.output("again").splitlines()
    assert lines[0].split()[:3] == ["worker", "4321", "4322"]
    assert lines[2:] == ["life", "x", "life"], "what the start task left survives a reboot"
    files = [
        live.service.log_file,
        *live.data_dir.glob("store/*"),
        *live.data_dir.glob("nodes/*/machine.json"),
    ]
    written = "".join(file.read_bytes().decode("latin-1") for file in files if file.is_file())
    assert PASSWORD not in written
    assert json.loads(next(live.data_dir.glob("nodes/*/machine.json")).read_text())["name"]
