"""Pools made for a job or a schedule."""

from __future__ import annotations

import sqlite3

from poolwright.domain.auto_pool import AutoPoolRow
from poolwright.store.base import Duplicate
from poolwright.store.connection import Db
from poolwright.store.errors import is_duplicate
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("auto_pools")
_AUTO_POOL = Rows(AutoPoolRow)


class AutoPoolTable:
    """See store/base.py, AutoPools."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, account: str, pool: str) -> AutoPoolRow | None:
        return _AUTO_POOL.maybe(self._db.one(_SQL["get"], (account, pool.lower())))

    def insert(self, row: AutoPoolRow) -> None:
        keys = (row.pool.lower(), row.owner_id.lower())
        try:
            self._db.execute(_SQL["insert"], [*_AUTO_POOL.values(row), *keys])
        except sqlite3.IntegrityError as error:
            if is_duplicate(error):
                raise Duplicate(f"auto pool {row.account}/{row.pool}") from error
            raise

    def keep(self, account: str, pool: str, keep_alive: bool) -> None:
        self._db.execute(_SQL["keep"], (int(keep_alive), account, pool.lower()))

    def delete(self, account: str, pool: str) -> None:
        self._db.execute(_SQL["delete"], (account, pool.lower()))

    def holder(self, account: str, pool: str) -> AutoPoolRow | None:
        return _AUTO_POOL.maybe(self._db.one(_SQL["holder"], (account, pool.lower())))

    def idle(self) -> list[AutoPoolRow]:
        return [_AUTO_POOL.read(row) for row in self._db.all(_SQL["idle"])]
