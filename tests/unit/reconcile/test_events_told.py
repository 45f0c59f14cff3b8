"""What the journal tells of tasks, as the documents that clients read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolwright.domain.auto_pool import JOB, AutoPoolRow
from poolwright.domain.autoscale import Autoscale
from poolwright.domain.clock import MINUTE
from poolwright.domain.job_tasks import ManagerTask
from poolwright.domain.pool import StartTask
from poolwright.domain.states import AllocationState, JobState, TaskState
from poolwright.domain.task import TaskSpec
from poolwright.wire.convert.event import show_event
from tests.unit.decide import parts
from tests.unit.reconcile.test_gangs import Gangs, coordinated
from tests.unit.reconcile.test_job_nodes import Prepared
from tests.unit.reconcile.test_pools_and_nodes import answer, growing, made
from tests.unit.reconcile.world import ACCOUNT, World, exited


def told(world: World, kind: str = "task.*") -> list[dict[str, Any]]:
    """Every event of these kinds so far."""
    entries = world.store.read_now(lambda tx: tx.journal.after(0, 10_000, 1000, ACCOUNT, [kind]))
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


def test_a_gang_is_told_with_its_number_of_instances() -> None:
    world = Gangs(nodes=2)
    world.gang("a", 2, max_retries=0)
    starts = world.look().starts
    (primary,) = world.hear(*[coordinated(spec) for spec in starts]).starts
    world.hear(exited(primary, 1))
    events = told(world)
    assert [event["eventName"] for event in events] == [
        "TaskStartEvent",
        "TaskCompleteEvent",
        "TaskFailEvent",
    ]
    assert {event["properties"]["multiInstanceSettings"]["numberOfInstances"] for event in events} == {2}


def test_tasks_beside_the_jobs_own_are_told_as_special_ones_only() -> None:
    world = Prepared(max_retries=1)
    world.add("a")
    (first,) = world.look().starts
    world.hear(exited(first, 7))
    (again,) = world.look().starts
    world.hear(exited(again))
    (event,) = told(world, "task.special")
    assert event["eventName"] == "SpecialTaskEvent", "told once, when it has ended for good"
    run = event["properties"]["executionInfo"]
    assert {run.pop("startTime"), run.pop("endTime")} != {None}
    assert event["properties"] == {
        "jobId": "j",
        "taskName": "jobpreparation",
        "taskType": "JobPrep",
        "nodeInfo": {"poolId": "p", "nodeId": "n0"},
        "executionInfo": {"exitCode": 0, "result": "success", "retryCount": 1},
    }
    (task,) = world.look().starts
    world.hear(exited(task))
    world.set_job(state=JobState.TERMINATING)
    (release,) = world.look_at_job().starts
    world.hear(exited(release, 3))
    last = told(world, "task.special")[-1]["properties"]
    assert (last["taskType"], last["taskName"]) == ("JobRelease", "jobrelease")
    assert last["executionInfo"]["schedulingError"]["code"] == "FailureExitCode"


def test_a_start_task_is_a_special_one_without_a_job() -> None:
    world = growing(1, StartTask("begin"))
    work = world.look()
    (spec,) = answer(world, work, *made(work)).starts
    world.hear(exited(spec))
    (event,) = told(world)
    assert (event["eventName"], event["properties"]["taskType"]) == ("SpecialTaskEvent", "StartTask")
    assert event["properties"]["jobId"] == ""
    (node,) = world.store.read_now(lambda tx: tx.nodes.of_pool(ACCOUNT, "p"))
    assert event["properties"]["nodeInfo"] == {"poolId": "p", "nodeId": node.id}


def test_a_task_whose_node_failed_its_preparation_could_not_be_scheduled() -> None:
    world = Prepared()
    world.add("a")
    (prep,) = world.look().starts
    world.hear(exited(prep, 1))
    assert world.task("a").state is TaskState.ACTIVE
    special, failed = told(world)
    assert (special["eventName"], failed["eventName"]) == ("SpecialTaskEvent", "TaskScheduleFailEvent")
    said = failed["properties"]
    assert (said["jobId"], said["id"], said["nodeInfo"]) == ("j", "a", {"poolId": "p", "nodeId": "n0"})
    assert said["schedulingError"]["code"] == "JobPreparationTaskFailed"
    assert {"systemTaskVersion", "requiredSlots", "constraints", "multiInstanceSettings"} <= set(said)


@pytest.mark.parametrize("auto", [False, True])
def test_both_ends_of_a_resize_say_whose_pool_it_is_and_whether_it_grows(auto: bool) -> None:
    world = World(nodes=1)
    if auto:
        world.write(
            lambda tx: tx.auto_pools.insert(AutoPoolRow(ACCOUNT, "p", JOB, "j", False, world.clock.at))
        )
    formula = "$TargetDedicatedNodes = 2; $NodeDeallocationOption = taskcompletion;"
    world.set_pool(autoscale=Autoscale(formula, 5 * MINUTE, due_at=world.clock.at))
    work = world.look()
    (start,) = told(world, "pool.resize.start")
    assert (start["properties"]["isAutoPool"], start["properties"]["nodeDeallocationOption"]) == (
        auto,
        "invalid",
    )
    answer(world, work, *made(work))
    world.look()
    assert world.pool().allocation is AllocationState.STEADY
    (complete,) = told(world, "pool.resize.complete")
    said = complete["properties"]
    assert (said["isAutoPool"], said["nodeDeallocationOption"], said["resultCode"]) == (
        auto,
        "invalid",
        "Success",
    )
    assert (said["currentDedicatedNodes"], said["targetDedicatedNodes"]) == (2, 2)
    world.set_pool(autoscale=Autoscale(formula.replace("2", "1"), 5 * MINUTE, due_at=world.clock.at))
    world.look()
    assert told(world, "pool.resize.start")[-1]["properties"]["nodeDeallocationOption"] == "taskcompletion"


def test_a_job_manager_is_told_as_one() -> None:
    world = World(nodes=2)
    world.set_job(spec=replace(parts.job().spec, manager=ManagerTask("boss", TaskSpec("x"), exclusive=False)))
    world.add("boss", "a")
    world.look()
    kinds = {event["properties"]["id"]: event["properties"]["taskType"] for event in told(world)}
    assert kinds == {"boss": "JobManager", "a": "User"}
