"""A node that is not usable always says why and what to do, and its start task's last words come along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from poolwright.decide import explain
from poolwright.decide.node_events import (
    GIVEN_UP,
    NEXT_STEP,
    Booted,
    joined,
    machine_gone,
    put_off,
    refused,
    start_ended,
)
from poolwright.decide.node_life import LEASE_MARGIN, tick
from poolwright.decide.snapshot import ImageMissing, ImagePreparing, PoolSnapshot
from poolwright.decide.task_life import End
from poolwright.domain.clock import MINUTE, SECOND
from poolwright.domain.limits import NODE_JOIN_DEADLINE, NODE_LEASE, NODE_RECOVERIES_MAX, NODE_UNKNOWN_AFTER
from poolwright.domain.node import Node
from poolwright.domain.package import InstalledPackage, NodePackages
from poolwright.domain.phases import Phase, phases, present
from poolwright.domain.pool import StartTask
from poolwright.domain.states import NodeState
from poolwright.wire.convert.node import show_node
from poolwright.wire.links import Links
from tests.unit.decide.parts import NOW, node, pool

LATE = NOW + NODE_JOIN_DEADLINE


def at(now: int, row: Node, **changes: object) -> PoolSnapshot:
    return replace(PoolSnapshot(pool(1), (row,), now), **changes)  # type: ignore[arg-type]


def _never_came(**changes: object) -> Node:
    row = node(state=NodeState.CREATING)
    return tick(row, at(LATE, row, **changes)).node


def _delayed() -> Node:
    row = put_off(node(state=NodeState.CREATING), NOW + SECOND, "no memory left")
    return tick(row, at(LATE, row)).node


def _lost() -> Node:
    row = node(state=NodeState.RUNNING)
    silent = tick(row, at(NOW + NODE_UNKNOWN_AFTER, row)).node
    return tick(silent, at(NOW + NODE_LEASE + LEASE_MARGIN, silent)).node


@pytest.mark.parametrize(
    ("make", "code", "cause"),
    [
        (_never_came, "NodeJoinTimeout", "engine"),
        (
            lambda: _never_came(image=ImageMissing("i", "The image i is gone.")),
            "NodeJoinTimeout",
            "image i is gone",
        ),
        (lambda: _never_came(image=ImagePreparing("unpacking")), "NodeJoinTimeout", "unpacking"),
        (lambda: _never_came(host_refuses="This host is not root."), "NodeJoinTimeout", "not root"),
        (_delayed, "NodeJoinTimeout", "no memory left"),
        (_lost, "NodeLost", "No contact"),
        (lambda: machine_gone(node(), "it crashed", NOW), "MachineLost", "it crashed"),
        (lambda: refused(node(state=NodeState.REBOOTING), "bad disk", NOW), "MachineRejected", "bad disk"),
    ],
)
def test_every_way_to_unusable_names_cause_and_next_step(
    make: Callable[[], Node], code: str, cause: str
) -> None:
    row = make()
    assert row.state is NodeState.UNUSABLE
    error = row.errors[-1]
    assert error.code == code
    assert cause in error.message
    step = dict(error.details)[NEXT_STEP]
    assert step
    said = explain.node(row, pool(1))
    assert (said.message, said.next_step) == (error.message, step)


def test_a_node_the_service_gave_up_says_so_once() -> None:
    row = replace(machine_gone(node(), "it crashed", NOW), attempts=NODE_RECOVERIES_MAX)
    after = tick(row, at(NOW + MINUTE, row)).node
    assert dict(after.errors[-1].details)[NEXT_STEP] == GIVEN_UP
    assert tick(after, at(NOW + MINUTE, after)).node is after, "nothing more is written"


def test_a_silent_node_says_so_until_it_is_heard_of() -> None:
    row = node(state=NodeState.RUNNING)
    silent = tick(row, at(NOW + NODE_UNKNOWN_AFTER, row)).node
    assert [error.code for error in silent.errors] == ["NodeUnreachable"]
    heard = replace(silent, seen_at=NOW + 5 * MINUTE)
    back = tick(heard, at(NOW + 5 * MINUTE, heard)).node
    assert (back.state, back.errors) == (NodeState.IDLE, ())


def test_last_words_of_a_start_task_are_in_its_failure_and_explanation() -> None:
    start = StartTask("prepare")
    row = joined(node(state=NodeState.CREATING), Booted(), start, NOW)
    words = (("StandardErrorTail", "no such package"), ("StandardOutputTail", ""))
    failed = start_ended(row, start, End(NOW, "exit", 100, details=words), False, NOW)
    assert failed.start_task is not None
    assert failed.start_task.failure is not None
    assert failed.start_task.failure.details == words
    assert words[0] in explain.node(failed, pool(1)).evidence


def test_a_node_that_comes_up_says_what_it_is_at() -> None:
    row = node(state=NodeState.CREATING)
    assert present(row) == "its machine is being made"
    late = put_off(row, NOW, "all loop devices are taken")
    assert "all loop devices are taken" in (present(late) or "")
    packages = NodePackages((InstalledPackage("a", "1", "d", True),), pending=True)
    up = joined(row, Booted(), None, NOW, packages)
    assert present(up) == "its application packages are being installed"
    ready = joined(row, Booted(), None, NOW)
    assert (ready.state, present(ready)) == (NodeState.IDLE, None)
    assert show_node(late, pool(1), (0, 0), [], Links("https://h"))["phase"] == present(late)
    assert "phase" not in show_node(ready, pool(1), (0, 0), [], Links("https://h"))


def test_phases_of_a_life_add_up() -> None:
    start = StartTask("prepare")
    asked = node(state=NodeState.CREATING, history=((NOW, "creating", "asked"),))
    assert phases(asked) == (Phase("allocation", NOW, None),)
    took = {"namespaces": 2.0, "mounts": 3.0, "network": 4.0}
    row = joined(asked, Booted(phases_ms=took), start, NOW + SECOND)
    assert [phase.name for phase in phases(row)] == ["allocation", "clone", "boot", "startTask", "total"]
    assert phases(row)[-2].milliseconds is None
    row = start_ended(row, start, End(NOW + 3 * SECOND, "exit", 0), False, NOW + 3 * SECOND)
    found = {phase.name: phase.milliseconds for phase in phases(row)}
    assert found == {"allocation": 991.0, "clone": 5.0, "boot": 4.0, "startTask": 2000.0, "total": 3000.0}
    reboot = replace(row, history=(*row.history, (NOW + 9 * SECOND, "rebooting", "by request")))
    assert phases(reboot) == (Phase("allocation", NOW + 9 * SECOND, None),)
