"""What the tasks of jobs came to: one row a job, written once a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, fields

from poolwright.domain.job import JobStats
from poolwright.domain.task import Task
from poolwright.domain.task_usage import NOTHING, TaskUsage
from poolwright.store.connection import Db
from poolwright.store.sql import load

_SQL = load("job_stats")
_USED = len(fields(TaskUsage))


class JobStatsTable:
    """Part of Tasks and Schedules of store/base.py."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def add(self, ended: Mapping[int, Sequence[Task]], used: Mapping[int, TaskUsage]) -> None:
        """Add, by job, tasks that completed and what runs used."""
        jobs = dict.fromkeys((*ended, *used))
        rows = [(pk, *astuple(used.get(pk, NOTHING)), *_figures(ended.get(pk, ()))) for pk in jobs]
        self._db.many(_SQL["add"], rows)

    def get(self, job_pk: int) -> JobStats:
        row = self._db.one(_SQL["get"], (job_pk,))
        return _read(row) if row else JobStats()

    def of_schedule(self, account: str, id: str) -> JobStats:
        row = self._db.one(_SQL["of_schedule"], (account, id.lower()))
        assert row is not None
        return _read(row)


def _read(row: Sequence[int]) -> JobStats:
    return JobStats(TaskUsage(*row[:_USED]), *row[_USED:])


def _figures(tasks: Iterable[Task]) -> tuple[int, int, int]:
    """What these completed tasks add: how long they waited, their retries, and when the last one ended."""
    waited = retries = last_at = 0
    for task in tasks:
        if task.started_at is not None:
            waited += max(0, task.started_at - task.created_at)
        retries += task.retry_count
        last_at = max(last_at, task.ended_at or 0)
    return waited, retries, last_at
