"""The client of 2024 (azure-batch 14: another generator, another api-version), unmodified, in its own process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.support.older import Older, Refused, running
from tests.unit.identity.parts import ACCOUNT, PRIMARY
from tests.wire.batch.conftest import OLD_VERSION, Live


@pytest.fixture(scope="module")
def older(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Older]:
    log = tmp_path_factory.mktemp("older") / "errors.log"
    with running(live.url, str(live.tls.ca_file), ACCOUNT, PRIMARY, log) as client:
        yield client


def test_it_is_the_older_client(older: Older) -> None:
    assert older("versions") == {"package": "14.2.0", "api": OLD_VERSION}
    assert older("images")[0].startswith("batch.node.")


def test_a_pool_from_creation_to_deletion(live: Live, older: Older) -> None:
    older("create_pool", "older")
    made = older("get_pool", "older")
    assert (made["state"], made["allocation"], made["targets"]) == ("active", "resizing", [2, 0])
    assert (made["slots"], made["timeout_s"], made["waits"]) == (2, 600.0, True)
    assert (made["mode"], made["created"]) == (["classic", "simplified"], datetime.now(UTC).year)
    with pytest.raises(Refused) as twice:
        older("create_pool", "Older")
    assert (twice.value.status, twice.value.code) == (409, "PoolExists")
    older("patch_pool", "older", "stage", "two")
    assert older("get_pool", "older")["metadata"] == {"stage": "two"}
    older("replace_pool_properties", "older")
    emptied = older("get_pool", "older")
    assert (emptied["metadata"], emptied["waits"]) == ({}, None)
    with pytest.raises(Refused) as busy:
        older("resize_pool", "older", 1, 1)
    assert (busy.value.status, busy.value.code) == (409, "PoolBeingResized")
    older("stop_resize", "older")
    assert older("get_pool", "older")["allocation"] == "stopping"
    live.settle("older")
    older("resize_pool", "older", 1, 3)
    assert older("get_pool", "older")["targets"] == [1, 3]
    live.settle("older")
    assert "$TargetDedicatedNodes=2" in older("autoscale", "older")
    older("create_pool", "older-2")
    assert older("pools", "startswith(id,'older')") == ["older", "older-2"], "two pages"
    assert older("delete_pool", "older-2") == "deleting"
    assert (older("pool_exists", "older"), older("pool_exists", "nowhere")) == (True, False)
    with pytest.raises(Refused) as missing:
        older("get_pool", "nowhere")
    assert (missing.value.status, missing.value.code) == (404, "PoolNotFound")


def test_nodes(live: Live, older: Older) -> None:
    older("create_pool", "older-nodes")
    first, second = (live.add_node("older-nodes", number) for number in (1, 2))
    assert older("nodes", "older-nodes") == {node.id: ["idle", "enabled"] for node in (first, second)}
    assert older("node_counts", "older-nodes") == [2, 2]
    assert older("node_user", "older-nodes", first.id) == ["127.0.0.1", 50_022]
    assert older("order_node", "older-nodes", second.id, "disable_scheduling")[1] == "disabled"
    assert older("order_node", "older-nodes", second.id, "enable_scheduling") == ["idle", "enabled"]
    assert older("order_node", "older-nodes", first.id, "reboot") == ["rebooting", "enabled"]
    with pytest.raises(Refused) as again:
        older("order_node", "older-nodes", first.id, "reboot")
    assert again.value.code == "NodeBeingRebooted"
    with pytest.raises(Refused) as never:
        older("order_node", "older-nodes", second.id, "reimage")
    assert (never.value.status, never.value.code) == (409, "OperationNotValidOnNode")
    live.settle("older-nodes")
    older("remove_nodes", "older-nodes", [second.id])
    assert older("get_pool", "older-nodes")["targets"] == [1, 0]
    (live.files.root / second.machine / "startup" / "wd").mkdir(parents=True)
    assert older("node_files", "older-nodes", second.id, "startswith(name,'startup/')") == ["startup/wd"]


def test_jobs_tasks_and_files(live: Live, older: Older) -> None:
    older("create_pool", "older-works")
    node = live.add_node("older-works", 1)
    older("create_job", "older-job", "older-works")
    assert older("job", "older-job") == ["active", 0]
    assert set(older("create_tasks", "older-job", 120)) == {"success"}, "two collections"
    assert older("task_counts", "older-job") == [121, 0, 0]
    assert older("task", "older-job", "first") == ["active", None, 7]
    with pytest.raises(Refused) as unborn:
        older("files", "older-job", "first")
    assert (unborn.value.status, unborn.value.code) == (409, "TaskFilesUnavailable")
    live.place("older-job", "first", node)
    directory = live.files.root / node.machine / "workitems" / "older-job" / "job-1" / "first"
    (directory / "wd").mkdir(parents=True)
    (directory / "stdout.txt").write_text("a result")
    (directory / "wd" / "frame.png").write_bytes(b"\x89PNG")
    assert older("task", "older-job", "first")[:2] == ["running", node.id]
    seen = older("files", "older-job", "first")
    assert seen == {"names": ["stdout.txt", "wd/frame.png"], "whole": "a result", "part": "res", "size": 8}
    assert not (directory / "stdout.txt").exists()
    assert older("end_task", "older-job", "t5") == ["failure", "TaskEnded", "usererror"]
    states = older("change_job", "older-job")
    assert states[0] in ("disabling", "disabled")
    assert states[1] in ("enabling", "active")
    assert states[2] == "terminating"
    assert older("schedule", "older-schedule", "older-works") == ["active", "disabled"]


def test_errors_name_what_is_wrong(older: Older) -> None:
    with pytest.raises(Refused) as bad:
        older("create_pool", "no such id!")
    assert (bad.value.status, bad.value.code) == (400, "InvalidPropertyValue")
    assert bad.value.values["PropertyName"] == "id"
    with pytest.raises(Refused) as nowhere:
        older("create_tasks", "no-such-job", 1)
    assert (nowhere.value.status, nowhere.value.code) == (404, "JobNotFound")
