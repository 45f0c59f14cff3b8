"""Who makes room for whom."""

from __future__ import annotations

from poolwright.decide.preempt_tasks import Holder, Waiting, victims


def _holder(name: str, node: str = "n", slots: int = 1, priority: int = 0, **more: object) -> Holder:
    settings = {"yields": True, "since": 0, **more}
    return Holder(name, node, slots, priority, **settings)  # type: ignore[arg-type]


def test_only_lower_priorities_that_allow_it_give_way() -> None:
    holders = [_holder("equal", priority=5), _holder("firm", yields=False), _holder("low", priority=1)]
    assert victims([Waiting(1, 5)], holders, {"n": 0}) == ["low"]
    assert victims([Waiting(2, 5)], holders, {"n": 0}) == [], "nobody is ended for room that does not suffice"


def test_the_least_priority_then_the_fewest_then_the_youngest_go() -> None:
    holders = [
        _holder("a1", "a", priority=2),
        _holder("b1", "b", priority=1),
        _holder("b2", "b", priority=1, since=9),
        _holder("c1", "c", 2, priority=1),
    ]
    free = {"a": 0, "b": 0, "c": 0}
    assert victims([Waiting(1, 5)], holders, free) == ["b2"]
    assert victims([Waiting(2, 5)], holders, free) == ["c1"]


def test_room_that_is_free_or_on_its_way_is_counted_first() -> None:
    holders = [_holder("leaving", leaving=True), _holder("low")]
    assert victims([Waiting(1, 5)], holders, {"n": 0}) == []
    assert victims([Waiting(1, 5), Waiting(1, 5)], holders, {"n": 0}) == ["low"]
    assert victims([Waiting(1, 5)], [_holder("low")], {"n": 1}) == []


def test_a_manager_comes_back_at_the_cost_of_equals_but_not_of_managers() -> None:
    holders = [_holder("boss", priority=3, manager=True), _holder("own", priority=3, yields=False)]
    assert victims([Waiting(1, 3, insists=True)], holders, {"n": 0}) == ["own"]
    assert victims([Waiting(1, 2, insists=True)], holders, {"n": 0}) == []


def test_barred_nodes_and_such_as_take_no_tasks_are_left_alone() -> None:
    holders = [_holder("a", "n"), _holder("b", "closed")]
    assert victims([Waiting(1, 5, frozenset({"n"}))], holders, {"n": 0}) == []
