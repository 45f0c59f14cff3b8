"""Which tasks may run next, read from the index of active tasks alone.

The counters say which jobs have active tasks of which size; each such (job, size) is a queue in order of creation,
read a few at a time. Within a job the oldest task is first; jobs of one priority take turns, or follow one another in
order of creation. So the cost grows with the number of tasks asked for and the number of jobs waiting, never with the
length of a job.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Set
from itertools import chain, groupby, islice
from operator import itemgetter

from poolwright.store.connection import Db
from poolwright.store.sql import load

_SQL = load("tasks")
_CHUNK_MIN = 8


def ready_pks(
    db: Db,
    account: str,
    pool_key: str,
    limit: int,
    slots_max: int,
    turn: int | None = 0,
    skip: Set[int] = frozenset(),
    after: int = 0,
    slots_min: int = 0,
    aside: Set[int] = frozenset(),
) -> list[int]:
    """Up to `limit` task numbers, best first: job priority descending, then by turns of the jobs, which begin after
    the job numbered `turn`; None: no turns, all of an older job comes first. Jobs of `skip`, tasks
    up to the number `after` and those of `aside` are left out."""
    chosen: list[int] = []
    queues = [
        row
        for row in db.all(_SQL["ready_jobs"], (account, pool_key, slots_min, slots_max))
        if row[1] not in skip
    ]
    for _, same_priority in groupby(queues, key=itemgetter(0)):
        group = list(same_priority)
        chunk = max(_CHUNK_MIN, 2 * (limit - len(chosen)) // len(group))
        sizes: dict[int, list[int]] = {}
        limits: dict[int, int] = {}
        for _, job_pk, slots, parallel_max in sorted(group):
            sizes.setdefault(job_pk, []).append(slots)
            limits[job_pk] = parallel_max
        jobs = list(sizes)
        if turn is not None:
            jobs = [pk for pk in jobs if pk > turn] + [pk for pk in jobs if pk <= turn]
        streams = [_of_job(db, pk, sizes[pk], limits[pk], chunk, after, aside) for pk in jobs]
        best = chain.from_iterable(streams) if turn is None else _by_turns(streams)
        chosen += islice(best, limit - len(chosen))
        if len(chosen) >= limit:
            break
    return chosen


def _of_job(
    db: Db, job_pk: int, sizes: Iterable[int], parallel_max: int, chunk: int, after: int, aside: Set[int]
) -> Iterator[int]:
    """A job's tasks, oldest first, as many as it may run beside those that run."""
    queues = heapq.merge(*(_queue(db, job_pk, slots, chunk, after) for slots in sizes))
    tasks = (pk for pk in queues if pk not in aside)
    if parallel_max <= 0:
        yield from tasks
        return
    row = db.one(_SQL["running_count"], (job_pk,))
    yield from islice(tasks, max(0, parallel_max - (int(row[0]) if row else 0)))


def _by_turns(streams: list[Iterator[int]]) -> Iterator[int]:
    while streams:
        left = []
        for stream in streams:
            pk = next(stream, None)
            if pk is not None:
                yield pk
                left.append(stream)
        streams = left


def _queue(db: Db, job_pk: int, slots: int, chunk: int, after: int) -> Iterator[int]:
    while True:
        rows = db.all(_SQL["ready_of_job"], (job_pk, slots, after, chunk))
        for (pk,) in rows:
            yield pk
        if len(rows) < chunk:
            return
        after = rows[-1][0]
