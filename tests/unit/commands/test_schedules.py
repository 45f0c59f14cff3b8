"""Job schedules: what callers may ask, and the jobs and pools that are made for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from poolwright.commands import jobs, pools, schedules
from poolwright.commands.context import NO_CONDITIONS, Caller, Preconditions
from poolwright.domain.auto_pool import SCHEDULE, AutoPool
from poolwright.domain.clock import MINUTE, SECOND
from poolwright.domain.job import FORCE, Job, JobSpec, JobStats
from poolwright.domain.job_schedule import JobSchedule, ScheduleSpec, Timing
from poolwright.domain.states import JobState, PoolState, ScheduleState
from poolwright.domain.task_usage import TaskUsage
from poolwright.reconcile import auto_pools
from poolwright.reconcile import schedules as loop
from tests.unit.commands.conftest import A, World
from tests.unit.commands.values import CUSTOM, JOB, MARKET, add_image

EACH = Timing(every=10 * MINUTE)
SHARED = JobSpec("", auto_pool=AutoPool(SCHEDULE, False, "", MARKET, b"{}", 1))
ORDERS = (schedules.disable, schedules.enable, schedules.terminate, schedules.delete)


def spec_of(timing: Timing = EACH, job: JobSpec = JOB) -> ScheduleSpec:
    return ScheduleSpec(timing, job, b'{"id":"job"}')


def create(world: World, id: str = "S", timing: Timing = EACH, job: JobSpec = JOB) -> JobSchedule:
    return world.do(schedules.create, id, spec_of(timing, job), b"{}")


def look(world: World, id: str = "S") -> JobSchedule | None:
    """Passes of the schedule's loop until nothing more is to be done at once."""
    make = schedules.JobFactory(world.source, world.source, world.settings)
    for _ in range(5):
        again = world.write(partial(loop.run, make=make, account=A, id=id, now=world.source.time))
        if again is None or again > world.source.time:
            break
    return world.read(lambda tx: tx.schedules.get(A, id))


def seen(world: World, id: str = "S") -> JobSchedule:
    found = look(world, id)
    assert found is not None
    return found


def job(world: World, number: int, id: str = "S") -> Job:
    return world.read(lambda tx: jobs.get(tx, A, f"{id}:job-{number}"))


def end(world: World, number: int, id: str = "S") -> None:
    row = job(world, number, id)
    world.write(lambda tx: tx.jobs.update(replace(row, state=JobState.COMPLETED, ended_at=world.source.time)))


def _set_state(world: World, state: ScheduleState) -> None:
    row = world.read(lambda tx: schedules.get(tx, A, "S"))
    world.write(lambda tx: tx.schedules.update(replace(row, state=state)))


def _remove(world: World, job_id: str) -> None:
    world.write(lambda tx: tx.jobs.delete(A, job_id))


def test_jobs_are_made_one_at_a_time(world: World) -> None:
    create(world)
    assert seen(world).recent_job == "S:job-1"
    first = job(world, 1)
    assert (first.state, first.schedule, first.spec.pool) == (JobState.ACTIVE, "S", "P1")
    world.source.time += 25 * MINUTE
    assert seen(world).jobs == 1, "the first job still runs"
    assert world.read(lambda tx: tx.schedules.due(world.source.time)) == []
    end(world, 1)
    assert [row.id for row in world.read(lambda tx: tx.schedules.due(world.source.time))] == ["S"]
    row = seen(world)
    assert (row.jobs, row.due_at) == (2, row.created_at + 30 * MINUTE)
    listed = world.read(lambda tx: tx.jobs.page_of_schedule(A, "s", None, 10))
    assert [one.id for one in listed] == ["S:job-1", "S:job-2"]
    assert world.read(lambda tx: tx.jobs.page_of_schedule(A, "s", "S:job-1", 10)) == listed[1:]


def test_jobs_and_schedules_share_their_ids_and_their_quota(world: World) -> None:
    create(world)
    world.refused("JobScheduleWithSameIdExists", jobs.create, "s", JOB, b"{}")
    world.refused("JobScheduleExists", schedules.create, "s", spec_of(), b"{}")
    world.do(jobs.create, "J1", JOB, b"{}")
    world.refused("JobWithSameIdExists", schedules.create, "j1", spec_of(), b"{}")
    world.limit(active_jobs=2)
    world.refused("ActiveJobAndScheduleQuotaReached", jobs.create, "J2", JOB, b"{}")
    world.refused("ActiveJobAndScheduleQuotaReached", schedules.create, "T", spec_of(), b"{}")
    assert seen(world).jobs == 0, "the job it should make waits for the quota"
    world.limit(active_jobs=3)
    assert seen(world).jobs == 1


