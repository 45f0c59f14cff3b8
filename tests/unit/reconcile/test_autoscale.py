"""Autoscale in the passes: samples on their grid, runs when they are due, targets that replace those under way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.domain.autoscale import Autoscale, Sample
from poolwright.domain.clock import MINUTE, SECOND
from poolwright.domain.facts import Explanation
from poolwright.domain.limits import SAMPLE_HISTORY, SAMPLE_PERIOD
from poolwright.domain.pool import Pool, Resize, ResizeError
from poolwright.domain.states import AllocationState, DeallocationOption, NodeState, PoolState
from poolwright.reconcile import autoscale
from poolwright.reconcile.explanations import Explanations
from tests.unit.reconcile.world import ACCOUNT, World

STEADY, RESIZING = AllocationState.STEADY, AllocationState.RESIZING
GROW = "$TargetDedicatedNodes = $CurrentDedicatedNodes + 1; $NodeDeallocationOption = taskcompletion;"


def scaled(formula: str = GROW, nodes: int = 2, **more: object) -> World:
    world = World(nodes=nodes)
    settings = Autoscale(formula, 5 * MINUTE, due_at=world.clock.at)
    world.set_pool(autoscale=settings, **more)
    return world


def settings_of(pool: Pool) -> Autoscale:
    assert pool.autoscale is not None
    return pool.autoscale


def take(world: World) -> int:
    return world.write(lambda tx: autoscale.sample(tx, world.kit, world.clock.at))


def recorded(world: World) -> list[Sample]:
    return world.store.read_now(lambda tx: tx.samples.between(ACCOUNT, "p", 0, world.clock.at))


def facts(world: World) -> list[str]:
    found = world.store.read_now(lambda tx: tx.journal.of_subject(ACCOUNT, "pool/p", 50))
    return [fact.kind for fact in found][::-1]


def test_samples_add_up_to_the_statistics_of_the_pool() -> None:
    world = World(nodes=2)
    for _ in range(2):
        take(world)
        take(world)  # twice at one moment counts once
        world.clock.at += SAMPLE_PERIOD
    stats = world.store.read_now(lambda tx: tx.samples.stats(ACCOUNT, "p"))
    assert stats.core_time == 2 * 2 * 2 * SAMPLE_PERIOD
    assert (stats.measured, stats.average(stats.cpu)) == (0, 0.0), "nobody told what its nodes use"


def test_a_run_that_is_due_resizes_the_pool_in_the_same_pass() -> None:
    world = scaled()
    before = world.pool()
    work = world.look()
    pool = world.pool()
    assert (pool.allocation, pool.target_dedicated, len(work.creates)) == (RESIZING, 3, 1)
    assert pool.resize.option is DeallocationOption.TASK_COMPLETION
    assert pool.modified_at > before.modified_at
    run = settings_of(pool).run
    assert run is not None
    assert run.results == (
        "$TargetDedicatedNodes=3;$TargetLowPriorityNodes=0;$NodeDeallocationOption=taskcompletion"
    )
    assert settings_of(pool).due_at == world.clock.at + 5 * MINUTE
    assert facts(world)[:2] == ["pool.autoscale", "pool.resize.start"]
    world.look()
    assert settings_of(world.pool()).run == run


def test_the_next_run_keeps_the_schedule_and_misses_are_not_made_up_for() -> None:
    world = scaled("$TargetDedicatedNodes = 2")
    start = world.clock.at
    work = world.look()
    assert work.wake_at == start + 5 * MINUTE
    world.clock.at += 17 * MINUTE
    world.look()
    pool = world.pool()
    assert settings_of(pool).due_at == start + 20 * MINUTE
    assert pool.allocation is STEADY
    assert facts(world) == ["pool.autoscale", "pool.autoscale"]


def test_a_failing_formula_leaves_the_pool_and_says_why() -> None:
    world = scaled("$TargetDedicatedNodes = avg($PendingTasks.GetSample(TimeInterval_Minute*5,70))")
    before = world.pool()
    world.look()
    pool = world.pool()
    assert (pool.allocation, pool.target_dedicated, pool.modified_at) == (STEADY, 2, before.modified_at)
    run = settings_of(pool).run
    assert run is not None
    assert run.error is not None
    assert run.error.code == "InsufficientSampleData"


def test_new_targets_replace_those_under_way() -> None:
    error = ResizeError("AllocationFailed", "no", (("NodeType", "dedicated"),))
    world = scaled(
        "$TargetDedicatedNodes = 1",
        target_dedicated=5,
        allocation=RESIZING,
        resize=Resize(1, 900 * SECOND, number=7, remove=("n1",)),
        resize_errors=(error,),
    )
    world.look()
    pool = world.pool()
    assert (pool.allocation, pool.target_dedicated, pool.resize.number) == (RESIZING, 1, 8)
    assert pool.resize.started_at == world.clock.at
    assert pool.resize_errors == ()
    assert world.states().count(NodeState.LEAVING_POOL) == 1


def test_one_run_adds_at_most_so_many_nodes_as_the_operator_says() -> None:
    world = scaled("$TargetDedicatedNodes = 9; $TargetLowPriorityNodes = 1")
    world.kit = replace(world.kit, settings=replace(world.kit.settings, autoscale_max_step=3))
    for target in (5, 8, 9, 9):
        world.look()
        assert (world.pool().target_dedicated, world.pool().target_low_priority) == (target, 1)
        run = settings_of(world.pool()).run
        assert run is not None
        assert run.results.startswith("$TargetDedicatedNodes=9;"), "what the formula said"
        world.clock.at += 5 * MINUTE


@pytest.mark.parametrize(
    "more",
    [
        {"allocation": AllocationState.STOPPING},
        {"state": PoolState.DELETING},
        {"autoscale": Autoscale(GROW, 5 * MINUTE, 0, enabled=False)},
    ],
)
def test_no_run_while_stopping_deleting_or_off(more: dict[str, object]) -> None:
    world = scaled()
    world.set_pool(**more)
    assert world.write(lambda tx: autoscale.run(tx, world.kit, ACCOUNT, "p", world.clock.at)) is None
    assert settings_of(world.pool()).run is None


def test_samples_lie_on_a_grid_and_are_taken_once() -> None:
    world = World(nodes=2, slots=2)
    world.add("a", "b", "c", "d", "e")
    world.look()
    world.set_node("n1", state=NodeState.PREEMPTED, dedicated=False)
    again = take(world)
    assert again == (world.clock.at // SAMPLE_PERIOD + 1) * SAMPLE_PERIOD
    assert take(world) == again
    (one,) = recorded(world)
    assert one.at == again - SAMPLE_PERIOD
    assert one.metrics == {
        "CurrentDedicatedNodes": 1,
        "CurrentLowPriorityNodes": 1,
        "PreemptedNodeCount": 1,
        "UsableNodeCount": 1,
        "ActiveTasks": 1,
        "RunningTasks": 4,
        "PendingTasks": 5,
        "SucceededTasks": 0,
        "FailedTasks": 0,
        "ActiveTaskSlots": 1,
        "RunningTaskSlots": 4,
        "PendingTaskSlots": 5,
    }


def test_samples_are_kept_for_a_day() -> None:
    world = World()
    first = take(world)
    world.clock.at = first + SAMPLE_HISTORY
    take(world)
    assert [sample.at for sample in recorded(world)] == [first + SAMPLE_HISTORY]


def test_a_formula_sees_a_sample_when_the_next_one_is_due() -> None:
    world = scaled("$TargetDedicatedNodes = max(0, $PendingTasks.GetSample(1))", nodes=1)
    world.set_pool(target_dedicated=1)
    world.add("a", "b", "c")
    take(world)
    world.look()
    assert world.pool().target_dedicated == 0, "the sample does not show yet"
    pool = world.pool()
    world.clock.at += SAMPLE_PERIOD
    world.set_pool(autoscale=replace(settings_of(pool), due_at=world.clock.at))
    world.look()
    assert world.pool().target_dedicated == 3


def test_a_pool_says_what_its_formula_did() -> None:
    world = scaled("$TargetDedicatedNodes = nothing", nodes=0)
    world.set_pool(target_dedicated=0)
    world.add("t")
    say = Explanations(world.kit)

    def pool() -> Explanation:
        return world.store.read_now(lambda tx: say.pool(tx, ACCOUNT, "p"))

    assert pool().code == "AutoscaleDue"
    world.look()
    assert pool().code == "AutoscaleFailed"
    assert "Line 1, Col 25: the variable nothing is not defined" in pool().message
    task = world.store.read_now(lambda tx: say.task(tx, ACCOUNT, "j", "t"))
    assert "the variable nothing is not defined" in task.message
    settings = replace(settings_of(world.pool()), formula="$x = 1", due_at=world.clock.at)
    world.set_pool(autoscale=settings)
    world.look()
    assert pool().code == "AutoscaleSized"
    assert dict(pool().evidence)["Results"].endswith(";$x=1")
