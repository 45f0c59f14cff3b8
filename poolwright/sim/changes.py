"""Changes that callers make to what is there already: some members of it (PATCH), or all of them (PUT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from poolwright.commands import jobs, schedules, tasks
from poolwright.commands.context import NO_CONDITIONS, Context
from poolwright.domain.clock import FOREVER, MINUTE, SECOND
from poolwright.domain.job import NO_ACTION, TERMINATE_DONE, TERMINATE_IDLE, Job, JobSpec
from poolwright.domain.states import JobState
from poolwright.domain.task import Task
from poolwright.sim.schedules import all_schedules, timing
from poolwright.sim.seen import ACCOUNT
from poolwright.store.base import Tx

#: What a PUT that leaves everything out means.
_DEFAULTS: dict[str, Any] = {
    "priority": 0,
    "max_parallel_tasks": -1,
    "max_wall_clock": FOREVER,
    "max_task_retries": 0,
    "preemptible": False,
    "on_all_tasks_complete": NO_ACTION,
}


def job(tx: Tx, ctx: Context, rng: Random, id: str, pools: Sequence[str]) -> tuple[str, Job]:
    """One change of one job: what it was, and the job after it. A pool may be changed while the job is disabled."""
    before = jobs.get(tx, ACCOUNT, id)
    what = rng.choice((*_DEFAULTS, "on_all_tasks_complete", "pool", "all", "all"))
    if before.state is JobState.DISABLED and rng.random() < 0.5:
        what = "pool"
    if what == "all":
        row = jobs.replace(tx, ctx, ACCOUNT, id, lambda row: _with(row, _DEFAULTS), NO_CONDITIONS)
        return f"{id} put", row
    value = _value(rng, what, before.spec, ctx.now - before.started_at, pools)
    row = jobs.patch(tx, ctx, ACCOUNT, id, lambda row: _with(row, {what: value}), NO_CONDITIONS)
    return f"{id} {what} {value}", row


def _with(row: Job, members: dict[str, Any]) -> tuple[JobSpec, bytes]:
    return replace(row.spec, **members), row.document


def _value(rng: Random, what: str, spec: JobSpec, age: int, pools: Sequence[str]) -> Any:
    values: dict[str, Any] = {
        "priority": rng.randrange(3),
        "max_parallel_tasks": rng.choice((-1, 1, 3)),
        "max_wall_clock": rng.choice((FOREVER, age + MINUTE, MINUTE)),
        "max_task_retries": rng.randrange(3),
        "preemptible": not spec.preemptible,
        "on_all_tasks_complete": rng.choice((NO_ACTION, TERMINATE_DONE, TERMINATE_IDLE)),
        "pool": rng.choice(pools) if spec.auto_pool is None else spec.pool,
    }
    return values[what]


def task(tx: Tx, ctx: Context, rng: Random, job: str, id: str) -> Task:
    """New constraints for one task."""
    retries = rng.choice((None, 0, 2))
    clock = rng.choice((FOREVER, 30 * SECOND))
    retention = rng.randrange(20 * MINUTE)
    return tasks.replace_constraints(tx, ctx, ACCOUNT, job, id, retries, clock, retention, NO_CONDITIONS)


def schedule(tx: Tx, ctx: Context, rng: Random) -> str:
    """Other times for one schedule; a job that runs goes on. Returns its name, or "" where there is none."""
    found = all_schedules(tx, ACCOUNT)
    if not found:
        return ""
    name, times = rng.choice(found).id, timing(rng, ctx.now)
    schedules.change(
        tx, ctx, ACCOUNT, name, lambda row: (replace(row.spec, timing=times), row.document), NO_CONDITIONS
    )
    return name