@pytest.mark.parametrize(
    ("timing", "named"),
    [
        (Timing(every=MINUTE - 1), "schedule.recurrenceInterval"),
        (Timing(window=59 * SECOND), "schedule.startWindow"),
        (Timing(not_after=1), "schedule.doNotRunAfter"),
        (Timing(not_before=4 * 10**15, not_after=4 * 10**15), "schedule.doNotRunAfter"),
    ],
)
def test_times_that_make_no_sense(world: World, timing: Timing, named: str) -> None:
    error = world.refused("InvalidPropertyValue", schedules.create, "S", spec_of(timing), b"{}")
    assert dict(error.values)["PropertyName"] == named


def test_what_the_job_may_not_be_is_said_with_its_place(world: World) -> None:
    error = world.refused(
        "OutOfRangePriority", schedules.create, "S", spec_of(job=replace(JOB, priority=2000)), b"{}"
    )
    assert dict(error.values)["PropertyName"] == "jobSpecification.priority"
    add_image(world)
    world.caller = Caller("sharedkey", "acct")
    assert SHARED.auto_pool is not None
    custom = replace(SHARED, auto_pool=replace(SHARED.auto_pool, spec=CUSTOM))
    world.refused("AuthenticationFailed", schedules.create, "S", spec_of(job=custom), b"{}")


def test_orders_in_states_they_do_not_fit(world: World) -> None:
    for order in ORDERS:
        world.refused("JobScheduleNotFound", order, "S", NO_CONDITIONS)
    row = create(world)
    world.refused("ConditionNotMet", schedules.disable, "S", Preconditions(if_match="0x1"))
    assert world.do(schedules.enable, "S", NO_CONDITIONS) == row, "an enabled one stays as it is"
    assert world.do(schedules.disable, "S", NO_CONDITIONS).state is ScheduleState.DISABLED
    world.refused("JobScheduleDisabled", schedules.disable, "S", NO_CONDITIONS)
    assert seen(world).jobs == 0
    codes = {
        ScheduleState.TERMINATING: "JobScheduleBeingTerminated",
        ScheduleState.COMPLETED: "JobScheduleCompleted",
        ScheduleState.DELETING: "JobScheduleBeingDeleted",
    }
    for state, code in codes.items():
        _set_state(world, state)
        for order in ORDERS[:3]:
            world.refused(code, order, "S", NO_CONDITIONS)
        world.refused(code, schedules.change, "S", lambda old: (old.spec, old.document), NO_CONDITIONS)
    world.refused("JobScheduleBeingDeleted", schedules.delete, "S", NO_CONDITIONS)
    world.refused("JobScheduleBeingDeleted", schedules.create, "S", spec_of(), b"{}")


def test_statistics_are_those_of_all_jobs(world: World) -> None:
    create(world)
    look(world)
    first = job(world, 1)
    used, at = TaskUsage(1, 2, 7, 4, 5, 6, 8), world.source.time
    world.store._connection.execute(
        "INSERT INTO job_stats (job_pk, user, kernel, wall, reads, writes, read_bytes, written_bytes, waited, retries, "
        "last_at) VALUES (?, 1, 2, 7, 4, 5, 6, 8, 3, 1, ?)",
        (first.pk, at),
    )
    world.store._connection.execute(
        "INSERT INTO task_count (job_pk, slots, succeeded, failed) VALUES (?, 1, 4, 2)", (first.pk,)
    )
    counts, stats = world.read(lambda tx: tx.schedules.stats(A, "s"))
    assert (counts.succeeded, counts.failed, stats) == (4, 2, JobStats(used, 3, 1, at))
    assert world.read(lambda tx: tx.schedules.stats(A, "none"))[1] == JobStats()


def test_terminating_ends_the_active_job(world: World) -> None:
    create(world)
    look(world)
    world.do(schedules.terminate, "S", NO_CONDITIONS)
    assert seen(world).state is ScheduleState.TERMINATING
    ending = job(world, 1)
    assert (ending.state, ending.terminate_reason) == (JobState.TERMINATING, "TerminateJobSchedule")
    end(world, 1)
    row = seen(world)
    assert (row.state, row.ended_at) == (ScheduleState.COMPLETED, world.source.time)
    world.do(schedules.delete, "S", NO_CONDITIONS)


