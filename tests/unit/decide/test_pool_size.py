from __future__ import annotations

from dataclasses import replace
from typing import Any

from poolwright.decide.pool_plan import plan
from poolwright.decide.pool_size import victims
from poolwright.decide.snapshot import Headroom, Held, ImageMissing, ImagePreparing, PoolSnapshot
from poolwright.domain.clock import HOUR, MINUTE
from poolwright.domain.limits import Quotas
from poolwright.domain.node import Drain
from poolwright.domain.pool import ImageReference, Pool, Resize
from poolwright.domain.states import AllocationState, DeallocationOption, NodeState, PoolState
from tests.unit.decide.parts import NOW, CountingIds, node, pool, spec

RESIZING, STEADY = AllocationState.RESIZING, AllocationState.STEADY


def of(p: Pool, *nodes: object, now: int = NOW, **changes: object) -> PoolSnapshot:
    return replace(PoolSnapshot(p, nodes, now), **changes)  # type: ignore[arg-type]


def codes(p: Pool) -> list[str]:
    return [error.code for error in p.resize_errors]


def test_growth_asks_for_each_kind_with_fresh_names() -> None:
    grown = plan(of(pool(2, 1)), CountingIds())
    assert [n.dedicated for n in grown.new] == [True, True, False]
    assert len({n.id for n in grown.new}) == len({n.machine for n in grown.new}) == 3
    assert all(n.state is NodeState.CREATING for n in grown.new)
    assert grown.pool.allocation is RESIZING


def test_a_resize_ends_when_every_machine_exists() -> None:
    waiting = of(pool(1), node(state=NodeState.CREATING))
    assert plan(waiting, CountingIds()).pool.allocation is RESIZING
    done = plan(of(pool(1), node()), CountingIds())
    assert (done.pool.allocation, done.pool.resize_errors) == (STEADY, ())
    assert any(fact.kind == "pool.resize.complete" for fact in done.facts)


def test_a_settled_pool_plans_nothing() -> None:
    assert plan(of(pool(1, allocation=STEADY), node()), CountingIds()).settled


def test_timeout_keeps_what_came_and_names_each_kind() -> None:
    late = NOW + 15 * MINUTE
    came, missing = node("a", seen_at=late), node("b", NodeState.CREATING)
    step = plan(of(pool(2, 1), came, missing, now=late), CountingIds())
    assert [(n.id, n.state) for n in step.changed] == [("b", NodeState.LEAVING_POOL)]
    assert codes(step.pool) == ["AllocationTimedout", "AllocationTimedout"]
    assert dict(step.pool.resize_errors[0].values)["Current"] == "1"
    end = plan(of(step.pool, came, now=late), CountingIds())
    assert (end.pool.allocation, end.pool.target_dedicated) == (STEADY, 2)


def test_a_large_pool_goes_on_by_itself_while_it_gets_nodes() -> None:
    late = NOW + 15 * MINUTE
    came = tuple(node(f"n{n}", seen_at=late) for n in range(3))
    large = of(pool(301), *came, node("x", NodeState.CREATING), now=late, regrow=True)
    again = plan(large, CountingIds())
    assert (again.pool.allocation, again.pool.resize_errors) == (RESIZING, ())
    assert (again.pool.resize.round, again.pool.resize.had, again.pool.resize.started_at) == (2, 3, late)
    assert len(again.new) == 297, "what is on its way is not asked for twice"
    stuck = replace(large, pool=again.pool, now=late + 15 * MINUTE)
    stuck = replace(stuck, nodes=tuple(replace(n, seen_at=stuck.now) for n in stuck.nodes))
    assert codes(plan(stuck, CountingIds()).pool) == ["AllocationTimedout"], "no progress, no further round"
    assert codes(plan(replace(large, regrow=False), CountingIds()).pool) == ["AllocationTimedout"]
    small = replace(large, pool=pool(300))
    assert codes(plan(small, CountingIds()).pool) == ["AllocationTimedout"]


def test_machines_that_do_not_go_are_named_when_the_time_is_over() -> None:
    late = NOW + 15 * MINUTE
    leaving = node("slow", NodeState.LEAVING_POOL, drain=Drain("remove", DeallocationOption.REQUEUE, NOW))
    step = plan(of(pool(0), leaving, now=late), CountingIds())
    assert step.pool.allocation is STEADY
    (error,) = step.pool.resize_errors
    assert (error.code, dict(error.values)["Nodes"]) == ("RemoveNodesFailed", "slow")


def test_the_fewest_slots_in_use_are_given_up_first() -> None:
    busy = node("many", NodeState.RUNNING), node("few", NodeState.RUNNING)
    held = {"many": Held(1, slots=4), "few": Held(2, slots=2)}
    step = plan(of(pool(1), *busy, held=held), CountingIds())
    assert [n.id for n in step.changed if n.drain is not None] == ["few"]


def test_low_priority_is_sought_in_steady_dedicated_is_not() -> None:
    step = plan(of(pool(5, 2, allocation=STEADY), node()), CountingIds())
    assert [n.dedicated for n in step.new] == [False, False]
    pressed = of(pool(0, 2, allocation=STEADY), pressure="no memory")
    assert plan(pressed, CountingIds()).new == ()


def test_a_missing_image_ends_the_growth() -> None:
    step = plan(of(pool(2), node(), image=ImageMissing("i", "it was deleted")), CountingIds())
    assert (step.pool.allocation, codes(step.pool)) == (STEADY, ["AllocationFailed"])
    assert "it was deleted" in dict(step.pool.resize_errors[0].values)["ProviderErrorJson"]
    assert step.new == ()


