"""Uploads of nodes' logs that are not over."""

from __future__ import annotations

from poolwright.domain.node_logs import PromisedLogs
from poolwright.store.connection import Db
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("log_uploads")
_PROMISED = Rows(PromisedLogs)


class LogUploadTable:
    """See store/base_storage.py, LogUploads."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def all(self) -> list[PromisedLogs]:
        return [_PROMISED.read(row) for row in self._db.all(_SQL["all"])]

    def insert(self, promised: PromisedLogs) -> None:
        self._db.execute(_SQL["insert"], _PROMISED.values(promised))

    def delete(self, id: str) -> None:
        self._db.execute(_SQL["delete"], (id,))
