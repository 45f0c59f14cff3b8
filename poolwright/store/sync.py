"""A store for one thread: the same tables and rules without threads, for simulations and tests."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

from poolwright.domain.facts import DirtyKey
from poolwright.store import migrate
from poolwright.store.base import StoreError, Tx
from poolwright.store.connection import Db, connect
from poolwright.store.errors import translate
from poolwright.store.transaction import SqliteTx
from poolwright.store.wakeups import Wakeups
from poolwright.store.writer import GroupWriter

T = TypeVar("T")


@cache
def _empty() -> sqlite3.Connection:
    """A memory database of the newest shape, to be copied: that takes a small part of the time of the migrations."""
    connection = connect(None)
    migrate.apply(connection)
    return connection


class SyncStore:
    """SQLite in the caller's thread: `path` names a file, None a memory database that ends with this object.

    Every write is a commit of its own. Also answers the asynchronous contract, at once.
    """

    def __init__(self, path: Path | None = None, *, task_facts: bool = True) -> None:
        self._connection = connect(path)
        if path is None:
            _empty().backup(self._connection)
        else:
            migrate.apply(self._connection)
        self._writer = GroupWriter(self._connection, task_facts=task_facts)
        self._reader = SqliteTx(Db(self._connection), read_only=True)
        self._wakeups = Wakeups()

    def write_now(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` in a transaction of its own, committed on return and undone if it raises."""
        outcomes, keys = self._writer.run_all([fn])
        result, error = outcomes[0]
        if error is not None:
            raise error
        self._wakeups.add(keys)
        return cast(T, result)

    def read_now(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` on the present state; writing in it raises StoreError."""
        # Not PRAGMA query_only: setting it makes SQLite compile every statement anew.
        execute, before = self._connection.execute, self._connection.total_changes
        execute("SAVEPOINT looking")  # also inside a write
        try:
            result = fn(self._reader)
            if self._connection.total_changes != before:
                raise StoreError("a read cannot write")
            return result
        except sqlite3.Error as error:
            raise translate(error) from error
        finally:
            execute("ROLLBACK TO looking")
            execute("RELEASE looking")

    def woken(self) -> list[DirtyKey]:
        """Keys marked since the last call, each once, in order of first mark."""
        return self._wakeups.take()

    async def write(self, fn: Callable[[Tx], T]) -> T:
        return self.write_now(fn)

    async def read(self, fn: Callable[[Tx], T]) -> T:
        return self.read_now(fn)

    def wakeups(self) -> AsyncIterator[DirtyKey]:
        return self._wakeups.stream()

    async def close(self) -> None:
        self.close_now()

    def close_now(self) -> None:
        """Close the database."""
        self._wakeups.close()
        self._connection.close()