@pytest.mark.parametrize("order", [schedules.terminate, schedules.delete])
def test_force_waits_for_no_node(world: World, order: Callable[..., object]) -> None:
    create(world)
    look(world)
    world.do(partial(order, force=True), "S", NO_CONDITIONS)
    wanted = JobState.TERMINATING if order is schedules.terminate else JobState.DELETING
    assert (job(world, 1).state, job(world, 1).disable_tasks) == (wanted, FORCE)
    look(world)
    assert job(world, 1).disable_tasks == FORCE, "the loop leaves it so"


def test_deleting_takes_all_jobs_along(world: World) -> None:
    create(world)
    look(world)
    end(world, 1)
    world.source.time += 10 * MINUTE
    look(world)
    world.do(schedules.delete, "S", NO_CONDITIONS)
    look(world)
    assert [job(world, n).state for n in (1, 2)] == [JobState.DELETING] * 2
    for number in (1, 2):
        _remove(world, f"S:job-{number}")
    assert look(world) is None
    create(world)
    assert seen(world).jobs == 1


def test_a_change_is_for_later_jobs(world: World) -> None:
    create(world)
    look(world)
    changed = ScheduleSpec(Timing(every=5 * MINUTE), replace(JOB, priority=7), b"{}")
    world.do(schedules.change, "S", lambda _: (changed, b"{}"), NO_CONDITIONS)
    assert job(world, 1).spec.priority == 0
    end(world, 1)
    world.source.time += 5 * MINUTE
    look(world)
    assert job(world, 2).spec.priority == 7


def pools_left(world: World) -> list[tuple[str, PoolState]]:
    return [(pool.id, pool.state) for pool in world.read(lambda tx: tx.pools.every())]


def reap(world: World) -> None:
    for row in world.read(lambda tx: tx.auto_pools.idle()):
        world.write(partial(auto_pools.let_go, account=A, id=row.pool, now=world.source.time))


def test_one_pool_for_all_jobs_of_a_schedule(world: World) -> None:
    create(world, job=SHARED)
    first = seen(world).pool
    assert first is not None
    assert job(world, 1).spec.pool == first
    world.refused("OperationInvalidForCurrentState", pools.delete, first, NO_CONDITIONS)
    end(world, 1)
    reap(world)
    world.source.time += 10 * MINUTE
    look(world)
    assert job(world, 2).spec.pool == first
    assert pools_left(world) == [(first, PoolState.ACTIVE)]

    # Deleted by force under the schedule's feet: the next job gets a new one.
    world.do(pools.delete, first, NO_CONDITIONS, True)
    end(world, 2)
    world.source.time += 10 * MINUTE
    second = seen(world).pool
    assert second != first
    assert job(world, 3).spec.pool == second
    reap(world)
    world.do(schedules.terminate, "S", NO_CONDITIONS)
    look(world)
    end(world, 3)
    look(world)
    reap(world)
    assert dict(pools_left(world)) == {first: PoolState.DELETING, second: PoolState.DELETING}


def test_a_pool_for_each_job_of_a_schedule(world: World) -> None:
    assert SHARED.auto_pool is not None
    create(world, job=replace(SHARED, auto_pool=replace(SHARED.auto_pool, lifetime="job")))
    look(world)
    first = job(world, 1).spec.pool
    end(world, 1)
    reap(world)
    world.source.time += 10 * MINUTE
    assert seen(world).pool is None
    second = job(world, 2).spec.pool
    assert dict(pools_left(world)) == {first: PoolState.DELETING, second: PoolState.ACTIVE}


def test_a_job_without_its_pool_is_over_and_the_schedule_goes_on(world: World) -> None:
    world.limit(pools=0)
    create(world, job=SHARED)
    row = seen(world)
    failed = job(world, 1)
    assert (row.state, row.pool, failed.state) == (ScheduleState.ACTIVE, None, JobState.COMPLETED)
    assert failed.scheduling_error is not None
    assert failed.scheduling_error.code == "AutoPoolCreationFailedWithQuotaReached"
    world.limit(pools=1)
    world.source.time += 10 * MINUTE
    assert seen(world).pool == job(world, 2).spec.pool
