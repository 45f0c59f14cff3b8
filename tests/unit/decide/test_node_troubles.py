"""Nodes whose machine runs but is of no use, and their way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from poolwright.decide import explain
from poolwright.decide.node_events import TROUBLE_RETRY, Booted, joined, machine_gone
from poolwright.decide.node_life import LEASE_MARGIN, SILENT, Act, tick
from poolwright.decide.task_life import PUT_ASIDE
from poolwright.domain.limits import NODE_LEASE, NODE_RECOVERIES_MAX, NODE_UNKNOWN_AFTER
from poolwright.domain.node import NodeError
from poolwright.domain.states import NodeState
from tests.unit.decide.parts import NOW, node, pool
from tests.unit.decide.test_node_life import START, at

FULL = NodeError("DiskFull", "The disk is full. Delete files.", (("NextStep", "Delete files."),), "machine")
UNMOUNTED = NodeError("MountConfigurationError", "No server. Reboot.", (), "machine")


def test_a_full_disk_puts_the_node_aside_and_room_brings_it_back() -> None:
    row = node(state=NodeState.RUNNING, errors=(FULL,))
    aside = tick(row, at(NOW, row, executions=2))
    assert (aside.node.state, aside.end_tasks, aside.act) == (NodeState.UNUSABLE, PUT_ASIDE, None)
    assert aside.node.errors == (FULL,)
    assert explain.node(aside.node, pool(1)).message == FULL.message
    assert explain.node(aside.node, pool(1)).next_step == "Delete files."
    still = tick(aside.node, at(NOW + TROUBLE_RETRY, aside.node, executions=2, ordered=2))
    assert (still.node, still.act, still.end_tasks) == (aside.node, None, None)
    over = replace(aside.node, errors=())
    back = tick(over, at(NOW + 1, over))
    assert (back.node.state, back.node.errors, back.act) == (NodeState.WAITING_FOR_START_TASK, (), None)


def test_the_hosts_disk_stops_every_node_on_it_until_there_is_room() -> None:
    row = node(state=NodeState.IDLE)
    aside = tick(row, at(NOW, row, disk_full="the host has 1 MiB left")).node
    assert (aside.state, aside.errors[0].code) == (NodeState.UNUSABLE, "DiskFull")
    assert "the host has 1 MiB left. Free space" in aside.errors[0].message
    assert tick(aside, at(NOW, aside, disk_full="the host has 1 MiB left")).node is aside
    started = replace(
        aside, start_task=joined(node(state=NodeState.CREATING), Booted(), START, NOW).start_task
    )
    assert tick(started, at(NOW, started)).node.state is NodeState.WAITING_FOR_START_TASK


def test_a_silent_node_that_is_heard_again_on_a_full_disk_takes_no_tasks() -> None:
    row = node(state=NodeState.UNKNOWN, seen_at=NOW)
    heard = tick(row, at(NOW, row, disk_full="the host has 1 MiB left"))
    assert (heard.node.state, heard.node.errors[-1].code) == (NodeState.UNUSABLE, "DiskFull")
    assert heard.end_tasks == PUT_ASIDE, "also of what takes no slot"


def test_a_failed_mount_is_tried_again_by_restarts_but_not_for_ever() -> None:
    row = joined(node(state=NodeState.CREATING), Booted(troubles=(UNMOUNTED,)), START, NOW)
    assert (row.state, row.start_task) == (NodeState.UNUSABLE, None)
    for _ in range(NODE_RECOVERIES_MAX):
        assert tick(row, at(row.retry_at - 1, row)).act is None
        again = tick(row, at(row.retry_at, row))
        assert (again.act, again.node.state) == (Act.RESTART, NodeState.REBOOTING)
        row = joined(again.node, Booted(troubles=(UNMOUNTED,)), START, row.retry_at)
    assert tick(row, at(row.retry_at, row)).act is None


def test_a_troubled_node_whose_machine_dies_is_recovered() -> None:
    row = node(state=NodeState.IDLE)
    aside = tick(row, at(NOW, row, disk_full="no room")).node
    dead = machine_gone(aside, "killed", NOW)
    assert tick(dead, at(dead.retry_at, dead)).act is Act.RESTART


def test_a_node_put_aside_that_is_not_heard_of_any_more_is_given_up_like_any_other() -> None:
    """Else tasks whose end is ordered there would be waited for, for ever: its agent may have died of the full disk."""
    full: dict[str, Any] = {"disk_full": "no room"}
    row = node(state=NodeState.RUNNING, seen_at=NOW)
    aside = tick(row, at(NOW, row, executions=1, **full)).node
    late = NOW + NODE_UNKNOWN_AFTER
    silent = tick(aside, at(late, aside, executions=1, ordered=1, **full)).node
    assert (silent.state, [error.code for error in silent.errors]) == (
        NodeState.UNKNOWN,
        ["DiskFull", SILENT],
    )
    heard = replace(silent, seen_at=late)
    again = tick(heard, at(late, heard, **full)).node
    assert (again.state, [error.code for error in again.errors]) == (NodeState.UNUSABLE, ["DiskFull"])
    over = tick(heard, at(late, heard)).node
    assert (over.state, over.errors) == (NodeState.WAITING_FOR_START_TASK, ()), "it had not begun"
    lease = late + NODE_LEASE + LEASE_MARGIN
    lost = tick(silent, at(lease, silent, executions=1, ordered=1, **full))
    assert (lost.node.state, lost.lost) == (NodeState.UNUSABLE, True)
