from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.decide import explain, explain_task
from poolwright.decide.explain_task import TaskSituation
from poolwright.decide.preempt import PREEMPT_INTERVAL, Beat, holds_back, under_pressure, victim
from poolwright.decide.snapshot import PoolSnapshot
from poolwright.domain.clock import FOREVER
from poolwright.domain.job_tasks import ManagerTask
from poolwright.domain.limits import PRESSURE_MEMORY_MIB
from poolwright.domain.node import Drain, Failure, NodeError
from poolwright.domain.pool import Resize
from poolwright.domain.states import (
    AllocationState,
    DeallocationOption,
    ExecutionResult,
    JobState,
    NodeState,
    SchedulingState,
    TaskState,
)
from poolwright.domain.task import TaskSpec
from tests.unit.decide.parts import NOW, job, node, pool, spec, task


def test_pressure_takes_the_least_used_low_priority_node_now_and_then() -> None:
    rows = [node("d"), node("a", dedicated=False), node("b", dedicated=False)]
    low = Beat(NOW, PRESSURE_MEMORY_MIB - 1, 4096)
    assert under_pressure(low)
    assert not under_pressure(Beat(NOW, PRESSURE_MEMORY_MIB, 4096))
    chosen = victim(rows, {"a": 1}, 0, NOW)
    assert chosen is not None
    assert chosen.id == "b"
    assert victim(rows, {}, NOW - PREEMPT_INTERVAL + 1, NOW) is None
    assert victim(rows[:1], {}, 0, NOW) is None


def test_return_needs_more_room_than_the_limit() -> None:
    assert holds_back(Beat(NOW, PRESSURE_MEMORY_MIB + 1, 4096))
    assert holds_back(Beat(NOW, 2 * PRESSURE_MEMORY_MIB, 4096)) is None
    assert holds_back(None) is None


ONE = pool(1, allocation=AllocationState.STEADY)
DRAIN = Drain("remove", DeallocationOption.TASK_COMPLETION, NOW)


@pytest.mark.parametrize(
    ("code", "situation"),
    [
        ("JobDisabled", TaskSituation(task(), job(state=JobState.DISABLED), ONE, [node()])),
        ("MaxParallelTasks", TaskSituation(task(), job(max_parallel_tasks=2), ONE, [node()], {}, 2)),
        ("PoolNotFound", TaskSituation(task(), job(), None)),
        ("NeedsMoreSlots", TaskSituation(task(required_slots=3), job(), ONE, [node()])),
        ("PoolEmpty", TaskSituation(task(), job(), ONE)),
        ("NoUsableNode", TaskSituation(task(), job(), ONE, [node(state=NodeState.UNUSABLE)])),
        ("SlotsTaken", TaskSituation(task(), job(), ONE, [node()], {"n1": 1})),
        ("AboutToRun", TaskSituation(task(), job(), ONE, [node()])),
    ],
)
def test_every_wait_of_a_task_has_its_reason(code: str, situation: TaskSituation) -> None:
    said = explain_task.task(situation)
    assert said.code == code
    assert said.message
    assert said.next_step


def test_the_end_of_a_task_tells_what_went_wrong() -> None:
    over = replace(task(), state=TaskState.COMPLETED, node="n1", exit_code=0, result=ExecutionResult.SUCCESS)
    said = explain_task.task(TaskSituation(over, job(), ONE))
    assert (said.code, said.message) == ("TaskCompleted", "The task succeeded on node n1 with exit code 0.")
    exited = replace(
        over,
        exit_code=7,
        result=ExecutionResult.FAILURE,
        retry_count=2,
        failure=Failure("usererror", "FailureExitCode", "The exit code is a failure", (("Message", "7"),)),
    )
    said = explain_task.task(TaskSituation(exited, job(), ONE))
    assert said.code == "TaskFailed"
    assert said.message == (
        "The task failed on node n1 with exit code 7, retried 2 times. FailureExitCode: The exit code is a failure."
    )
    assert "stderr.txt" in said.next_step
    assert said.evidence == (("Message", "7"),)
    launch = replace(
        exited,
        exit_code=None,
        retry_count=0,
        failure=Failure("usererror", "CommandLaunchFailed", "the program '/x' does not exist"),
    )
    said = explain_task.task(TaskSituation(launch, job(), ONE))
    assert "CommandLaunchFailed: the program '/x' does not exist" in said.message
    assert said.next_step == "Mend what is named, then reactivate the task."
    said = explain_task.task(TaskSituation(replace(launch, failure=None, node=None), job(), ONE))
    assert (said.code, said.message) == ("TaskFailed", "The task failed.")


def test_a_manager_that_needs_a_dedicated_node_waits_for_none_but_those() -> None:
    """Where its preparation failed on the only one, room on a low-priority node is no reason to hope."""
    boss = job(manager=ManagerTask("t", TaskSpec("true"), low_priority=False))
    rows = [node("n1"), node("n2", dedicated=False)]
    barred = TaskSituation(task(), boss, ONE, rows, barred=frozenset({"n1"}))
    assert explain_task.task(barred).code == "JobPreparationTaskFailed"
    assert explain_task.task(replace(barred, nodes=rows[1:])).code == "NeedsDedicatedNode"
    assert explain_task.task(replace(barred, barred=frozenset())).code == "AboutToRun"


@pytest.mark.parametrize("state", list(NodeState))
def test_every_state_of_a_node_is_explained(state: NodeState) -> None:
    said = explain.node(node(state=state), ONE)
    assert said.message
    assert (said.code == "NodeReady") == (state in (NodeState.IDLE, NodeState.RUNNING))


def test_a_node_says_why_it_takes_no_tasks() -> None:
    assert explain.node(node(drain=DRAIN), ONE).code == "NodeDraining"
    assert explain.node(node(scheduling=SchedulingState.DISABLED), ONE).code == "SchedulingDisabled"
    assert explain.node(node(), ONE, 1).code == "NodeFull"
    broken = node(state=NodeState.UNUSABLE, errors=(NodeError("MachineLost", "it crashed"),))
    assert explain.node(broken, ONE).message == "it crashed"


def test_no_usable_node_names_the_commonest_cause() -> None:
    rows = [
        node("a", NodeState.UNUSABLE),
        node("b", NodeState.START_TASK_FAILED),
        node("c", NodeState.START_TASK_FAILED),
    ]
    said = explain_task.task(TaskSituation(task(), job(), replace(ONE, spec=spec()), rows))
    assert said.evidence[0] == ("StartTaskFailed", "2")


def test_a_steady_pool_says_so() -> None:
    assert explain.resize(PoolSnapshot(ONE, (node(),), NOW)).code == "PoolSteady"
    low = pool(0, 1, allocation=AllocationState.STEADY)
    assert explain.resize(PoolSnapshot(low, (), NOW)).code == "SeekingLowPriority"


def test_the_end_of_a_resize_is_told_as_a_time_and_only_of_one_under_way() -> None:
    grows = explain.resize(PoolSnapshot(pool(1), (), now=NOW))
    assert dict(grows.evidence)["resizeEndsAt"] == "2023-11-14T22:28:20Z"
    assert "resizeEndsAt" not in dict(explain.resize(PoolSnapshot(ONE, (), now=NOW)).evidence)
    endless = replace(pool(1), resize=Resize(NOW, FOREVER))
    assert dict(explain.resize(PoolSnapshot(endless, (), now=NOW)).evidence)["resizeEndsAt"].startswith(
        "9999"
    )
