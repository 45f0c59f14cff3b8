from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.decide.node_events import (
    QUICK_RETRIES,
    Booted,
    evicted,
    joined,
    machine_gone,
    move,
    preempted,
    put_off,
    start_ended,
)
from poolwright.decide.node_life import LEASE_MARGIN, UNKNOWN_AT_LEAST, Act, tick
from poolwright.decide.snapshot import Held, ImageMissing, PoolSnapshot
from poolwright.decide.task_life import End
from poolwright.domain.clock import HOUR, MINUTE, SECOND
from poolwright.domain.limits import NODE_JOIN_DEADLINE, NODE_LEASE, NODE_RECOVERIES_MAX, NODE_UNKNOWN_AFTER
from poolwright.domain.node import Drain, Node
from poolwright.domain.pool import StartTask
from poolwright.domain.states import DeallocationOption, NodeState, SchedulingState
from tests.unit.decide.parts import NOW, node, pool

START = StartTask("prepare")
OK = End(NOW, "exit", 0)
BAD = End(NOW, "exit", 3)


def at(now: int, row: Node, executions: int = 0, ordered: int = 0, **changes: object) -> PoolSnapshot:
    base = PoolSnapshot(pool(1, start_task=START), (row,), now, held={row.id: Held(executions, ordered)})
    return replace(base, **changes)  # type: ignore[arg-type]


def test_a_machine_without_start_task_is_idle_at_once() -> None:
    row = joined(node(state=NodeState.CREATING), Booted("10.0.0.2"), None, NOW)
    assert (row.state, row.address, row.booted_at) == (NodeState.IDLE, "10.0.0.2", NOW)
    assert [state for _, state, _ in row.history] == ["starting", "idle"]


def test_the_agent_of_a_life_is_told_and_is_new_only_when_its_version_is() -> None:
    row = joined(node(state=NodeState.CREATING), Booted(agent="1.0"), None, NOW)
    assert (row.agent_version, row.agent_since) == ("1.0", NOW)
    again = joined(move(row, NodeState.REBOOTING, NOW + 1, "asked"), Booted(agent="1.0"), None, NOW + HOUR)
    assert (again.booted_at, again.agent_version, again.agent_since) == (NOW + HOUR, "1.0", NOW)
    newer = joined(
        move(again, NodeState.REBOOTING, NOW + HOUR, "asked"), Booted(agent="1.1"), None, NOW + 2 * HOUR
    )
    assert (newer.agent_version, newer.agent_since) == ("1.1", NOW + 2 * HOUR)


def test_a_start_task_holds_the_node_until_it_succeeds() -> None:
    row = joined(node(state=NodeState.CREATING), Booted(), START, NOW)
    assert row.state is NodeState.WAITING_FOR_START_TASK
    assert tick(row, at(NOW, row)).act is Act.START_TASK
    row = start_ended(row, START, OK, False, NOW)
    assert row.state is NodeState.IDLE
    assert tick(row, at(NOW, row)) == tick(row, at(NOW, row))
    assert tick(row, at(NOW, row)).act is None


def test_without_wait_the_node_works_while_its_start_task_runs() -> None:
    eager = replace(START, wait_for_success=False)
    row = joined(node(state=NodeState.CREATING), Booted(), eager, NOW)
    assert row.state is NodeState.IDLE
    assert tick(row, at(NOW, row)).act is Act.START_TASK
    row = start_ended(row, eager, BAD, True, NOW)
    assert row.state is NodeState.IDLE
    assert row.start_task is not None
    assert row.start_task.failure is not None


def test_start_task_retries_are_counted_and_spaced() -> None:
    often = replace(START, max_retries=QUICK_RETRIES + 1)
    row = joined(node(state=NodeState.CREATING), Booted(), often, NOW)
    for retry in range(1, QUICK_RETRIES + 2):
        row = start_ended(row, often, BAD, False, NOW)
        assert row.start_task is not None
        assert (row.state, row.start_task.retry_count) == (NodeState.WAITING_FOR_START_TASK, retry)
    assert row.retry_at > NOW
    assert tick(row, at(NOW, row)).wake_at == row.retry_at
    failed = start_ended(row, often, BAD, False, NOW)
    assert failed.state is NodeState.START_TASK_FAILED
    cured = start_ended(row, often, OK, False, NOW)
    assert cured.start_task is not None
    assert (cured.state, cured.start_task.failure, cured.start_task.retry_count) == (NodeState.IDLE, None, 4)


def test_a_start_task_that_cannot_be_launched_is_not_tried_again() -> None:
    row = joined(node(state=NodeState.CREATING), Booted(), replace(START, max_retries=-1), NOW)
    row = start_ended(
        row, replace(START, max_retries=-1), End(NOW, "failed", code="CommandProgramNotFound"), False, NOW
    )
    assert row.state is NodeState.START_TASK_FAILED


def test_silence_makes_unknown_then_word_brings_back_or_the_lease_ends() -> None:
    row = node(state=NodeState.RUNNING)
    assert tick(row, at(NOW + NODE_UNKNOWN_AFTER - 1, row, 1)).node is row
    silent = tick(row, at(NOW + NODE_UNKNOWN_AFTER, row, 1)).node
    assert silent.state is NodeState.UNKNOWN
    heard = replace(silent, seen_at=NOW + 5 * MINUTE)
    assert tick(heard, at(NOW + 5 * MINUTE, heard, 1)).node.state is NodeState.RUNNING
    early = tick(silent, at(NOW + NODE_LEASE + LEASE_MARGIN - 1, silent, 1))
    assert (early.node.state, early.lost) == (NodeState.UNKNOWN, False)
    late = tick(silent, at(NOW + NODE_LEASE + LEASE_MARGIN, silent, 1))
    assert (late.node.state, late.lost) == (NodeState.UNUSABLE, True)
    again = tick(late.node, at(NOW + NODE_LEASE + LEASE_MARGIN, silent))
    assert (again.act, again.node.state, again.node.fence) == (Act.RESTART, NodeState.REBOOTING, 2)


