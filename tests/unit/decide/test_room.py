"""When the host's disk takes nothing new, and when nodes stop."""

from __future__ import annotations

from dataclasses import replace

from poolwright.decide import explain, pool_size
from poolwright.decide.node_life import tick
from poolwright.decide.room import MIB, Room, judge, reserve
from poolwright.domain.states import NodeState
from tests.unit.decide.parts import NOW, node, pool
from tests.unit.decide.test_node_life import at


def test_what_is_kept_free() -> None:
    assert reserve(1 << 40, None) == 512 * MIB
    assert reserve(1000 * MIB, None) == 100 * MIB
    assert reserve(1000 * MIB, 64) == 64 * MIB


def test_intake_stops_first_then_nodes_and_both_come_back_with_a_margin() -> None:
    kept, room, seen = 100 * MIB, Room(), []
    for mib in (101, 99, 110, 124, 51, 49, 60, 74, 76, 124, 125):
        room = judge(mib * MIB, kept, room, "/data")
        seen.append((room.low is not None, room.full is not None))
    low, full, well = (True, False), (True, True), (False, False)
    assert seen == [well, low, low, low, low, full, full, full, low, low, well]
    said = judge(40 * MIB, kept, Room(), "/data")
    assert "40 MiB left" in str(said.low)
    assert "100 MiB are kept" in str(said.low)


def test_a_pool_does_not_grow_on_a_full_disk_and_says_so() -> None:
    new = node(state=NodeState.CREATING)
    snapshot = replace(at(NOW, new, disk_low="The disk has 1 MiB left"), pool=pool(3))
    assert tick(new, snapshot).act is None
    assert pool_size.plan(snapshot, (new,)).grow == (0, 0)
    why = explain.resize(snapshot)
    assert (why.code, why.message) == ("HostDiskFull", "The disk has 1 MiB left; no new machine is made.")
    assert "Free space" in why.next_step
