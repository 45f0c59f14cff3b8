"""Samples of pools, for autoscale."""

from __future__ import annotations

import msgspec

from poolwright.domain.autoscale import Sample, TaskFigures
from poolwright.domain.clock import Instant
from poolwright.domain.pool_stats import PoolStats
from poolwright.store.connection import Db
from poolwright.store.rows import Rows, to_json
from poolwright.store.sql import load

_SQL = load("samples")
_SAMPLE = Rows(Sample)
_STATS = msgspec.json.Decoder(PoolStats)


class SampleTable:
    """See store/base.py, Samples."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def record(self, account: str, pool: str, sample: Sample) -> None:
        self._db.execute(_SQL["record"], [account, pool.lower(), *_SAMPLE.values(sample)])

    def between(self, account: str, pool: str, since: Instant, until: Instant) -> list[Sample]:
        rows = self._db.all(_SQL["between"], (account, pool.lower(), since, until))
        return [_SAMPLE.read(row) for row in rows]

    def prune(self, before: Instant) -> int:
        return self._db.changed(_SQL["prune"], (before,))

    def stats(self, account: str, pool: str) -> PoolStats:
        row = self._db.one(_SQL["stats"], (account, pool.lower()))
        return PoolStats() if row is None else _STATS.decode(row[0])

    def put_stats(self, account: str, pool: str, stats: PoolStats) -> None:
        self._db.execute(_SQL["put_stats"], (account, pool.lower(), to_json(stats)))

    def task_figures(self, account: str, pool: str) -> TaskFigures:
        row = self._db.one(_SQL["task_figures"], (account, pool.lower()))
        assert row is not None
        return TaskFigures(*row)
