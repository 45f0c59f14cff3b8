"""Job schedules and auto pools in the stories: what callers ask of them, and what must always hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from poolwright.commands import schedules
from poolwright.commands.context import NO_CONDITIONS, Context
from poolwright.domain.auto_pool import JOB, SCHEDULE, AutoPool
from poolwright.domain.clock import FOREVER, MINUTE, SECOND, Instant
from poolwright.domain.errors import ServiceError
from poolwright.domain.job import NO_ACTION, TERMINATE_DONE, JobSpec
from poolwright.domain.job_schedule import JobSchedule, ScheduleSpec, Timing
from poolwright.domain.occurrences import occurrence
from poolwright.domain.pool import PoolSpec
from poolwright.domain.states import JobState, PoolState, ScheduleState
from poolwright.sim.seen import Seen
from poolwright.store.base import Tx

SCHEDULES = ("nightly", "hourly")
PREFIX = "auto"
#: A job that is due is made within this time, when nothing hinders it.
LATE: Instant = MINUTE
_ORDERS = {
    "disable": schedules.disable,
    "enable": schedules.enable,
    "terminate": schedules.terminate,
    "delete": schedules.delete,
}


def all_schedules(tx: Tx, account: str) -> list[JobSchedule]:
    """Every schedule of the account."""
    return tx.schedules.page(account, None, 1000)


def auto_pool(rng: Random, spec: PoolSpec, lifetime: str = JOB) -> AutoPool:
    """A small pool of that kind; one in ten outlives its owner."""
    return AutoPool(lifetime, rng.random() < 0.1, PREFIX, spec, b"{}", 1, rng.randrange(2))


def create(tx: Tx, ctx: Context, account: str, rng: Random, pools: Sequence[str], spec: PoolSpec) -> str:
    """A new schedule. Its jobs end when their tasks have (or at once, having none), or only by request."""
    auto = None
    if rng.random() < 0.6:
        auto = auto_pool(rng, spec, rng.choice((JOB, SCHEDULE)))
    job = JobSpec(
        "" if auto else rng.choice(pools),
        on_all_tasks_complete=rng.choice((TERMINATE_DONE, NO_ACTION)),
        auto_pool=auto,
    )
    name = rng.choice(SCHEDULES)
    schedules.create(tx, ctx, account, name, ScheduleSpec(timing(rng, ctx.now), job, b"{}"), b"{}")
    return name


def timing(rng: Random, now: Instant) -> Timing:
    """Times of a schedule: of one job or of many, with windows or without."""
    return Timing(
        not_before=rng.choice((None, now + MINUTE)),
        not_after=rng.choice((None, None, now + 10 * MINUTE)),
        window=rng.choice((FOREVER, MINUTE)),
        every=rng.choice((None, MINUTE, 3 * MINUTE)),
    )


def order(tx: Tx, ctx: Context, account: str, rng: Random) -> str:
    """One order to one schedule."""
    found = all_schedules(tx, account)
    if not found:
        raise ServiceError("JobScheduleNotFound")
    name = rng.choice(found).id
    what = rng.choices(tuple(_ORDERS), (3, 4, 1, 2))[0]
    _ORDERS[what](tx, ctx, account, name, NO_CONDITIONS)
    return f"{what} {name}"


class OneJobASchedule:
    """A schedule has at most one job that has not completed; while it is being deleted all of them go."""

    def __init__(self, account: str) -> None:
        self._account = account

    def check(self, seen: Seen) -> list[str]:
        tx, jobs = seen.tx, seen.jobs
        going = {s.id for s in all_schedules(tx, self._account) if s.state is ScheduleState.DELETING}
        active = Counter(
            job.schedule
            for job in jobs
            if job.schedule is not None and job.state not in (JobState.COMPLETED, JobState.DELETING)
        )
        known = {schedule.id for schedule in all_schedules(tx, self._account)}
        said = [f"schedule {id} has {n} active jobs" for id, n in active.items() if n > 1 and id not in going]
        return said + [
            f"job {job.id} has lost its schedule"
            for job in jobs
            if job.schedule and job.schedule not in known
        ]


class OnePoolAnOwner:
    """Every auto pool has an owner it was made for, or was kept; no owner has two; a job that needs one has it."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._kept: set[str] = set()

    def check(self, seen: Seen) -> list[str]:
        tx = seen.tx
        said, owners = [], Counter[tuple[str, str]]()
        for pool in seen.pools:
            row = tx.auto_pools.get(self._account, pool.id)
            if not pool.id.startswith(PREFIX + "_") or pool.state is PoolState.DELETING:
                continue
            if row is None and not self._was_kept(tx, pool.id):
                said.append(f"pool {pool.id} is nobody's")
            if row is not None and row.owner == JOB:
                owners[row.owner, row.owner_id] += 1
            if row is not None and tx.auto_pools.holder(self._account, pool.id) and row.owner == SCHEDULE:
                owners[row.owner, row.owner_id] += 1
        said += [f"{owner} has {count} pools" for owner, count in owners.items() if count > 1]
        for job in seen.jobs:
            if job.spec.auto_pool is None or job.state in (JobState.COMPLETED, JobState.DELETING):
                continue
            pool_row = tx.pools.get(self._account, job.spec.pool)
            if pool_row is None or pool_row.state is not PoolState.ACTIVE:
                said.append(f"job {job.id} is {job.state.value} without its pool {job.spec.pool}")
        return said

    def _was_kept(self, tx: Tx, pool: str) -> bool:
        facts = tx.journal.of_subject(self._account, f"pool/{pool}", 50) if pool not in self._kept else ()
        if any(fact.kind == "pool.auto.kept" for fact in facts):
            self._kept.add(pool)  # facts are kept for a while only
        return pool in self._kept


