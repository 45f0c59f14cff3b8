"""What the journal tells of tasks, as the documents that clients read."""

from __future__ import annotations

from typing import Any

from poolwright.wire.convert.event import show_event
from tests.unit.reconcile.world import ACCOUNT, World, exited


def told(world: World) -> list[dict[str, Any]]:
    """Every event of tasks so far."""
    entries = world.store.read_now(lambda tx: tx.journal.after(0, 10_000, 1000, ACCOUNT, ["task.*"]))
    return [show_event(entry) for entry in entries]


def test_a_task_that_succeeds_is_started_and_completed() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    world.hear(exited(spec))
    start, complete = told(world)
    assert (start["eventName"], complete["eventName"]) == ("TaskStartEvent", "TaskCompleteEvent")
    node = {"poolId": "p", "nodeId": "n0"}
    assert start["properties"] == {
        "jobId": "j",
        "id": "a",
        "taskType": "User",
        "systemTaskVersion": 0,
        "requiredSlots": 1,
        "nodeInfo": node,
        "multiInstanceSettings": {"numberOfInstances": 1},
        "constraints": {"maxTaskRetryCount": 1},
        "executionInfo": {"retryCount": 0},
    }
    run = complete["properties"]["executionInfo"]
    assert (run["exitCode"], run["result"], run["retryCount"], run["requeueCount"]) == (0, "success", 0, 0)
    assert {"startTime", "endTime"} <= set(run)
    assert "schedulingError" not in run


def test_a_task_that_fails_completes_and_fails() -> None:
    world = World(nodes=1)
    world.add("a", max_retries=0)
    (spec,) = world.look().starts
    world.hear(exited(spec, 3))
    names = [event["eventName"] for event in told(world)]
    assert names == ["TaskStartEvent", "TaskCompleteEvent", "TaskFailEvent"]
    run = told(world)[-1]["properties"]["executionInfo"]
    assert (run["exitCode"], run["schedulingError"]["code"]) == (3, "FailureExitCode")


def test_a_task_that_is_tried_again_is_requeued() -> None:
    world = World(nodes=1)
    world.add("a", max_retries=1)
    (spec,) = world.look().starts
    reaction = world.hear(exited(spec, 3))
    world.hear(exited(reaction.starts[0]))
    names = [event["eventName"] for event in told(world)]
    assert names == ["TaskStartEvent", "TaskRequeueEvent", "TaskStartEvent", "TaskCompleteEvent"]
    assert told(world)[-1]["properties"]["executionInfo"]["retryCount"] == 1


def test_an_operator_may_do_without_what_comes_with_every_task() -> None:
    world = World(nodes=1, task_facts=False)
    world.add("a", "b", max_retries=0)
    (spec,) = world.look().starts
    reaction = world.hear(exited(spec))
    world.hear(exited(reaction.starts[0], 3))
    assert [event["eventName"] for event in told(world)] == ["TaskFailEvent"]
