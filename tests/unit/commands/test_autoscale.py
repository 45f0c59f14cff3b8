"""Autoscale commands: each rule once, and no trace of what was refused."""

from __future__ import annotations

from dataclasses import replace

from poolwright.commands import autoscale, pools
from poolwright.domain.autoscale import Autoscale, Sample, ScaleRequest
from poolwright.domain.clock import HOUR, MINUTE, SECOND, Micros
from poolwright.domain.limits import SAMPLE_PERIOD
from poolwright.domain.pool import Pool
from poolwright.domain.states import AllocationState
from tests.unit.commands.conftest import START, A, World
from tests.unit.commands.values import ANY, MARKET, deleting_pool, steady_pool

FORMULA = "$TargetDedicatedNodes = 2"


def _pool(world: World) -> Pool:
    return world.read(lambda tx: pools.get(tx, A, "P1"))


def _scaled(world: World, formula: str = FORMULA, interval: Micros | None = None) -> Pool:
    asked = ScaleRequest(True, formula, interval)
    return world.do(pools.create, "P1", MARKET, b"{}", None, None, asked)


def _settings(world: World) -> Autoscale:
    found = _pool(world).autoscale
    assert found is not None
    return found


def test_a_pool_with_autoscale_begins_steady_and_due(world: World) -> None:
    pool = _scaled(world)
    assert (pool.allocation, pool.target_dedicated, pool.resize.number) == (AllocationState.STEADY, 0, 0)
    assert pool.autoscale == Autoscale(FORMULA, 15 * MINUTE, due_at=START)
    assert world.kinds("pool/p1") == ["pool.create"]
    assert world.woken() == {("pool", "p1")}


def test_enabling_keeps_what_is_omitted(world: World) -> None:
    _scaled(world)
    world.source.time += MINUTE
    world.do(autoscale.enable, "p1", None, 6 * MINUTE, ANY)
    now = world.source.time
    assert _settings(world) == Autoscale(FORMULA, 6 * MINUTE, due_at=now, asked_at=now)
    world.source.time += 30 * SECOND
    world.do(autoscale.enable, "p1", "x=1", None, ANY)
    assert (_settings(world).formula, _settings(world).interval) == ("x=1", 6 * MINUTE)


def test_enable_requests_are_spaced_also_over_a_disable(world: World) -> None:
    steady_pool(world)
    world.do(autoscale.enable, "P1", FORMULA, None, ANY)
    world.do(autoscale.disable, "P1")
    world.source.time += 30 * SECOND - 1
    refused = world.refused("TooManyEnableAutoScaleRequests", autoscale.enable, "P1", FORMULA, None, ANY)
    assert refused.status == 503
    world.source.time += 1
    world.do(autoscale.enable, "P1", FORMULA, None, ANY)
    assert _pool(world).autoscaled


def test_what_enabling_refuses(world: World) -> None:
    pool = steady_pool(world)
    world.refused("InvalidAutoScalingSettings", autoscale.enable, "P1", None, None, ANY)
    world.refused("InvalidAutoScalingSettings", autoscale.enable, "P1", None, HOUR, ANY)
    world.refused("PoolNotFound", autoscale.enable, "nobody", FORMULA, None, ANY)
    world.write(lambda tx: tx.pools.update(replace(pool, allocation=AllocationState.RESIZING)))
    world.refused("PoolBeingResized", autoscale.enable, "P1", FORMULA, None, ANY)
    world.refused("PoolBeingResized", autoscale.disable, "P1")


def test_a_pool_that_goes_is_not_scaled(world: World) -> None:
    deleting_pool(world)
    world.refused("PoolBeingDeleted", autoscale.enable, "P1", FORMULA, None, ANY)
    world.refused("PoolBeingDeleted", autoscale.disable, "P1")
    world.refused("PoolBeingDeleted", autoscale.evaluate_now, "P1", FORMULA, False)


def test_disabling_keeps_targets_and_tag(world: World) -> None:
    _scaled(world)
    world.do(autoscale.evaluate_now, "P1", FORMULA, True)
    world.write(lambda tx: tx.pools.update(replace(_pool(world), allocation=AllocationState.STEADY)))
    before = _pool(world)
    after = world.do(autoscale.disable, "P1")
    assert (after.target_dedicated, after.modified_at) == (2, before.modified_at)
    assert not after.autoscaled
    assert world.do(autoscale.disable, "P1") == after


def test_a_resize_by_hand_is_refused_while_a_formula_sizes_the_pool(world: World) -> None:
    _scaled(world)
    arguments = ("P1", 3, None, None, None, ANY)
    world.refused("OperationInvalidForCurrentState", pools.resize, *arguments)
    world.do(autoscale.disable, "P1")
    assert world.do(pools.resize, *arguments).target_dedicated == 3


def test_evaluating_changes_nothing(world: World) -> None:
    _scaled(world)
    before = world.contents()
    run = world.do(autoscale.evaluate_now, "P1", "$TargetDedicatedNodes = 5; x=rand()", False)
    assert run.results.startswith("$TargetDedicatedNodes=5;")
    failed = world.do(autoscale.evaluate_now, "P1", "x=", False)
    assert failed.error is not None
    assert world.contents() == before


def test_a_stop_under_way_is_not_overtaken(world: World) -> None:
    pool = _scaled(world)
    world.write(lambda tx: tx.pools.update(replace(pool, allocation=AllocationState.STOPPING)))
    world.refused("OperationInvalidForCurrentState", autoscale.evaluate_now, "P1", FORMULA, True)


def test_a_replay_begins_with_the_size_that_was_recorded(world: World) -> None:
    _scaled(world)
    first = START - 30 * MINUTE
    for index in range(60):
        taken = Sample(first + index * SAMPLE_PERIOD, {"CurrentDedicatedNodes": 4.0})
        world.write(lambda tx, taken=taken: tx.samples.record(A, "P1", taken))  # type: ignore[misc]
    steps = world.do(
        autoscale.simulate, "P1", "$TargetDedicatedNodes=$CurrentDedicatedNodes+1", 1.0, 10 * MINUTE
    )
    assert [step.outcome.targets[0] for step in steps] == [5, 6, 7, 8]
    assert [step.outcome.run.at for step in steps] == [first + n * 10 * MINUTE for n in range(4)]
    assert world.do(autoscale.simulate, "P1", None, 0.1, None) != []
