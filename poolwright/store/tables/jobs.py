"""Jobs."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from poolwright.domain.clock import FOREVER, Instant
from poolwright.domain.job import TERMINATE_DONE, TERMINATE_IDLE, Job
from poolwright.domain.states import JobState
from poolwright.store.base import Duplicate, Stale
from poolwright.store.connection import Db
from poolwright.store.errors import is_duplicate
from poolwright.store.rows import Rows, to_json
from poolwright.store.sql import load

_SQL = load("jobs")
_JOB = Rows(Job)


def _searched(job: Job) -> tuple[str, int, int, int, int | None, int, int]:
    """Columns that repeat parts of the spec, to be searched by."""
    spec = job.spec
    deadline = None if spec.max_wall_clock >= FOREVER else job.started_at + spec.max_wall_clock
    ends_when_done = int(spec.on_all_tasks_complete in (TERMINATE_DONE, TERMINATE_IDLE))
    ends_when_idle = int(spec.on_all_tasks_complete == TERMINATE_IDLE)
    numbers = (spec.priority, spec.max_parallel_tasks, ends_when_done, deadline, ends_when_idle)
    depends = (1 + spec.cancel_dependents) if spec.uses_dependencies else 0
    return spec.pool.lower(), *numbers, depends


class JobTable:
    """See store/base.py, Jobs."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, account: str, id: str) -> Job | None:
        return _JOB.maybe(self._db.one(_SQL["get"], (account, id.lower())))

    def by_pk(self, pk: int) -> Job | None:
        return _JOB.maybe(self._db.one(_SQL["by_pk"], (pk,)))

    def insert(self, job: Job) -> Job:
        row = self._db.one(_SQL["next_pk"])
        assert row is not None
        stored = replace(job, pk=row[0])
        try:
            self._db.execute(_SQL["insert"], [*_JOB.values(stored), job.id.lower(), *_searched(stored)])
        except sqlite3.IntegrityError as error:
            if is_duplicate(error):
                raise Duplicate(f"job {job.account}/{job.id}") from error
            raise
        return stored

    def update(self, job: Job) -> Job:
        written = replace(job, revision=job.revision + 1)
        if not self._db.changed(
            _SQL["update"], [*_JOB.values(written), *_searched(job), job.pk, job.revision]
        ):
            raise Stale(f"job {job.account}/{job.id} is no longer at revision {job.revision}")
        return written

    def delete(self, account: str, id: str) -> None:
        where = (account, id.lower())
        with self._db.whole():
            self._db.execute(_SQL["delete_counts"], where)
            self._db.execute(_SQL["delete"], where)

    def page(self, account: str, after: str | None, limit: int) -> list[Job]:
        rows = self._db.all(_SQL["page"], (account, (after or "").lower(), limit))
        return [_JOB.read(row) for row in rows]

    def page_of_schedule(self, account: str, schedule: str, after: str | None, limit: int) -> list[Job]:
        where = (account, schedule.lower(), (after or "").lower(), limit)
        return [_JOB.read(row) for row in self._db.all(_SQL["page_of_schedule"], where)]

    def open_of_schedule(self, account: str, schedule: str, limit: int) -> list[Job]:
        rows = self._db.all(_SQL["open_of_schedule"], (account, schedule.lower(), limit))
        return [_JOB.read(row) for row in rows]

    def count_active(self, account: str) -> int:
        row = self._db.one(_SQL["count_active"], (account,))
        return int(row[0]) if row else 0

    def of_pool(self, account: str, pool: str, states: frozenset[JobState]) -> list[Job]:
        wanted = to_json(sorted(state.value for state in states))
        return [_JOB.read(row) for row in self._db.all(_SQL["of_pool"], (account, pool.lower(), wanted))]

    def unsettled(self) -> list[Job]:
        return [_JOB.read(row) for row in self._db.all(_SQL["unsettled"])]

    def due(self, now: Instant) -> list[Job]:
        found = {row[14]: row for row in self._db.all(_SQL["overdue"], (now,))}
        found.update((row[14], row) for row in self._db.all(_SQL["done"]))
        found.update((row[14], row) for row in self._db.all(_SQL["cancelling"]))
        return [_JOB.read(found[pk]) for pk in sorted(found)]
