from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.decide.node_events import (
    Booted,
    awaits_machine,
    deallocated,
    joined,
    machine_gone,
    next_life,
    put_off,
)
from poolwright.decide.node_life import Act, tick
from poolwright.decide.snapshot import Held, ImageMissing, PoolSnapshot, allocated
from poolwright.domain.clock import DAY, MINUTE
from poolwright.domain.limits import NODE_JOIN_DEADLINE
from poolwright.domain.node import Drain, Node
from poolwright.domain.states import DeallocationOption, NodeState
from tests.unit.decide.parts import NOW, node, pool

REQUEUE, TERMINATE, COMPLETION, RETAINED = DeallocationOption
ORDERS = [
    ("reboot", NodeState.REBOOTING, Act.RESTART),
    ("reimage", NodeState.REIMAGING, Act.REIMAGE),
    ("deallocate", NodeState.DEALLOCATING, Act.STOP),
]


def at(now: int, row: Node, executions: int = 0, **changes: object) -> PoolSnapshot:
    base = PoolSnapshot(pool(1), (row,), now, held={row.id: Held(executions)})
    return replace(base, **changes)  # type: ignore[arg-type]


def ordered(purpose: str, option: DeallocationOption, state: NodeState = NodeState.RUNNING) -> Node:
    return replace(node(state=state, booted_at=NOW), drain=Drain(purpose, option, NOW), seen_at=NOW)


@pytest.mark.parametrize(("purpose", "state", "act"), ORDERS)
def test_an_order_that_waits_for_nothing_ends_the_life_at_once(
    purpose: str, state: NodeState, act: Act
) -> None:
    row = ordered(purpose, TERMINATE)
    plan = tick(row, at(NOW, row, executions=1))
    assert (plan.node.state, plan.act, plan.end_tasks) == (state, act, "terminate")
    assert (plan.node.fence, plan.node.drain) == (row.fence + 1, None)
    again = tick(plan.node, at(NOW, plan.node))
    assert again.act is act, "it is asked for until it is confirmed"


@pytest.mark.parametrize(("purpose", "state", "act"), ORDERS)
def test_an_order_waits_for_tasks_and_for_their_data(purpose: str, state: NodeState, act: Act) -> None:
    row = ordered(purpose, COMPLETION)
    assert tick(row, at(NOW, row, executions=1)).act is None
    assert tick(row, at(NOW, row)).act is act
    row = ordered(purpose, RETAINED, NodeState.IDLE)
    waiting = tick(row, at(NOW, row, retained_until={row.id: NOW + DAY}))
    assert (waiting.act, waiting.wake_at) == (None, NOW + DAY)
    assert tick(row, at(NOW + DAY, replace(row, seen_at=NOW + DAY))).node.state is state


@pytest.mark.parametrize("purpose", ["reimage", "deallocate"])
def test_an_order_that_waited_outlives_the_loss_of_the_machine(purpose: str) -> None:
    row = replace(ordered(purpose, COMPLETION), state=NodeState.UNUSABLE)
    assert tick(row, at(NOW, row)).act is (Act.REIMAGE if purpose == "reimage" else Act.STOP)


def test_a_stopped_node_rests_until_it_is_started() -> None:
    row = next_life(node(state=NodeState.IDLE, booted_at=NOW), NodeState.DEALLOCATING, NOW, "by request")
    assert machine_gone(row, "stopped", NOW) is row, "its machine is meant to go"
    row = deallocated(put_off(row, NOW, "the agent is away"), NOW)
    assert (row.state, row.address, row.booted_at, row.errors) == (NodeState.DEALLOCATED, None, None, ())
    assert allocated(row), "it counts for the pool's size"
    assert machine_gone(row, "stopped", NOW) is row
    later = NOW + 30 * DAY
    plan = tick(row, at(later, row))
    assert (plan.node, plan.act, plan.wake_at) == (row, None, None), "silence means nothing"


def test_a_stop_that_failed_is_repeated_after_a_wait() -> None:
    row = next_life(node(state=NodeState.IDLE, booted_at=NOW), NodeState.DEALLOCATING, NOW, "by request")
    row = put_off(row, NOW, "the agent is away")
    assert tick(row, at(NOW, row)).act is None
    assert tick(row, at(row.retry_at, row)).act is Act.STOP


def test_a_started_node_is_made_from_what_was_kept() -> None:
    row = node(state=NodeState.DEALLOCATED, booted_at=None, fence=2)
    row = next_life(row, NodeState.STARTING, NOW, "start by request")
    assert awaits_machine(row)
    assert tick(row, at(NOW + MINUTE * 3, row)).act is Act.RESTART, (
        "a machine that is not made yet is not silent"
    )
    assert machine_gone(row, "its agent does not know it", NOW) is row
    up = joined(row, Booted("10.0.0.2"), None, NOW)
    assert (up.state, up.address) == (NodeState.IDLE, "10.0.0.2")
    over = tick(row, at(NOW + NODE_JOIN_DEADLINE, row))
    assert (over.node.state, over.node.errors[0].code) == (NodeState.UNUSABLE, "NodeJoinTimeout")
    held = tick(row, at(NOW, row, image=ImageMissing("i", "gone")))
    assert (held.act, held.wake_at) == (None, NOW + NODE_JOIN_DEADLINE)


def test_a_reimaged_node_joins_as_a_new_one() -> None:
    row = next_life(node(state=NodeState.IDLE, booted_at=NOW), NodeState.REIMAGING, NOW, "by request")
    assert joined(row, Booted("10.0.0.3"), None, NOW).state is NodeState.IDLE


def test_a_reimage_that_did_not_come_to_its_end_is_begun_again() -> None:
    row = next_life(node(state=NodeState.IDLE), NodeState.REIMAGING, NOW, "by request")
    over = tick(row, at(NOW + NODE_JOIN_DEADLINE, row)).node
    assert over.state is NodeState.UNUSABLE
    plan = tick(over, at(NOW + NODE_JOIN_DEADLINE, over))
    assert (plan.node.state, plan.act) == (NodeState.REIMAGING, Act.REIMAGE)


@pytest.mark.parametrize("option", DeallocationOption)
@pytest.mark.parametrize(("purpose", "state", "act"), ORDERS)
def test_an_order_that_waited_waits_on_while_the_machine_is_made_anew(
    purpose: str, state: NodeState, act: Act, option: DeallocationOption
) -> None:
    """The service may reimage a node by itself while an order waits for the node's data."""
    row = ordered(purpose, option, NodeState.REIMAGING)
    plan = tick(row, at(NOW, row))
    if state is NodeState.REIMAGING:
        assert plan.node.state is state
        return
    assert (plan.node.state, plan.node.drain, plan.act) == (NodeState.REIMAGING, row.drain, Act.REIMAGE)
    up = joined(plan.node, Booted(), None, NOW)
    assert tick(up, at(NOW, up)).act is act
