"""Instances of multi-instance tasks."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.domain.multi_instance import Subtask
from poolwright.store.connection import Db
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("subtasks")
_SUBTASK = Rows(Subtask)


class SubtaskTable:
    """See store/base_executions.py, Subtasks."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def begin(self, rows: Sequence[Subtask]) -> None:
        for task_pk in {row.task_pk for row in rows}:
            self._db.execute(_SQL["forget"], (task_pk,))
        self.put_many(rows)

    def put_many(self, rows: Sequence[Subtask]) -> None:
        self._db.many(_SQL["put"], [_SUBTASK.values(row) for row in rows])

    def recent_of_machine(self, machine: str, limit: int) -> list[Subtask]:
        return [_SUBTASK.read(row) for row in self._db.all(_SQL["recent_of_machine"], (machine, limit))]

    def of_task(self, task_pk: int) -> list[Subtask]:
        return [_SUBTASK.read(row) for row in self._db.all(_SQL["of_task"], (task_pk,))]
