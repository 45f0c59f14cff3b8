from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.decide.placement import Ready, Room, place, rooms, takes_tasks
from poolwright.domain.node import Drain
from poolwright.domain.states import DeallocationOption, FillType, NodeState, SchedulingState
from tests.unit.decide.parts import NOW, node


def test_spread_takes_the_emptiest_node_first() -> None:
    placed = place([Room("a", 2), Room("b", 2)], [Ready(1), Ready(2), Ready(3)], FillType.SPREAD)
    assert [(a.key, a.node) for a in placed] == [(1, "a"), (2, "b"), (3, "a")]


def test_pack_fills_the_fullest_node_that_suffices() -> None:
    open_rooms = [Room("a", 4), Room("b", 1), Room("c", 2)]
    placed = place(open_rooms, [Ready(1), Ready(2, slots=2), Ready(3)], FillType.PACK)
    assert [(a.key, a.node) for a in placed] == [(1, "b"), (2, "c"), (3, "a")]


def test_a_task_too_large_is_left_out_and_smaller_ones_pass_it() -> None:
    placed = place([Room("a", 2)], [Ready(1, slots=3), Ready(2)], FillType.SPREAD)
    assert [a.key for a in placed] == [2]


def test_affinity_is_soft() -> None:
    open_rooms = [Room("a", 1), Room("b", 9)]
    tasks = [Ready(1, affinity="TVM:a"), Ready(2, affinity="TVM:a"), Ready(3, affinity="TVM:gone")]
    assert [a.node for a in place(open_rooms, tasks, FillType.SPREAD)] == ["a", "b", "b"]


def test_only_enabled_idle_or_running_nodes_without_orders_take_tasks() -> None:
    drain = Drain("remove", DeallocationOption.TASK_COMPLETION, NOW)
    assert takes_tasks(node())
    assert takes_tasks(node(state=NodeState.RUNNING))
    assert not takes_tasks(node(state=NodeState.OFFLINE))
    assert not takes_tasks(node(scheduling=SchedulingState.DISABLED))
    assert not takes_tasks(node(drain=drain))
    assert rooms([node("a"), node("b", drain=drain), node("c")], {"a": 1, "c": 2}, 2) == [Room("a", 1)]


@settings(max_examples=200, deadline=None)
@given(
    free=st.lists(st.integers(0, 256), max_size=12),
    needs=st.lists(st.tuples(st.integers(1, 256), st.integers(-1, 12)), max_size=40),
    fill=st.sampled_from(FillType),
)
def test_never_over_committed_and_never_idle_room_for_a_task_left_out(
    free: list[int], needs: list[tuple[int, int]], fill: FillType
) -> None:
    open_rooms = [Room(f"n{i}", slots) for i, slots in enumerate(free)]
    tasks = [
        Ready(key, slots, f"TVM:n{wish}" if wish >= 0 else None) for key, (slots, wish) in enumerate(needs)
    ]
    placed = place(open_rooms, tasks, fill)
    used: Counter[str] = Counter()
    for assignment in placed:
        used[assignment.node] += tasks[assignment.key].slots
    assert all(used[room.node] <= room.free for room in open_rooms)
    keys = [assignment.key for assignment in placed]
    assert len(set(keys)) == len(keys)
    most_left = max((room.free - used[room.node] for room in open_rooms), default=0)
    assert all(task.slots > most_left for task in tasks if task.key not in set(keys))


def test_work_does_not_grow_with_the_square_of_nodes_and_tasks() -> None:
    """Counted, not timed: each task may look at a bounded number of bucket entries."""
    looked = 0

    class Counting(str):
        __slots__ = ()

        def __hash__(self) -> int:
            nonlocal looked
            looked += 1
            return str.__hash__(self)

    open_rooms = [Room(Counting(f"n{i}"), 4) for i in range(800)]
    placed = place(open_rooms, [Ready(key) for key in range(500)], FillType.SPREAD)
    assert len(placed) == 500
    assert looked < 10 * (800 + 500)