def test_recovery_is_bounded_and_a_stable_machine_starts_the_count_anew() -> None:
    row, now = node(), NOW
    waits = []
    for _ in range(NODE_RECOVERIES_MAX):
        row = machine_gone(row, "crashed", now)
        assert row.state is NodeState.UNUSABLE
        waits.append(row.retry_at - now)
        now = row.retry_at
        row = joined(tick(row, at(now, row)).node, Booted(), None, now)
        assert row.state is NodeState.IDLE
    assert waits == sorted(waits)
    assert waits[0] == 0
    row = machine_gone(row, "crashed", now)
    assert tick(row, at(now + HOUR, row)).act is None
    stable = machine_gone(replace(row, state=NodeState.IDLE), "crashed", now + HOUR)
    assert stable.attempts == 0


def test_a_machine_that_never_comes_is_unusable_at_the_deadline() -> None:
    row = node(state=NodeState.CREATING)
    assert tick(row, at(NOW, row)).act is Act.CREATE
    waiting = put_off(row, NOW + SECOND, "busy")
    assert tick(waiting, at(NOW + SECOND, waiting)).act is None
    over = tick(row, at(NOW + NODE_JOIN_DEADLINE, row)).node
    assert (over.state, over.errors[0].code) == (NodeState.UNUSABLE, "NodeJoinTimeout")


def test_no_machine_is_asked_for_without_an_image() -> None:
    row = node(state=NodeState.REBOOTING)
    assert tick(row, at(NOW, row, image=ImageMissing("i", "deleted"))).act is None


@pytest.mark.parametrize("option", list(DeallocationOption))
@pytest.mark.parametrize("purpose", ["remove", "reboot"])
def test_drains_wait_or_end_tasks_by_their_option(purpose: str, option: DeallocationOption) -> None:
    row = node(state=NodeState.RUNNING, drain=Drain(purpose, option, NOW))
    target = NodeState.LEAVING_POOL if purpose == "remove" else NodeState.REBOOTING
    plan = tick(row, at(NOW, row, 2))
    if option in (DeallocationOption.REQUEUE, DeallocationOption.TERMINATE):
        assert (plan.node.state, plan.end_tasks) == (target, option.value)
        return
    assert (plan.node.state, plan.act) == (NodeState.RUNNING, None)
    plan = tick(row, at(NOW, row, retained_until={row.id: NOW + HOUR}))
    if option is DeallocationOption.RETAINED_DATA:
        assert (plan.node.state, plan.wake_at) == (NodeState.IDLE, NOW + HOUR)
    else:
        # The retention is only computed for the option that asks for it.
        assert plan.act is None
    plan = tick(row, at(NOW, row))
    assert (plan.node.state, plan.act) == (target, Act.REMOVE if purpose == "remove" else Act.RESTART)


def test_disabled_scheduling_drains_to_offline() -> None:
    drain = Drain("offline", DeallocationOption.REQUEUE, NOW)
    row = node(state=NodeState.RUNNING, scheduling=SchedulingState.DISABLED, drain=drain)
    assert tick(row, at(NOW, row, 2)).end_tasks == "requeue"
    assert tick(row, at(NOW, row, 2, 2)).end_tasks is None
    rested = tick(row, at(NOW, row)).node
    assert (rested.state, rested.drain) == (NodeState.OFFLINE, None)
    back = replace(rested, scheduling=SchedulingState.ENABLED)
    assert tick(back, at(NOW, back)).node.state is NodeState.IDLE


def test_reboot_fences_off_the_former_life() -> None:
    row = node(drain=Drain("reboot", DeallocationOption.REQUEUE, NOW))
    plan = tick(row, at(NOW, row))
    assert (plan.node.fence, plan.act, plan.node.drain) == (2, Act.RESTART, None)


def test_preempted_loses_its_machine_then_comes_back_as_a_new_life() -> None:
    row = preempted(node(dedicated=False), NOW, "memory")
    assert tick(row, at(NOW, row)).act is Act.EVICT
    row = evicted(row, NOW)
    assert tick(row, at(NOW, row)).act is None
    assert tick(row, at(row.retry_at, row, pressure="low")).act is None
    back = tick(row, at(row.retry_at, row))
    assert (back.act, back.node.state, back.node.fence) == (Act.CREATE, NodeState.CREATING, 2)


def test_old_signs_of_life_give_agents_time_for_a_new_one() -> None:
    later = NOW + HOUR
    silent = tick(node(state=NodeState.RUNNING), at(later, node(state=NodeState.RUNNING), 1)).node
    assert silent.state is NodeState.UNKNOWN
    assert not tick(silent, at(later + 1, silent, 1)).lost
    assert tick(silent, at(later + UNKNOWN_AT_LEAST, silent, 1)).lost


def test_a_start_task_that_was_taken_away_is_not_waited_for() -> None:
    row = joined(node(state=NodeState.CREATING), Booted(), START, NOW)
    freed = tick(row, at(NOW, row, pool=pool(1)))
    assert (freed.node.state, freed.node.start_task, freed.act) == (NodeState.IDLE, None, None)


def test_turns_between_idle_and_running_do_not_crowd_out_the_history() -> None:
    row = joined(node(state=NodeState.CREATING), Booted(), None, NOW)
    for turn in range(50):
        row = move(row, NodeState.RUNNING if turn % 2 == 0 else NodeState.IDLE, NOW + turn, "turn")
    assert [state for _, state, _ in row.history] == ["starting", "idle", "idle"]
