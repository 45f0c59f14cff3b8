"""The contract of the journal: see store/base.py, Tx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolwright.domain.clock import Instant
from poolwright.domain.facts import Entry, Fact


class Journal(Protocol):
    def keeps(self, kind: str) -> bool:
        """Whether facts of this kind are written down; the others are dropped by `record`."""
        ...

    def record(self, facts: Sequence[Fact]) -> None: ...

    def of_subject(self, account: str, subject: str, limit: int) -> list[Fact]:
        """Newest first, without those that come with every task (domain/facts.py, COMMON)."""
        ...

    def after(
        self, number: int, upto: int, limit: int, account: str | None = None, kinds: Sequence[str] = ()
    ) -> list[Entry]:
        """The first `limit` facts behind `number` and not behind `upto`, oldest first: of one account (None: of all),
        of one of the kinds (a `*` in a kind stands for any text; none given: all). Looks at every fact between."""
        ...

    def span(self) -> tuple[int, int]:
        """The oldest and the newest number kept; (0, 0) for a journal that is still empty."""
        ...

    def totals(self) -> list[tuple[str, str, int]]:
        """(account, kind, how many were ever recorded), whatever is forgotten since."""
        ...

    def prune(self, keep: int) -> int:
        """Keep the newest `keep` facts; returns how many went."""
        ...

    def prune_old(self, before: Instant, most: int) -> int:
        """Forget facts of before then among the oldest `most`, but never the newest fact; returns how many went."""
        ...
