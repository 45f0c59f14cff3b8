"""The journal of facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from poolwright.domain.clock import Instant
from poolwright.domain.facts import COMMON, Entry, Fact
from poolwright.store.connection import Db
from poolwright.store.rows import Rows, to_json
from poolwright.store.sql import load

_SQL = load("facts")
_FACT = Rows(Fact)


class JournalTable:
    """See store/base_journal.py. `common`: whether facts that come with every task are kept."""

    def __init__(self, db: Db, *, common: bool = True) -> None:
        self._db = db
        self._common = common

    def keeps(self, kind: str) -> bool:
        return self._common or kind not in COMMON

    def record(self, facts: Sequence[Fact]) -> None:
        kept = [fact for fact in facts if self.keeps(fact.kind)]
        self._db.many(
            _SQL["insert"],
            ([*_FACT.values(fact), "" if fact.kind in COMMON else fact.subject.lower()] for fact in kept),
        )
        counts = Counter((fact.account, fact.kind) for fact in kept)
        self._db.many(_SQL["count"], [(*key, count) for key, count in counts.items()])

    def totals(self) -> list[tuple[str, str, int]]:
        return [(account, kind, count) for account, kind, count in self._db.all(_SQL["totals"])]

    def of_subject(self, account: str, subject: str, limit: int) -> list[Fact]:
        rows = self._db.all(_SQL["of_subject"], (account, subject.lower(), limit))
        return [_FACT.read(row) for row in rows]

    def after(
        self, number: int, upto: int, limit: int, account: str | None = None, kinds: Sequence[str] = ()
    ) -> list[Entry]:
        wanted = to_json(list(kinds)) if kinds else None
        rows = self._db.all(_SQL["after"], (number, upto, account, wanted, limit))
        return [Entry(row[0], _FACT.read(row[1:])) for row in rows]

    def span(self) -> tuple[int, int]:
        ends = [self._db.one(_SQL[end]) for end in ("first", "last")]
        first, last = (0 if row is None or row[0] is None else int(row[0]) for row in ends)
        return first, last

    def prune(self, keep: int) -> int:
        return self._db.changed(_SQL["prune"], (keep,))

    def prune_old(self, before: Instant, most: int) -> int:
        return self._db.changed(_SQL["prune_old"], (most, before))
