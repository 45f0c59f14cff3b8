"""A small world for commands: a store in memory, a clock that stands still, names that count up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from poolwright.commands.context import Caller, Context
from poolwright.domain.account import Account
from poolwright.domain.errors import ServiceError
from poolwright.domain.facts import DirtyKey
from poolwright.domain.limits import Quotas, Settings
from poolwright.store.base import Tx
from poolwright.store.sync import SyncStore

T = TypeVar("T")
A = "acct"
START = 1_700_000_000_000_000


class Counting:
    """Clock and names in one. The clock moves only when told."""

    def __init__(self) -> None:
        self.time = START
        self._last = 0

    def now(self) -> int:
        return self.time

    def uuid(self) -> str:
        return f"00000000-0000-4000-8000-{self.short()}"

    def short(self) -> str:
        self._last += 1
        return f"{self._last:012x}"


@dataclass
class World:
    store: SyncStore
    source: Counting
    settings: Settings
    caller: Caller

    def context(self) -> Context:
        return Context(self.source, self.source, self.settings, self.caller)

    def do(self, fn: Callable[..., T], *arguments: Any) -> T:
        """The command `fn(tx, ctx, account, *arguments)`, committed."""
        return self.store.write_now(lambda tx: fn(tx, self.context(), A, *arguments))

    def write(self, fn: Callable[[Tx], T]) -> T:
        return self.store.write_now(fn)

    def read(self, fn: Callable[[Tx], T]) -> T:
        return self.store.read_now(fn)

    def refused(self, code: str, fn: Callable[..., object], *arguments: Any) -> ServiceError:
        """The error of a command that must be refused with `code`; fails if it leaves a trace in any table."""
        self.store.woken()
        before = self.contents()
        with pytest.raises(ServiceError) as caught:
            self.do(fn, *arguments)
        assert caught.value.code == code, caught.value
        after = self.contents()
        assert after == before, [table for table in before if before[table] != after[table]]
        assert self.store.woken() == []
        return caught.value

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table."""
        execute = self.store._connection.execute
        tables = [row[0] for row in execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        assert len(tables) > 10
        return {table: execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}

    def kinds(self, subject: str) -> list[str]:
        """Kinds of the facts of a subject, oldest first."""
        return [fact.kind for fact in self.read(lambda tx: tx.journal.of_subject(A, subject, 100))][::-1]

    def woken(self) -> set[tuple[str, str]]:
        return {(key.noun, key.id) for key in self.store.woken() if key == DirtyKey(key.noun, A, key.id)}

    def limit(self, **quotas: int) -> None:
        self.settings = replace(self.settings, quotas=replace(self.settings.quotas, **quotas))


@pytest.fixture
def world() -> Iterator[World]:
    store = SyncStore()
    made = World(store, Counting(), Settings(Quotas()), Caller("token", "someone"))
    made.write(lambda tx: tx.accounts.insert(Account(A, "/subscriptions/s/a", "a2V5", "a2V5", START)))
    yield made
    store.close_now()
