"""A job of a hundred thousand tasks: listed, counted and deleted in pages, in memory that does not grow with it."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

from poolwright.domain.dependencies import Dependencies
from poolwright.domain.job import JobSpec, TaskCounts
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.task import NewTask, TaskSpec
from poolwright.store.sync import SyncStore
from tests.contract.store.values import job

COUNT = 100_000
CHUNK = 1000
#: A page of a thousand tasks with room to spare; a job's worth of them would be fifty times as much.
MEMORY_MAX = 16 * 1_048_576


def _fill(store: SyncStore, job_pk: int) -> None:
    spec = TaskSpec("/bin/true")
    for start in range(0, COUNT, CHUNK):
        news = [NewTask(f"{n:06d}", spec, b"{}") for n in range(start, start + CHUNK)]
        store.write_now(lambda tx, news=news: tx.tasks.insert_many(job_pk, news, 1))  # type: ignore[misc]


def test_a_job_of_a_hundred_thousand_tasks() -> None:
    store = SyncStore()
    try:
        spec = JobSpec("Pool-1", uses_dependencies=True)
        job_pk = store.write_now(lambda tx: tx.jobs.insert(job(spec=spec)).pk)
        _fill(store, job_pk)
        merge = NewTask(
            "merge", TaskSpec("x", depends_on=Dependencies(ranges=((0, 999), (99_000, 99_999)))), b"{}"
        )
        store.write_now(lambda tx: tx.tasks.insert_many(job_pk, [merge], 1))
        counts = TaskCounts(active=COUNT + 1, waiting=1)
        assert store.read_now(lambda tx: tx.tasks.counts(job_pk))[0] == counts

        first = store.read_now(lambda tx: tx.tasks.page(job_pk, None, CHUNK))
        last = store.read_now(lambda tx: tx.tasks.page(job_pk, "098999", CHUNK))
        for half in (first, last):
            done = [replace(t, state=TaskState.COMPLETED, result=ExecutionResult.SUCCESS) for t in half]
            freed = store.write_now(lambda tx, done=done: tx.tasks.update_many(done))  # type: ignore[misc]
            assert freed == (half is last)
        ready = store.read_now(lambda tx: tx.tasks.ready("acct", "pool-1", 3, 1))
        assert [task.id for task in ready] == ["001000", "001001", "001002"]

        tracemalloc.start()
        try:
            seen, after = 0, None
            while page := store.read_now(lambda tx, after=after: tx.tasks.page(job_pk, after, CHUNK)):  # type: ignore[misc]
                seen, after = seen + len(page), page[-1].id
                if seen >= 10 * CHUNK:
                    break
            assert [page[0].id, page[-1].id] == ["009000", "009999"]
            gone = store.write_now(lambda tx: tx.tasks.delete_some(job_pk, CHUNK))
            assert gone == CHUNK
            assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
        finally:
            tracemalloc.stop()
        while store.write_now(lambda tx: tx.tasks.delete_some(job_pk, 5 * CHUNK)):
            pass
        assert store.read_now(lambda tx: tx.tasks.counts(job_pk))[0] == TaskCounts()
        store.write_now(lambda tx: tx.jobs.delete("acct", "Job-1"))
    finally:
        store.close_now()
