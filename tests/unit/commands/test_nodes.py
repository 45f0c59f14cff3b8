"""Nodes: each rule once, and no trace of what was refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from poolwright.commands import jobs, nodes, tasks
from poolwright.domain.errors import ServiceError
from poolwright.domain.node import Drain, Logins, Node, NodeError, NodeUser
from poolwright.domain.states import DeallocationOption, NodeState, SchedulingState
from tests.unit.commands.conftest import START, A, World
from tests.unit.commands.values import (
    ANY,
    JOB,
    add_node,
    deleting_pool,
    execution,
    new_task,
    steady_pool,
)

REQUEUE, TERMINATE, COMPLETION, RETAINED = DeallocationOption


@pytest.fixture(autouse=True)
def _pool(world: World) -> None:
    steady_pool(world)
    world.woken()


def _node(world: World, id: str = "n1") -> Node:
    return world.read(lambda tx: nodes.get(tx, A, "P1", id))


def test_finding_nodes(world: World) -> None:
    add_node(world, "N1")
    add_node(world, "n2")
    assert _node(world, "n1").id == "N1"
    assert [n.id for n in world.read(lambda tx: nodes.page(tx, A, "p1", "n1", 5))] == ["n2"]
    world.refused("NodeNotFound", nodes.enable_scheduling, "P1", "n9")
    world.refused("PoolNotFound", nodes.enable_scheduling, "P9", "n1")


@pytest.mark.parametrize("option", [None, REQUEUE, TERMINATE])
def test_a_reboot_that_waits_for_nothing_shows_at_once(
    world: World, option: DeallocationOption | None
) -> None:
    add_node(world, "n1", state=NodeState.RUNNING)
    after = world.do(nodes.reboot, "P1", "n1", option)
    assert after == _node(world)
    assert after.state is NodeState.REBOOTING
    assert after.drain == Drain("reboot", option or REQUEUE, START)
    assert after.history[-1][1] == "rebooting"
    assert world.kinds("node/P1/n1") == ["node.reboot"]
    assert world.woken() == {("pool", "p1")}


def test_a_reboot_waits_for_tasks(world: World) -> None:
    add_node(world, "n1", state=NodeState.RUNNING)
    world.do(jobs.create, "J", JOB, b"{}")
    task = world.do(tasks.add, "J", new_task("t"))
    world.write(lambda tx: tx.executions.insert_many([execution(task)]))
    after = world.do(nodes.reboot, "P1", "n1", COMPLETION)
    assert (after.state, after.drain) == (NodeState.RUNNING, Drain("reboot", COMPLETION, START))
    world.refused("NodeBeingRebooted", nodes.reboot, "P1", "n1", REQUEUE)
    add_node(world, "n2")
    assert world.do(nodes.reboot, "P1", "n2", COMPLETION).state is NodeState.REBOOTING
    add_node(world, "n3")
    assert world.do(nodes.reboot, "P1", "n3", RETAINED).state is NodeState.IDLE


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (NodeState.CREATING, "NodeBeingCreated"),
        (NodeState.STARTING, "NodeBeingStarted"),
        (NodeState.WAITING_FOR_START_TASK, "NodeBeingStarted"),
        (NodeState.REBOOTING, "NodeBeingRebooted"),
        (NodeState.REIMAGING, "NodeBeingReimaged"),
        (NodeState.UNKNOWN, "NodeStateUnusable"),
        (NodeState.LEAVING_POOL, "OperationInvalidForCurrentState"),
        (NodeState.PREEMPTED, "OperationInvalidForCurrentState"),
    ],
)
def test_states_that_refuse_a_reboot(world: World, state: NodeState, code: str) -> None:
    add_node(world, "n1", state=state)
    world.refused(code, nodes.reboot, "P1", "n1", None)


@pytest.mark.parametrize("state", [NodeState.UNUSABLE, NodeState.START_TASK_FAILED, NodeState.OFFLINE])
def test_states_that_a_reboot_may_heal(world: World, state: NodeState) -> None:
    add_node(world, "n1", state=state)
    assert world.do(nodes.reboot, "P1", "n1", None).state is NodeState.REBOOTING


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (nodes.reboot, [None]),
        (nodes.disable_scheduling, [None]),
        (nodes.enable_scheduling, []),
        (nodes.preempt, []),
    ],
)
def test_a_node_on_its_way_out_is_left_alone(world: World, command: object, arguments: list[None]) -> None:
    node = add_node(world, "n1", dedicated=False)
    world.write(lambda tx: tx.nodes.update(replace(node, drain=Drain("remove", COMPLETION, 1))))
    assert callable(command)
    world.refused("OperationInvalidForCurrentState", command, "P1", "n1", *arguments)
    deleting_pool(world, "P2")
    add_node(world, "n2", dedicated=False, pool="P2")
    world.refused("PoolBeingDeleted", command, "P2", "n2", *arguments)


def test_scheduling_off_and_on(world: World) -> None:
    node = add_node(world, "n1")
    world.refused("NodeAlreadyInTargetSchedulingState", nodes.enable_scheduling, "P1", "n1")
    world.refused("InvalidPropertyValue", nodes.disable_scheduling, "P1", "n1", RETAINED)
    off = world.do(nodes.disable_scheduling, "P1", "n1", TERMINATE)
    assert (off.scheduling, off.drain) == (SchedulingState.DISABLED, Drain("offline", TERMINATE, START))
    assert off.state is node.state
    world.refused("NodeAlreadyInTargetSchedulingState", nodes.disable_scheduling, "P1", "n1", None)
    world.write(lambda tx: tx.nodes.update(replace(off, state=NodeState.OFFLINE)))
    on = world.do(nodes.enable_scheduling, "P1", "n1")
    assert (on.scheduling, on.drain, on.state) == (SchedulingState.ENABLED, None, NodeState.IDLE)
    assert world.kinds("node/P1/n1") == ["node.scheduling.disable", "node.scheduling.enable"]


def test_scheduling_leaves_a_pending_reboot(world: World) -> None:
    node = add_node(world, "n1")
    reboot = Drain("reboot", COMPLETION, 1)
    world.write(lambda tx: tx.nodes.update(replace(node, drain=reboot)))
    assert world.do(nodes.disable_scheduling, "P1", "n1", None).drain == reboot
    assert world.do(nodes.enable_scheduling, "P1", "n1").drain == reboot


def test_preempt(world: World) -> None:
    add_node(world, "n1", dedicated=False, state=NodeState.RUNNING)
    after = world.do(nodes.preempt, "P1", "n1")
    assert (after.state, after.history[-1][2]) == (NodeState.PREEMPTED, "preempted by the operator")
    assert world.woken() == {("pool", "p1")}
    world.refused("OperationInvalidForCurrentState", nodes.preempt, "P1", "n1")
    add_node(world, "d1")
    world.refused("OperationNotValidOnNode", nodes.preempt, "P1", "d1")


def test_history_is_bounded(world: World) -> None:
    node = add_node(world, "n1")
    long = tuple((n, "idle", "x") for n in range(30))
    world.write(lambda tx: tx.nodes.update(replace(node, history=long)))
    after = world.do(nodes.reboot, "P1", "n1", None)
    assert len(after.history) == 30
    assert after.history[-1] == (START, "rebooting", "reboot by request")
    assert ANY.if_match is None


@pytest.mark.parametrize(
    ("order", "state"), [(nodes.reimage, NodeState.REIMAGING), (nodes.deallocate, NodeState.DEALLOCATING)]
)
def test_orders_that_end_a_life_show_at_once_or_wait(
    world: World, order: Callable[..., Node], state: NodeState
) -> None:
    world.settings = replace(world.settings, allow_reimage=True)
    add_node(world, "n1", state=NodeState.RUNNING)
    assert world.do(order, "P1", "n1", None).state is state
    add_node(world, "n2", state=NodeState.RUNNING)
    waiting = world.do(order, "P1", "n2", RETAINED)
    assert waiting.state is NodeState.RUNNING
    assert waiting.drain is not None
    assert waiting.drain.option is RETAINED
    add_node(world, "n3", state=NodeState.CREATING)
    world.refused("NodeBeingCreated", order, "P1", "n3", None)
    world.refused("NodeNotFound", order, "P1", "n9", None)


def test_one_order_at_a_time(world: World) -> None:
    world.settings = replace(world.settings, allow_reimage=True)
    add_node(world, "n1", state=NodeState.RUNNING)
    world.do(nodes.deallocate, "P1", "n1", RETAINED)
    world.refused("OperationInvalidForCurrentState", nodes.reboot, "P1", "n1", None)
    add_node(world, "n2", state=NodeState.RUNNING)
    world.do(nodes.reimage, "P1", "n2", RETAINED)
    world.refused("NodeBeingReimaged", nodes.deallocate, "P1", "n2", None)


def test_reimage_is_refused_unless_the_operator_allows_it(world: World) -> None:
    add_node(world, "n1", state=NodeState.IDLE)
    error = world.refused("OperationNotValidOnNode", nodes.reimage, "P1", "n1", None)
    assert "--allow-reimage" in dict(error.values)["Reason"]


def test_only_a_deallocated_node_is_started(world: World) -> None:
    row = add_node(world, "n1", state=NodeState.DEALLOCATED)
    world.refused("OperationInvalidForCurrentState", nodes.deallocate, "P1", "n1", None)
    world.refused("OperationInvalidForCurrentState", nodes.reboot, "P1", "n1", None)
    after = world.do(nodes.start, "P1", "n1")
    assert (after.state, after.fence) == (NodeState.STARTING, row.fence + 1)
    world.refused("NodeBeingStarted", nodes.start, "P1", "n1")
    add_node(world, "n2", state=NodeState.IDLE)
    world.refused("OperationInvalidForCurrentState", nodes.start, "P1", "n2")
    add_node(world, "n3", state=NodeState.DEALLOCATED, dedicated=False)
    world.refused("OperationInvalidForCurrentState", nodes.preempt, "P1", "n3")


def test_users_go_with_the_disk_of_a_preempted_node(world: World) -> None:
    logins = Logins((NodeUser("visitor", False, START + 1),), 1)
    add_node(world, "n1", dedicated=False, logins=logins)
    assert world.do(nodes.preempt, "P1", "n1").logins == Logins()


_FILES_REFUSED = {
    NodeState.CREATING: "NodeNotReady",
    NodeState.REBOOTING: "NodeNotReady",
    NodeState.REIMAGING: "NodeNotReady",
    NodeState.DEALLOCATING: "NodeNotReady",
    NodeState.DEALLOCATED: "NodeNotReady",
    NodeState.PREEMPTED: "NodeNotReady",
    NodeState.UNUSABLE: "NodeStateUnusable",
}


@pytest.mark.parametrize("state", list(NodeState))
def test_files_are_served_where_a_machine_may_be(world: World, state: NodeState) -> None:
    add_node(world, "n1", state=state, booted_at=1)
    code = _FILES_REFUSED.get(state)
    if code is None:
        assert world.read(lambda tx: nodes.with_files(tx, A, "P1", "n1")).state is state
        return
    with pytest.raises(ServiceError) as refused:
        world.read(lambda tx: nodes.with_files(tx, A, "P1", "n1"))
    assert refused.value.code == code


def test_the_files_of_a_running_machine_that_is_of_no_use_say_why(world: World) -> None:
    failed = NodeError("MountConfigurationError", "a mount failed")
    add_node(world, "n1", state=NodeState.UNUSABLE, booted_at=1, errors=(failed,))
    assert world.read(lambda tx: nodes.with_files(tx, A, "P1", "n1")).errors == (failed,)
    lost = NodeError("MachineLost", "its machine is gone")
    add_node(world, "n2", state=NodeState.UNUSABLE, booted_at=1, errors=(lost,))
    with pytest.raises(ServiceError) as refused:
        world.read(lambda tx: nodes.with_files(tx, A, "P1", "n2"))
    assert refused.value.code == "NodeStateUnusable"


def test_an_unusable_node_refuses_with_its_own_code(world: World) -> None:
    add_node(world, "n1", state=NodeState.UNUSABLE)
    world.refused("NodeStateUnusable", nodes.deallocate, "P1", "n1", None)