def test_an_image_being_made_is_waited_for() -> None:
    step = plan(of(pool(2), image=ImagePreparing("installing packages")), CountingIds())
    assert (step.new, step.pool.allocation) == ((), RESIZING)
    assert step.explanation is not None
    assert "installing packages" in step.explanation.message


def test_a_custom_image_serves_so_many_nodes_over_all_pools() -> None:
    shared = Headroom(image_dedicated=2498)
    step = plan(of(pool(10), headroom=shared), CountingIds())
    assert len(step.new) == 2
    assert codes(step.pool) == ["AllocationFailed"]
    values = dict(step.pool.resize_errors[0].values)
    assert (values["Limit"], values["UsedByOtherPools"], values["Requested"]) == ("2500", "2498", "10")
    booted = [replace(n, state=NodeState.IDLE, booted_at=NOW) for n in step.new]
    end = plan(of(step.pool, *booted, headroom=shared), CountingIds())
    assert (end.pool.allocation, end.new) == (STEADY, ())
    marketplace = replace(pool(10), spec=spec(image=ImageReference(publisher="x", offer="y", sku="z")))
    assert len(plan(of(marketplace, headroom=shared), CountingIds()).new) == 10


def test_core_quota() -> None:
    room = Headroom(cores_dedicated=4, cores_per_node=2)
    step = plan(of(pool(10), headroom=room, quotas=Quotas(dedicated_cores=10)), CountingIds())
    assert (len(step.new), codes(step.pool)) == (3, ["AccountCoreQuotaReached"])


def test_nodes_that_are_to_leave_count_until_they_are_gone() -> None:
    going = node("going", NodeState.RUNNING, drain=Drain("remove", DeallocationOption.TASK_COMPLETION, NOW))
    quotas = Quotas(dedicated_cores=4, custom_image_max_dedicated=2)
    for limits in (replace(quotas, custom_image_max_dedicated=9), replace(quotas, dedicated_cores=None)):
        room: Any = {"headroom": Headroom(cores_per_node=2), "quotas": limits, "held": {"going": Held(1)}}
        step = plan(of(pool(2), node("stays"), going, **room), CountingIds())
        assert (step.new, step.pool.allocation, codes(step.pool)) == ((), RESIZING, []), "room comes"
        after = plan(of(step.pool, node("stays"), **room), CountingIds())
        assert (len(after.new), codes(after.pool)) == (1, [])


def test_victims_go_in_order() -> None:
    rows = [
        node("busy", NodeState.RUNNING),
        node("busier", NodeState.RUNNING),
        node("idle"),
        node("creating", NodeState.CREATING),
        node("unusable", NodeState.UNUSABLE),
        node("preempted", NodeState.PREEMPTED),
    ]
    order = victims(rows, {"busy": 1, "busier": 3}, 6)
    assert [n.id for n in order] == ["preempted", "unusable", "creating", "idle", "busy", "busier"]


def test_shrink_removes_at_once_or_waits_for_tasks_beyond_the_timeout() -> None:
    rows = (node("a", NodeState.RUNNING), node("b"))
    step = plan(of(pool(1), *rows, held={"a": Held(1)}), CountingIds())
    assert [(n.id, n.state) for n in step.changed] == [("b", NodeState.LEAVING_POOL)]
    patient = pool(0, resize=Resize(NOW, 5 * MINUTE, DeallocationOption.TASK_COMPLETION))
    step = plan(of(patient, rows[0], held={"a": Held(1)}), CountingIds())
    waiting = step.changed[0]
    assert (waiting.state, step.pool.allocation) == (NodeState.RUNNING, RESIZING)
    late = NOW + HOUR
    step = plan(of(patient, replace(waiting, seen_at=late), held={"a": Held(1)}, now=late), CountingIds())
    assert (step.pool.allocation, step.pool.resize_errors) == (RESIZING, ())
    step = plan(of(patient, replace(waiting, seen_at=late), now=late), CountingIds())
    assert (step.changed[0].state, step.pool.allocation) == (NodeState.LEAVING_POOL, RESIZING)
    assert plan(of(patient, now=late), CountingIds()).pool.allocation is STEADY


def test_named_nodes_are_removed() -> None:
    rows = (node("a"), node("b"))
    step = plan(of(pool(1, resize=Resize(NOW, 5 * MINUTE, remove=("a",))), *rows), CountingIds())
    assert [n.id for n in step.changed] == ["a"]


def test_stop_keeps_what_is_there_and_says_so() -> None:
    stopping = pool(3, 1, allocation=AllocationState.STOPPING)
    rows = (node("a"), node("b", NodeState.CREATING))
    step = plan(of(stopping, *rows), CountingIds())
    assert [(n.id, n.state) for n in step.changed] == [("b", NodeState.LEAVING_POOL)]
    end = plan(of(stopping, rows[0]), CountingIds())
    assert (end.pool.allocation, codes(end.pool)) == (STEADY, ["ResizeStopped"])
    assert (end.pool.target_dedicated, end.pool.target_low_priority) == (1, 0)


def test_a_deleted_pool_loses_its_nodes_then_itself() -> None:
    deleting = pool(1, state=PoolState.DELETING, allocation=STEADY)
    step = plan(of(deleting, node(), held={"n1": Held(1)}), CountingIds())
    assert (step.changed[0].state, step.end_tasks[0][1]) == (NodeState.LEAVING_POOL, "requeue")
    assert plan(of(deleting), CountingIds()).gone
