"""Group commit: one connection that runs many write functions in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from poolwright.domain.facts import DirtyKey
from poolwright.store.base import Full, StoreError, Tx
from poolwright.store.connection import Db
from poolwright.store.errors import translate
from poolwright.store.transaction import SqliteTx

#: What became of one function: (result, None) or (None, error).
Outcome = tuple[Any, BaseException | None]
WriteFunction = Callable[[Tx], Any]


class GroupWriter:
    """Runs functions inside savepoints of one transaction. Not safe for more than one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, *, task_facts: bool = True) -> None:
        self._connection = connection
        self._tx = SqliteTx(Db(connection), task_facts=task_facts)
        self._outcomes: list[Outcome] = []

    def begin(self) -> None:
        """Open the shared transaction."""
        self._outcomes = []
        self._tx.dirty.clear()
        self._connection.execute("BEGIN IMMEDIATE")

    def run(self, fn: WriteFunction) -> None:
        """Run `fn`; if it raises, only its own changes are undone.

        Raises StoreError when SQLite gave up the whole transaction (a full disk, say): then nothing of it remains.
        """
        execute = self._connection.execute
        dirty = len(self._tx.dirty)
        execute("SAVEPOINT fn")
        try:
            outcome: Outcome = (fn(self._tx), None)
        except BaseException as error:  # whatever it is, it belongs to the caller of this function
            outcome = (None, translate(error))
            del self._tx.dirty[dirty:]
            if not self._connection.in_transaction:
                raise (
                    outcome[1]
                    if isinstance(outcome[1], Full)
                    else StoreError(f"the shared transaction was given up: {error}")
                ) from error
            execute("ROLLBACK TO fn")
        execute("RELEASE fn")
        self._outcomes.append(outcome)

    def commit(self) -> tuple[Sequence[Outcome], list[DirtyKey]]:
        """Make everything durable; returns outcomes in order of `run`, and the keys marked. Raises on failure."""
        self._connection.execute("COMMIT")
        return self._outcomes, list(dict.fromkeys(self._tx.dirty))

    def abandon(self) -> None:
        """Undo the whole transaction, if there still is one."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def run_all(self, functions: Sequence[WriteFunction]) -> tuple[Sequence[Outcome], list[DirtyKey]]:
        """`functions` in one durable transaction. If it fails as a whole, each outcome is that failure."""
        try:
            self.begin()
            for fn in functions:
                self.run(fn)
            return self.commit()
        except (sqlite3.Error, StoreError) as error:
            self.abandon()
            return [(None, translate(error))] * len(functions), []
