"""The journal of facts."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.domain.facts import Fact
from poolwright.store.connection import Db
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("facts")
_FACT = Rows(Fact)


class JournalTable:
    """See store/base.py, Journal."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def record(self, facts: Sequence[Fact]) -> None:
        self._db.many(_SQL["insert"], ([*_FACT.values(fact), fact.subject.lower()] for fact in facts))

    def of_subject(self, account: str, subject: str, limit: int) -> list[Fact]:
        rows = self._db.all(_SQL["of_subject"], (account, subject.lower(), limit))
        return [_FACT.read(row) for row in rows]

    def prune(self, keep: int) -> int:
        return self._db.changed(_SQL["prune"], (keep,))
