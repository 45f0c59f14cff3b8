"""Which tasks may run next, read from the index of active tasks alone.

The counters say which jobs have active tasks of which size; each such (job, size) is a queue in order of creation,
read a few at a time, and the queues of one priority are merged. So the cost grows with the number of tasks asked for
and the number of jobs waiting, never with the length of a job.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from poolwright.store.connection import Db
from poolwright.store.sql import load

_SQL = load("tasks")
_CHUNK_MIN = 8


def ready_pks(db: Db, account: str, pool_key: str, limit: int, slots_max: int) -> list[int]:
    """Up to `limit` task numbers, best first: job priority descending, then oldest task."""
    chosen: list[int] = []
    allowance: dict[int, int] = {}
    queues = db.all(_SQL["ready_jobs"], (account, pool_key, slots_max))
    for _, same_priority in groupby(queues, key=itemgetter(0)):
        group = list(same_priority)
        chunk = max(_CHUNK_MIN, 2 * (limit - len(chosen)) // len(group))
        for _, job_pk, _, parallel_max in group:
            if parallel_max > 0 and job_pk not in allowance:
                allowance[job_pk] = parallel_max - _running(db, job_pk)
        streams = [
            _queue(db, job_pk, slots, chunk) for _, job_pk, slots, _ in group if allowance.get(job_pk, 1) > 0
        ]
        for pk, job_pk in heapq.merge(*streams):
            if len(chosen) >= limit:
                return chosen
            left = allowance.get(job_pk)
            if left is not None:
                if left <= 0:
                    continue
                allowance[job_pk] = left - 1
            chosen.append(pk)
    return chosen


def _running(db: Db, job_pk: int) -> int:
    row = db.one(_SQL["running_count"], (job_pk,))
    return int(row[0]) if row else 0


def _queue(db: Db, job_pk: int, slots: int, chunk: int) -> Iterator[tuple[int, int]]:
    after = 0
    while True:
        rows = db.all(_SQL["ready_of_job"], (job_pk, slots, after, chunk))
        for (pk,) in rows:
            yield pk, job_pk
        if len(rows) < chunk:
            return
        after = rows[-1][0]
