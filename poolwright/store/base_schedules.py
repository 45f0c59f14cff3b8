"""The part of the store contract for job schedules and the pools made for jobs; see store/base.py."""

from __future__ import annotations

from typing import Protocol

from poolwright.domain.auto_pool import AutoPoolRow
from poolwright.domain.clock import Instant
from poolwright.domain.job import JobStats, TaskCounts
from poolwright.domain.job_schedule import JobSchedule


class Schedules(Protocol):
    """Job schedules. Ids are told apart from those of jobs by the commands, not here."""

    def get(self, account: str, id: str) -> JobSchedule | None: ...

    def insert(self, schedule: JobSchedule) -> None:
        """Raises Duplicate."""
        ...

    def update(self, schedule: JobSchedule) -> JobSchedule:
        """As Pools.update. Raises Stale."""
        ...

    def delete(self, account: str, id: str) -> None: ...
    def page(self, account: str, after: str | None, limit: int) -> list[JobSchedule]: ...
    def count_active(self, account: str) -> int: ...

    def due(self, now: Instant) -> list[JobSchedule]:
        """Schedules whose loop has to look by now: their `due_at` has come, and if they are active, no
        job of theirs is still open (nothing can happen before its end)."""
        ...

    def stats(self, account: str, id: str) -> tuple[TaskCounts, JobStats]:
        """(completed tasks, statistics) of all its jobs that are there yet; costs as much as there are jobs."""
        ...


class AutoPools(Protocol):
    """Which pools were made for a job or a schedule."""

    def get(self, account: str, pool: str) -> AutoPoolRow | None: ...

    def insert(self, row: AutoPoolRow) -> None:
        """Raises Duplicate."""
        ...

    def keep(self, account: str, pool: str, keep_alive: bool) -> None:
        """Whether the pool outlives its owner."""
        ...

    def delete(self, account: str, pool: str) -> None: ...

    def holder(self, account: str, pool: str) -> AutoPoolRow | None:
        """The pool's row while its owner needs it: a job that is bound to it and has not completed, or a schedule that
        has not completed and gives it to its jobs (or one of whose jobs still has it)."""
        ...

    def idle(self) -> list[AutoPoolRow]:
        """Rows whose owner does not need the pool any more, for the periodic pass."""
        ...
