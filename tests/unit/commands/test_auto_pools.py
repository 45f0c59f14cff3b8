"""Pools made for jobs: made with the job or not at all, changed only in one thing, let go with their owner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.commands import jobs, pools
from poolwright.commands.context import NO_CONDITIONS, Caller
from poolwright.domain.auto_pool import AutoPool
from poolwright.domain.autoscale import ScaleRequest
from poolwright.domain.clock import MINUTE
from poolwright.domain.job import Job, JobSpec
from poolwright.domain.pool import ImageReference
from poolwright.domain.states import JobState, PoolState
from poolwright.reconcile import auto_pools
from tests.unit.commands.conftest import A, World
from tests.unit.commands.values import CUSTOM, MARKET, add_image, steady_pool

AUTO = AutoPool("job", False, "night", MARKET, b"{}", 1, 0)


def spec_of(auto: AutoPool = AUTO) -> JobSpec:
    return JobSpec("", auto_pool=auto)


def make(world: World, id: str = "J1", auto: AutoPool = AUTO) -> Job:
    return world.do(jobs.create, id, spec_of(auto), b"{}")


def let_go(world: World, pool: str) -> None:
    world.write(lambda tx: auto_pools.let_go(tx, A, pool, world.source.time))


def idle(world: World) -> list[str]:
    return [row.pool for row in world.read(lambda tx: tx.auto_pools.idle())]


def test_a_pool_comes_with_its_job(world: World) -> None:
    job = make(world)
    prefix, _, guid = job.spec.pool.partition("_")
    assert (prefix, len(guid), job.state, job.scheduling_error) == ("night", 36, JobState.ACTIVE, None)
    pool = world.read(lambda tx: pools.get(tx, A, job.spec.pool))
    assert (pool.spec, pool.target_dedicated) == (MARKET, 1)
    assert {("pool", job.spec.pool), ("job", "j1")} <= world.woken()
    bare = make(world, "J2", replace(AUTO, prefix=""))
    assert len(bare.spec.pool) == 36


def failing(world: World) -> dict[str, AutoPool]:
    add_image(world)
    bad = replace(AUTO, target_dedicated=None, target_low_priority=None)
    return {
        "AutoPoolCreationFailedWithQuotaReached": AUTO,
        "InvalidAutoScaleFormulaInAutoPool": replace(bad, scale=ScaleRequest(True, "$x = ;")),
        "InvalidAutoPoolSettings": replace(
            AUTO, spec=replace(CUSTOM, image=ImageReference(str(CUSTOM.image.image_id) + "2"))
        ),
    }


@pytest.mark.parametrize(
    "code",
    [
        "AutoPoolCreationFailedWithQuotaReached",
        "InvalidAutoScaleFormulaInAutoPool",
        "InvalidAutoPoolSettings",
    ],
)
def test_a_job_whose_pool_cannot_be_made_is_over_and_says_why(world: World, code: str) -> None:
    if "Quota" in code:
        world.limit(pools=0)
    job = make(world, auto=failing(world)[code])
    assert (job.state, job.ended_at, job.terminate_reason) == (JobState.COMPLETED, world.source.time, None)
    assert job.scheduling_error is not None
    assert (job.scheduling_error.category, job.scheduling_error.code) == ("usererror", code)
    assert job.scheduling_error.details, "the reason is told"
    assert world.read(lambda tx: (tx.pools.every(), tx.auto_pools.idle())) == ([], [])


def test_what_the_form_tells_is_refused_at_once(world: World) -> None:
    for auto, named in (
        (replace(AUTO, lifetime="jobschedule"), "poolLifetimeOption"),
        (replace(AUTO, prefix="x" * 21), "autoPoolIdPrefix"),
        (replace(AUTO, prefix="a b"), "autoPoolIdPrefix"),
        (replace(AUTO, target_dedicated=-1), "pool.targetDedicatedNodes"),
        (replace(AUTO, spec=replace(MARKET, vm_size="huge")), "pool.vmSize"),
    ):
        error = world.refused("InvalidPropertyValue", jobs.create, "J1", spec_of(auto), b"{}")
        assert dict(error.values)["PropertyName"] == f"poolInfo.autoPoolSpecification.{named}"
    add_image(world)
    world.caller = Caller("sharedkey", "acct")
    world.refused("AuthenticationFailed", jobs.create, "J1", spec_of(replace(AUTO, spec=CUSTOM)), b"{}")


@pytest.mark.parametrize("keep_alive", [False, True])
@pytest.mark.parametrize("end", ["completed", "deleted", "moved"])
def test_a_pool_is_let_go_when_its_job_needs_it_no_more(world: World, end: str, keep_alive: bool) -> None:
    job = make(world, auto=replace(AUTO, keep_alive=keep_alive))
    let_go(world, job.spec.pool)
    assert idle(world) == [], "an active job needs its pool"

    if end == "completed":
        world.write(lambda tx: tx.jobs.update(replace(job, state=JobState.COMPLETED)))
    elif end == "deleted":
        world.write(lambda tx: tx.jobs.delete(A, job.id))
        make(world, auto=AUTO)  # the id is used again, by a job with another pool
    else:
        steady_pool(world, "Other")
        world.write(lambda tx: tx.jobs.update(replace(job, state=JobState.DISABLED)))
        world.do(jobs.patch, "J1", lambda _: (JobSpec("Other"), b"{}"), NO_CONDITIONS)
    assert idle(world) == [job.spec.pool]
    let_go(world, job.spec.pool)
    assert idle(world) == []
    pool = world.read(lambda tx: pools.get(tx, A, job.spec.pool))
    assert pool.state is (PoolState.ACTIVE if keep_alive else PoolState.DELETING)
    let_go(world, job.spec.pool)  # once more changes nothing
    assert world.read(lambda tx: pools.get(tx, A, job.spec.pool)) == pool


def test_only_keep_alive_of_an_auto_pool_can_be_changed(world: World) -> None:
    job = make(world)
    kept = world.do(
        jobs.patch, "J1", lambda _: (spec_of(replace(AUTO, keep_alive=True)), b"{}"), NO_CONDITIONS
    )
    assert kept.spec.pool == job.spec.pool
    row = world.read(lambda tx: tx.auto_pools.get(A, job.spec.pool))
    assert row is not None
    assert row.keep_alive
    world.refused(
        "InvalidPropertyValue",
        jobs.patch,
        "J1",
        lambda _: (spec_of(replace(AUTO, target_dedicated=2)), b"{}"),
        NO_CONDITIONS,
    )
    plain = world.do(jobs.create, "J2", JobSpec("P1"), b"{}")
    world.write(lambda tx: tx.jobs.update(replace(plain, state=JobState.DISABLED)))
    world.refused("InvalidPropertyValue", jobs.patch, "J2", lambda _: (spec_of(), b"{}"), NO_CONDITIONS)


def test_a_pool_in_use_is_deleted_only_by_force(world: World) -> None:
    job = make(world)
    world.source.time += MINUTE
    error = world.refused("OperationInvalidForCurrentState", pools.delete, job.spec.pool, NO_CONDITIONS)
    assert "job J1" in dict(error.values)["Reason"]
    world.do(pools.delete, job.spec.pool, NO_CONDITIONS, True)
    assert world.read(lambda tx: pools.get(tx, A, job.spec.pool)).state is PoolState.DELETING
    world.write(lambda tx: tx.jobs.update(replace(job, state=JobState.COMPLETED)))
    let_go(world, job.spec.pool)
    assert idle(world) == []
