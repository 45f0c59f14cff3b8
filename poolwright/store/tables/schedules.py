"""Job schedules."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from poolwright.domain.clock import Instant
from poolwright.domain.job import JobStats, TaskCounts
from poolwright.domain.job_schedule import JobSchedule
from poolwright.store.base import Duplicate, Stale
from poolwright.store.connection import Db
from poolwright.store.errors import is_duplicate
from poolwright.store.rows import Rows
from poolwright.store.sql import load
from poolwright.store.tables.job_stats import JobStatsTable

_SQL = load("schedules")
_SCHEDULE = Rows(JobSchedule)


class ScheduleTable:
    """See store/base.py, Schedules."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._stats = JobStatsTable(db)

    def get(self, account: str, id: str) -> JobSchedule | None:
        return _SCHEDULE.maybe(self._db.one(_SQL["get"], (account, id.lower())))

    def insert(self, schedule: JobSchedule) -> None:
        try:
            self._db.execute(_SQL["insert"], [*_SCHEDULE.values(schedule), schedule.id.lower()])
        except sqlite3.IntegrityError as error:
            if is_duplicate(error):
                raise Duplicate(f"job schedule {schedule.account}/{schedule.id}") from error
            raise

    def update(self, schedule: JobSchedule) -> JobSchedule:
        written = replace(schedule, revision=schedule.revision + 1)
        where = (schedule.account, schedule.id.lower(), schedule.revision)
        if not self._db.changed(_SQL["update"], [*_SCHEDULE.values(written), *where]):
            name = f"{schedule.account}/{schedule.id}"
            raise Stale(f"job schedule {name} is no longer at revision {schedule.revision}")
        return written

    def delete(self, account: str, id: str) -> None:
        self._db.execute(_SQL["delete"], (account, id.lower()))

    def page(self, account: str, after: str | None, limit: int) -> list[JobSchedule]:
        rows = self._db.all(_SQL["page"], (account, (after or "").lower(), limit))
        return [_SCHEDULE.read(row) for row in rows]

    def count_active(self, account: str) -> int:
        row = self._db.one(_SQL["count_active"], (account,))
        return int(row[0]) if row else 0

    def due(self, now: Instant) -> list[JobSchedule]:
        return [_SCHEDULE.read(row) for row in self._db.all(_SQL["due"], (now,))]

    def stats(self, account: str, id: str) -> tuple[TaskCounts, JobStats]:
        where = (account, id.lower())
        ended = self._db.one(_SQL["ended"], where)
        assert ended is not None
        return TaskCounts(succeeded=ended[0], failed=ended[1]), self._stats.of_schedule(account, id)
