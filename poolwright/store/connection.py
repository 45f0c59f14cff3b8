"""Connections to one SQLite file, with the settings the store's promises rest on."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poolwright.store.base import StoreError

#: STRICT tables came with 3.37, RETURNING with 3.35.
SQLITE_MIN = (3, 37, 0)
_BUSY_TIMEOUT_S = 10.0
_STATEMENTS_CACHED = 256
#: Pages each connection keeps; with them the store is bounded however large a job is. Readers go through pages once.
WRITE_CACHE_KIB = 65_536
READ_CACHE_KIB = 8_192
_CHECKPOINT_PAGES = (
    4_000  # 16 MiB of log before it is folded back: fewer syncs under load, a quick reopen still
)

Parameters = Sequence[Any] | dict[str, Any]


def connect(path: Path | None, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to the file (made with mode 0600 if absent), or to a fresh memory database if `path` is None.

    Raises StoreError when the SQLite library is too old.
    """
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        need = ".".join(map(str, SQLITE_MIN))
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: at least {need} is needed")
    if path is not None and not read_only:
        # The file holds account keys; log and index files inherit its mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        ":memory:" if path is None else str(path),
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS_CACHED,
    )
    settings = [
        f"cache_size = -{READ_CACHE_KIB if read_only else WRITE_CACHE_KIB}",
        "temp_store = MEMORY",
        "foreign_keys = ON",
    ]
    if path is not None:
        settings += ["journal_mode = WAL", "synchronous = FULL", f"wal_autocheckpoint = {_CHECKPOINT_PAGES}"]
    if read_only:
        settings.append("query_only = ON")
    for setting in settings:
        connection.execute(f"PRAGMA {setting}").fetchall()
    return connection


class Db:
    """One connection, spoken to in statements."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.executemany = connection.executemany

    def one(self, sql: str, parameters: Parameters = ()) -> tuple[Any, ...] | None:
        """The first row, or None."""
        row: tuple[Any, ...] | None = self.connection.execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Every row."""
        return self.connection.execute(sql, parameters).fetchall()

    def changed(self, sql: str, parameters: Parameters = ()) -> int:
        """How many rows the statement changed."""
        return self.connection.execute(sql, parameters).rowcount

    def many(self, sql: str, rows: Iterable[Parameters]) -> None:
        """The statement once for each row of parameters."""
        self.connection.executemany(sql, rows)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Several statements that happen together or not at all, inside the running transaction."""
        self.connection.execute("SAVEPOINT whole")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK TO whole")
            self.connection.execute("RELEASE whole")
            raise
        self.connection.execute("RELEASE whole")


@contextmanager
def changing(connection: sqlite3.Connection, lock: threading.Lock) -> Iterator[sqlite3.Connection]:
    """A transaction that several threads take turns at: whole and durable when the block ends well, else undone."""
    with lock:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