class WindowsKept:
    """A schedule's jobs are made inside the windows of its due times, each due time once, also after downtime."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._changed: dict[str, Instant] = {}

    def changed(self, schedule: str, at: Instant) -> None:
        """A caller gave the schedule other times: jobs made before that followed the old ones."""
        self._changed[schedule] = at

    def check(self, seen: Seen) -> list[str]:
        said = []
        for schedule in all_schedules(seen.tx, self._account):
            since = self._changed.get(schedule.id, 0)
            made = sorted(
                job.created_at for job in seen.jobs if job.schedule == schedule.id and job.created_at > since
            )
            timing = schedule.spec.timing
            first = max(timing.not_before or 0, schedule.created_at)
            every = FOREVER if timing.every is None else timing.every
            late = FOREVER if timing.not_after is None else timing.not_after
            served = [(at - first) // every for at in made]
            if len(set(served)) < len(served):
                said.append(f"schedule {schedule.id} served a due time twice: {served}")
            said += [
                f"schedule {schedule.id} made a job {(at - first) // SECOND} s after it was due first, every {every}"
                for at in made
                if at < first or at > late or (at - first) % every >= min(timing.window, every)
            ]
        return said


def stuck(tx: Tx, account: str, now: Instant, quota: int) -> list[str]:
    """Schedules that should have moved on by themselves, but have not, and pools that should have been let go. At the
    quota of active jobs a schedule makes none."""
    full = tx.jobs.count_active(account) + tx.schedules.count_active(account) >= quota
    said = [f"pool {row.pool} is not needed by {row.owner} {row.owner_id}" for row in tx.auto_pools.idle()]
    for schedule in all_schedules(tx, account):
        if schedule.state in (ScheduleState.TERMINATING, ScheduleState.DELETING):
            said.append(f"schedule {schedule.id} is {schedule.state.value}")
        if schedule.state is not ScheduleState.ACTIVE or tx.jobs.open_of_schedule(account, schedule.id, 1):
            continue
        due = occurrence(schedule, now)
        if due is None and not _may_wait(schedule, now):
            said.append(f"schedule {schedule.id} has nothing to wait for and is active")
        if due is not None and now - due.at > LATE and not full:
            said.append(f"schedule {schedule.id} has made no job for {(now - due.at) // MINUTE} minutes")
    return said


def _may_wait(schedule: JobSchedule, now: Instant) -> bool:
    after = schedule.spec.timing.not_after
    return after is not None and now <= after + LATE
