"""What SQLite reports, in the words of the store contract."""

from __future__ import annotations

import sqlite3

from poolwright.store.base import Full, StoreError

_UNIQUE = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"})


def is_duplicate(error: sqlite3.IntegrityError) -> bool:
    """Whether an identity was already taken (and not some other rule broken)."""
    return error.sqlite_errorname in _UNIQUE


def translate(error: BaseException) -> BaseException:
    """`error`, or a StoreError caused by it when it came from SQLite."""
    if not isinstance(error, sqlite3.Error):
        return error
    kind = Full if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL" else StoreError
    wrapped = kind(f"the store refused a statement: {error}")
    wrapped.__cause__ = error
    return wrapped
