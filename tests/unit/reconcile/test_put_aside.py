"""Nodes that are put aside while their disk is full: what ends there, and when it begins anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolwright.decide.room import Room
from poolwright.domain.pool import StartTask
from poolwright.domain.states import ExecutionResult, JobState, NodeState, StartTaskState, TaskState
from poolwright.reconcile.fleet import ExecSpec
from poolwright.reconcile.kit import KILL_REPEAT, Delivery
from poolwright.reconcile.pools import PoolWork
from tests.unit.reconcile.test_job_nodes import Prepared
from tests.unit.reconcile.test_pools_and_nodes import answer, greet, growing, made
from tests.unit.reconcile.world import ACCOUNT, World, exited


def test_a_start_task_nobody_heard_of_is_not_sent_again_while_its_node_is_put_aside() -> None:
    world = growing(1, StartTask("prepare"))
    work = world.look()
    (start,) = answer(world, work, *made(work)).starts
    world.kit.room = lambda: Room("little is left", "nothing is left")
    assert world.look().starts == []
    assert world.states() == [NodeState.UNUSABLE]
    assert greet(world, [start.machine], []).reaction.starts == [], "nor when its agent comes back"
    world.kit.room = Room
    work = world.look()
    assert work.kills == []
    (again,) = work.starts
    assert again.name != start.name, (
        "the end of the first one was ordered: should that still arrive, it is over"
    )


def _aside() -> tuple[World, ExecSpec, PoolWork]:
    """A node whose start task runs while the disk becomes full; with what the pass said that put it aside."""
    world = growing(1, StartTask("prepare"))
    work = world.look()
    (start,) = answer(world, work, *made(work)).starts
    world.kit.delivery.note([start.name], world.clock.at)
    world.kit.room = lambda: Room("little is left", "nothing is left")
    return world, start, world.look()


@pytest.mark.parametrize("gone", [None, NodeState.LEAVING_POOL, NodeState.UNKNOWN])
def test_the_end_of_a_start_task_is_ordered_until_it_is_known_though_there_is_room_again(gone: Any) -> None:
    world, start, work = _aside()
    assert [kill.name for kill in work.kills] == [start.name]
    world.kit.room = Room
    world.kit.delivery = Delivery()  # the service was started again, and no order arrived
    work = world.look()
    assert world.states() == [NodeState.WAITING_FOR_START_TASK]
    assert ([kill.name for kill in work.kills], work.starts) == ([start.name], [])
    (node,) = world.write(lambda tx: tx.nodes.of_pool(ACCOUNT, "p"))
    if gone is not None:
        world.set_node(node.id, state=gone)
    again = world.hear(exited(start, reason="lost")).starts
    assert [spec.name != start.name for spec in again] == ([] if gone else [True]), "not where it has no use"
    assert world.look().starts == [] or gone is not NodeState.LEAVING_POOL


def test_a_start_task_that_fails_before_its_end_arrives_is_tried_again_with_room_only() -> None:
    world = growing(1, StartTask("prepare", max_retries=1))
    work = world.look()
    (start,) = answer(world, work, *made(work)).starts
    world.kit.room = lambda: Room("little is left", "nothing is left")
    world.look()
    assert world.hear(exited(start, 1)).starts == []
    work = world.look()
    assert (work.starts, work.kills) == ([], [])
    world.kit.room = Room
    (again,) = world.look().starts
    world.hear(exited(again, 1))
    assert world.states() == [NodeState.START_TASK_FAILED], "that was its only retry"


def test_a_start_task_that_runs_ends_when_its_node_is_put_aside_and_begins_anew_with_room() -> None:
    world, start, work = _aside()
    assert [(kill.machine, kill.name, kill.reason) for kill in work.kills] == [
        (start.machine, start.name, "putaside")
    ]
    assert world.look().kills == [], "not in every pass"
    world.clock.at += KILL_REPEAT
    world.write(lambda tx: tx.nodes.touch([start.machine], world.clock.at))
    assert [kill.name for kill in world.look().kills] == [start.name], "until its end is known"
    over = world.hear(exited(start, reason="killed:putaside", signal=15, exit_code=143))
    assert (over.acks, over.starts) == ([start.name], [])
    world.kit.delivery.forget(over.acks)
    node = world.write(lambda tx: tx.nodes.by_machine(start.machine))
    assert node is not None
    told = node.start_task
    assert told is not None
    assert (told.state, told.attempt, told.retry_count) == (StartTaskState.RUNNING, 2, 0)
    world.clock.at += KILL_REPEAT
    assert world.look().kills == [], "the next attempt has not begun"
    world.kit.room = Room
    (again,) = world.look().starts
    assert again.name != start.name
    world.hear(exited(again, 0))
    assert world.states() == [NodeState.IDLE]


def test_a_release_is_ended_with_its_node_when_the_disk_is_full_and_the_job_waits_for_that_end() -> None:
    world = Prepared(nodes=1)
    world.add("a")
    world.hear(exited(world.look().starts[0]))
    world.hear(exited(world.look().starts[0]))
    world.set_job(state=JobState.TERMINATING)
    (release,) = world.look_at_job().starts
    world.kit.room = lambda: Room("little is left", "nothing is left")
    assert [(kill.name, kill.reason) for kill in world.look().kills] == [(release.name, "putaside")]
    assert world.node("n0").state is NodeState.UNUSABLE
    world.look_at_job()
    assert world.job().state is JobState.TERMINATING, "it may still run"
    world.hear(exited(release, reason="killed:putaside"))
    world.look_at_job()
    assert world.job().state is JobState.COMPLETED


def test_a_preparation_that_fails_on_a_node_put_aside_is_not_tried_again_before_it_is_back() -> None:
    world = Prepared(max_retries=1)
    world.add("a")
    (prep,) = world.look().starts
    world.kit.room = lambda: Room("little is left", "nothing is left")
    assert prep.name in {kill.name for kill in world.look().kills}
    world.hear(exited(prep, 1))  # before the kill came to it
    assert (world.live(), world.look().starts) == ([], [])
    assert world.task("a").state is TaskState.ACTIVE
    world.kit.room = Room
    (again,) = world.look().starts
    assert again.name == "p1.2"
    assert world.rows()[0].preparation.retry_count == 1
    world.hear(exited(again, 1))
    assert (world.names(), world.rows()[0].preparation.result) == ([], ExecutionResult.FAILURE)
    assert world.task("a").state is TaskState.ACTIVE, "that was its only retry"


def test_what_runs_beside_tasks_on_a_node_put_aside_is_ended_whenever_it_began() -> None:
    world = Prepared()
    world.add("a")
    (prep,) = world.look().starts
    world.kit.room = lambda: Room("little is left", "nothing is left")
    world.look()
    (left,) = world.store.read_now(lambda tx: list(tx.executions.get_many([prep.name]).values()))
    world.write(lambda tx: tx.executions.delete_many([prep.name]))
    world.write(lambda tx: tx.executions.insert_many([replace(left, kill_reason=None)]))
    world.kit.delivery = Delivery()
    work = world.look()
    assert (prep.name in {kill.name for kill in work.kills}, work.starts) == (True, [])


def test_nothing_of_what_an_agent_does_not_know_begins_when_it_greets_on_a_full_disk() -> None:
    world = growing(1, StartTask("prepare", wait_for_success=False))
    world.add("a")
    work = world.look()
    machine = work.creates[0][0].machine
    assert len(answer(world, work, *made(work)).starts) == 2
    world.kit.room = lambda: Room("little is left", "nothing is left")
    assert greet(world, [machine], []).reaction.starts == []
    assert {kill.name[0] for kill in world.look().kills} == {"s", "t"}
