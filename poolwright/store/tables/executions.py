"""Live executions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from poolwright.domain.states import DeallocationOption
from poolwright.domain.task import Execution
from poolwright.store.base import Duplicate
from poolwright.store.connection import Db
from poolwright.store.errors import is_duplicate
from poolwright.store.rows import Rows, to_json
from poolwright.store.sql import load

_SQL = load("executions")
_EXECUTION = Rows(Execution)


class ExecutionTable:
    """See store/base.py, Executions."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def insert_many(self, executions: Sequence[Execution]) -> None:
        rows = [[*_EXECUTION.values(execution), execution.pool.lower()] for execution in executions]
        try:
            with self._db.whole():
                self._db.many(_SQL["insert"], rows)
        except sqlite3.IntegrityError as error:
            if is_duplicate(error):
                raise Duplicate(f"one of {', '.join(item.name for item in executions[:10])}") from error
            raise

    def get_many(self, names: Sequence[str]) -> dict[str, Execution]:
        rows = self._db.all(_SQL["get_many"], (to_json(list(names)),))
        return {row[0]: _EXECUTION.read(row) for row in rows}

    def delete_many(self, names: Sequence[str]) -> None:
        self._db.execute(_SQL["delete_many"], (to_json(list(names)),))

    def order_kill(self, names: Sequence[str], reason: str) -> None:
        self._db.execute(_SQL["order_kill"], (reason, to_json(list(names))))

    def of_pool(self, account: str, pool: str) -> list[Execution]:
        return [_EXECUTION.read(row) for row in self._db.all(_SQL["of_pool"], (account, pool.lower()))]

    def of_machine(self, machine: str) -> list[Execution]:
        return [_EXECUTION.read(row) for row in self._db.all(_SQL["of_machine"], (machine,))]

    def of_task(self, task_pk: int) -> list[Execution]:
        return [_EXECUTION.read(row) for row in self._db.all(_SQL["of_task"], (task_pk,))]

    def slots(self, account: str, pool: str) -> dict[str, int]:
        return dict(self._db.all(_SQL["slots"], (account, pool.lower())))

    def taken(self, account: str, pool: str, most: int) -> dict[str, int]:
        return dict(
            self._db.all(_SQL["taken"], (DeallocationOption.REQUEUE.value, most, account, pool.lower()))
        )

    def beside_tasks(self, job_pk: int) -> list[Execution]:
        return [_EXECUTION.read(row) for row in self._db.all(_SQL["beside_tasks"], (job_pk,))]

    def count_of_job(self, job_pk: int) -> int:
        row = self._db.one(_SQL["count_of_job"], (job_pk,))
        return int(row[0]) if row else 0
