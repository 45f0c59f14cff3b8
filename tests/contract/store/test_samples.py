"""Autoscale settings and samples: kept with their pool, found by time, counted by the state of their jobs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from poolwright.domain.autoscale import Autoscale, AutoscaleRun, RunError, Sample, TaskFigures
from poolwright.domain.clock import MINUTE
from poolwright.domain.job import JobSpec
from poolwright.domain.multi_instance import MultiInstance
from poolwright.domain.states import JobState, TaskState
from poolwright.domain.task import NewTask, TaskSpec
from poolwright.store import migrate
from poolwright.store.base import Store, StoreError, Tx
from poolwright.store.sqlite import SqliteStore
from tests.contract.store.values import A, job, pool, put


async def test_autoscale_settings_come_back_and_go(store: Store) -> None:
    run = AutoscaleRun(7, "$x=1", RunError("C", "why", (("Message", "Line 1, Col 1: no"),)))
    made = replace(pool(), autoscale=Autoscale("$x=1", 5 * MINUTE, 8, asked_at=6, run=run))
    await put(store, made)
    found = await store.read(lambda tx: tx.pools.get(A, "pool-1"))
    assert found == made
    assert found.autoscaled
    await store.write(lambda tx: tx.pools.update(replace(made, autoscale=None)))
    found = await store.read(lambda tx: tx.pools.get(A, "pool-1"))
    assert found is not None
    assert found.autoscale is None


async def test_samples_are_found_by_time_and_pruned(store: Store) -> None:
    await put(store, pool("Pool-1"))
    await put(store, pool("other"))

    def fill(tx: Tx) -> None:
        for at in (30, 10, 20):
            tx.samples.record(A, "POOL-1", Sample(at, {"ActiveTasks": at / 4}))
        tx.samples.record(A, "pool-1", Sample(20, {"ActiveTasks": 99}))
        tx.samples.record(A, "other", Sample(15))

    await store.write(fill)
    wanted = [Sample(10, {"ActiveTasks": 2.5}), Sample(20, {"ActiveTasks": 5.0})]
    assert await store.read(lambda tx: tx.samples.between(A, "Pool-1", 10, 20)) == wanted
    assert await store.write(lambda tx: tx.samples.prune(20)) == 2
    found = await store.read(lambda tx: tx.samples.between(A, "Pool-1", 0, 100))
    assert [sample.at for sample in found] == [20, 30]
    assert await store.read(lambda tx: tx.samples.between(A, "other", 0, 100)) == []


async def test_samples_go_with_their_pool(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.write(lambda tx: tx.samples.record(A, "nobody", Sample(1)))
    await put(store, pool())
    await store.write(lambda tx: tx.samples.record(A, "Pool-1", Sample(1)))
    await store.write(lambda tx: tx.pools.delete(A, "Pool-1"))
    await put(store, pool())
    assert await store.read(lambda tx: tx.samples.between(A, "Pool-1", 0, 9)) == []


async def test_figures_count_the_tasks_of_the_pools_jobs(store: Store) -> None:
    def fill(tx: Tx) -> None:
        tx.pools.insert(pool())
        assert tx.samples.task_figures(A, "pool-1") == TaskFigures(0, 0, 0, 0, 0, 0)
        for (
            name,
            slots,
        ) in (("one", 1), ("two", 3)):
            row = tx.jobs.insert(job(name, JobSpec("POOL-1")))
            news = [NewTask(f"t{n}", TaskSpec("x", required_slots=slots), b"{}") for n in range(3)]
            first, second, _ = tx.tasks.insert_many(row.pk, news, 1)
            assert first is not None
            assert second is not None
            tx.tasks.update_many([replace(first, state=TaskState.RUNNING, node="n", pool="Pool-1")])
        gangs = tx.jobs.insert(job("gangs", JobSpec("POOL-1")))
        spec = TaskSpec("x", multi=MultiInstance("y", 5))
        tx.tasks.insert_many(gangs.pk, [NewTask("t", spec, b"{}")], 1)
        elsewhere = tx.jobs.insert(job("elsewhere", JobSpec("pool-2")))
        tx.tasks.insert_many(elsewhere.pk, [NewTask("t", TaskSpec("x"), b"{}")], 1)
        held = tx.jobs.insert(job("held", JobSpec("pool-1"), JobState.DISABLED))
        tx.tasks.insert_many(held.pk, [NewTask("t", TaskSpec("x"), b"{}")], 1)

    await store.write(fill)
    figures = await store.read(lambda tx: tx.samples.task_figures(A, "Pool-1"))
    assert figures == TaskFigures(4 + 5, 2, 0, 0, 2 + 6 + 5, 1 + 3), "a gang waits for each of its nodes"


async def test_a_pool_of_the_first_shape_is_read(tmp_path: Path) -> None:
    first = migrate.shipped()[:1]
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as connection:
        migrate.apply(connection, first)
        assert migrate.apply(connection) == len(migrate.shipped()) - 1
        columns = [row[1] for row in connection.execute("PRAGMA table_info(pool)")]
    assert columns[-1] == "autoscale"
    opened = SqliteStore(tmp_path)
    try:
        await put(opened, pool())
        found = await opened.read(lambda tx: tx.pools.get(A, "pool-1"))
        assert found is not None
        assert not found.autoscaled
    finally:
        await opened.close()
