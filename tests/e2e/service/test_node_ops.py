"""Orders to single nodes: what is kept and what goes."""

from __future__ import annotations

from typing import Any

import pytest
from azure.batch import models as batch

# The client's own package forgets to export these.
from azure.batch.models._models import BatchNodeDeallocateOptions as Deallocate
from azure.batch.models._models import BatchNodeReimageOptions as Reimage

from tests.e2e.service.live import POLL, UNTIL_LET_GO, Live


def _node(live: Live) -> Any:
    return next(iter(live.batch.list_nodes("pool")))


def _touch_root(live: Live, id: str) -> None:
    """Mark the node's root outside its temporary disk, as an administrator."""
    admin = batch.UserIdentity(auto_user=batch.AutoUserSpecification(elevation_level="admin"))
    live.task(id, "touch /opt/mark", user_identity=admin)
    assert live.wait_task(id, "completed")["executionInfo"]["exitCode"] == 0


def _root_is_marked(live: Live, id: str) -> bool:
    live.task(id, "test -e /opt/mark")
    code = live.wait_task(id, "completed")["executionInfo"]["exitCode"]
    assert code in (0, 1)
    return bool(code == 0)


def _start() -> batch.BatchStartTask:
    return batch.BatchStartTask(
        command_line="/bin/sh -c 'echo life >>$AZ_BATCH_NODE_SHARED_DIR/ledger'", wait_for_success=True
    )


@pytest.mark.one_service
def test_a_deallocated_node_keeps_its_storage_and_starts_again(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1, start_task=_start())
    live.job()
    _touch_root(live, "mark")
    node = str(_node(live)["id"])
    live.batch.begin_deallocate_node(
        "pool", node, Deallocate(node_deallocate_option="requeue"), **POLL
    ).result()
    stopped = _node(live)
    assert stopped["state"] == "deallocated"
    assert "ipAddress" not in stopped
    live.task("waits", "true")
    assert live.batch.get_pool("pool")["currentDedicatedNodes"] == 1
    assert "stopped by request" in live.why("pools", "pool", "nodes", node)
    live.kill_service()
    live.start()
    assert live.states() == {"deallocated": 1}
    assert live.state("waits") == "active"
    live.batch.begin_start_node("pool", node, **POLL).result()
    live.wait_task("waits", "completed")
    assert live.ledger() == ["life", "life"], "the start task ran anew, on the same temporary disk"
    assert _root_is_marked(live, "look")


@pytest.mark.one_service
def test_a_node_is_deallocated_when_its_tasks_are_done(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task("t", UNTIL_LET_GO)
    live.wait_task("t", "running")
    node = str(_node(live)["id"])
    live.batch.begin_deallocate_node(
        "pool", node, Deallocate(node_deallocate_option="taskcompletion"), **POLL
    )
    live.wait_draining(node)
    live.let_go()
    live.wait_nodes("pool", {"deallocated": 1})
    task = live.batch.get_task("job", "t")
    assert (task["state"], task["executionInfo"]["exitCode"]) == ("completed", 0)
    live.batch.begin_resize_pool(
        "pool", batch.BatchPoolResizeOptions(target_dedicated_nodes=0), **POLL
    ).result()
    assert list(live.batch.list_nodes("pool")) == []


def test_a_reimaged_node_has_nothing_of_its_former_life(live: Live) -> None:
    live.start_again("--allow-reimage")
    live.idle_pool(dedicated=1, slots=1, start_task=_start())
    live.job()
    _touch_root(live, "mark")
    assert _root_is_marked(live, "before")
    node = str(_node(live)["id"])
    live.batch.begin_reimage_node("pool", node, Reimage(node_reimage_option="requeue"), **POLL).result()
    live.wait_nodes("pool", {"idle": 1})
    assert str(_node(live)["id"]) == node
    assert live.ledger() == ["life"], "the temporary disk is a new one"
    assert not _root_is_marked(live, "after")


@pytest.mark.one_service
@pytest.mark.parametrize(
    ("option", "state", "requeues", "failure"),
    [
        ("requeue", "active", 1, None),
        ("terminate", "completed", 0, "TaskEnded"),
        ("taskcompletion", "completed", 0, None),
    ],
)
def test_what_runs_when_scheduling_is_disabled(
    live: Live, option: str, state: str, requeues: int, failure: str | None
) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task("t", UNTIL_LET_GO)
    live.wait_task("t", "running")
    node = str(_node(live)["id"])
    how = batch.BatchNodeDisableSchedulingOptions(node_disable_scheduling_option=option)
    live.batch.disable_node_scheduling("pool", node, how)
    if option == "taskcompletion":
        seen = _node(live)
        assert (seen["state"], seen["schedulingState"]) == ("running", "disabled")
        live.task("opens", "touch $AZ_BATCH_NODE_SHARED_DIR/go")
        assert live.state("opens") == "active", "it gets no more tasks"
        live.let_go()
    live.wait_nodes("pool", {"offline": 1})
    counts = next(iter(live.batch.list_pool_node_counts())).dedicated
    assert counts is not None
    assert (counts.offline, counts.total) == (1, 1)
    told = live.wait_task("t", state)["executionInfo"]
    assert told["requeueCount"] == requeues
    assert (told.get("failureInfo") or {}).get("code") == failure
