"""Files of tasks whose machine has gone: a database of its own, beside the store, of bounded size.

Each content is stored once, by its digest. What is put is put whole or not at all, also when the service is killed.
Over the bound the oldest tasks' files go first. Nothing of it is needed to go on: a damaged archive is begun anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from poolwright.domain.kept_files import KeptFile
from poolwright.store.connection import changing, connect

_log = logging.getLogger(__name__)

#: What an entry counts besides its content: names and times cost room too.
ENTRY_BYTES = 256
#: Executions forgotten in one statement.
_CHUNK = 500
#: Free pages given back to the file system in one step (4 KiB each).
_PAGES = 4096

_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
  serial INTEGER PRIMARY KEY AUTOINCREMENT, execution TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS file (
  execution TEXT NOT NULL, name TEXT NOT NULL, directory INTEGER NOT NULL, size INTEGER NOT NULL,
  modified_at INTEGER NOT NULL, mode INTEGER NOT NULL, digest BLOB, PRIMARY KEY (execution, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS content (
  digest BLOB NOT NULL PRIMARY KEY, uses INTEGER NOT NULL, bytes INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS total (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO total VALUES (1, 0);
"""


class FileArchive:
    """Keeps files by the name of the execution that left them. `bytes_max` bounds contents and entries together.
    Safe to use from several threads; each call may take as long as a write to the disk."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            _log.error("the archive of files %s is damaged (%s) and is begun anew", path, error)
            for end in ("", "-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
            self._db = _open(path)

    def close(self) -> None:
        """Give back the file."""
        with self._lock:
            self._db.close()

    def put(self, execution: str, files: Sequence[KeptFile]) -> None:
        """Keep these files, unless some are kept of the execution already. Raises sqlite3.Error."""
        with changing(self._db, self._lock) as db:
            counted = len(files) * ENTRY_BYTES
            if db.execute("SELECT 1 FROM kept WHERE execution = ?", (execution,)).fetchone():
                return
            for file in files:
                digest = None if file.data is None else hashlib.sha256(file.data).digest()
                if file.data is not None:
                    counted += self._use(db, digest, file.data)
                row = (execution, file.name, file.directory, file.size, file.modified_at, file.mode, digest)
                db.execute("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            entries = len(files) * ENTRY_BYTES
            db.execute("INSERT INTO kept (execution, bytes) VALUES (?, ?)", (execution, entries))
            db.execute("UPDATE total SET bytes = bytes + ?", (counted,))
            self._shrink(db)
        self._give_back()

    def known(self, executions: Sequence[str]) -> set[str]:
        """Those of which something is kept."""
        query = "SELECT execution FROM kept WHERE execution IN (SELECT value FROM json_each(?))"
        with self._lock:
            return {row[0] for row in self._db.execute(query, (json.dumps(list(executions)),))}

    def page(self, after: str, limit: int) -> list[str]:
        """Names of executions of which something is kept, in order."""
        query = "SELECT execution FROM kept WHERE execution > ? ORDER BY execution LIMIT ?"
        with self._lock:
            return [row[0] for row in self._db.execute(query, (after, limit))]

    def list(self, execution: str) -> list[KeptFile]:
        """What is kept of an execution, in order of name, without contents."""
        query = "SELECT name, directory, size, modified_at, mode FROM file WHERE execution = ? ORDER BY name"
        with self._lock:
            rows = self._db.execute(query, (execution,)).fetchall()
        return [KeptFile(name, bool(directory), *rest) for name, directory, *rest in rows]

    def get(self, execution: str, name: str) -> KeptFile | None:
        """One of them with its content."""
        query = """SELECT f.name, f.directory, f.size, f.modified_at, f.mode, c.data
            FROM file f LEFT JOIN content c ON c.digest = f.digest WHERE f.execution = ? AND f.name = ?"""
        with self._lock:
            row = self._db.execute(query, (execution, name)).fetchone()
        return None if row is None else KeptFile(row[0], bool(row[1]), *row[2:])

    def remove(self, execution: str, name: str) -> None:
        """Keep a file or directory, with all below it, no longer."""
        with changing(self._db, self._lock) as db:
            query = "SELECT name FROM file WHERE execution = ? AND (name = ? OR substr(name, 1, ?) = ?)"
            below = f"{name}/"
            names = [row[0] for row in db.execute(query, (execution, name, len(below), below))]
            for gone in names:
                self._drop(db, execution, gone)
            change = len(names) * ENTRY_BYTES
            db.execute("UPDATE kept SET bytes = bytes - ? WHERE execution = ?", (change, execution))

    def forget(self, executions: Sequence[str]) -> None:
        """Keep nothing of these any longer."""
        for start in range(0, len(executions), _CHUNK):
            with changing(self._db, self._lock) as db:
                for execution in executions[start : start + _CHUNK]:
                    self._forget(db, execution)
        self._give_back()

    @property
    def used(self) -> int:
        """What is kept now, as it counts for the bound."""
        with self._lock:
            return int(self._db.execute("SELECT bytes FROM total").fetchone()[0])

    @staticmethod
    def _use(db: sqlite3.Connection, digest: bytes | None, data: bytes) -> int:
        """The bytes that are new."""
        if db.execute("UPDATE content SET uses = uses + 1 WHERE digest = ?", (digest,)).rowcount:
            return 0
        db.execute("INSERT INTO content VALUES (?, 1, ?, ?)", (digest, len(data), data))
        return len(data)

    @staticmethod
    def _drop(db: sqlite3.Connection, execution: str, name: str) -> None:
        query = "DELETE FROM file WHERE execution = ? AND name = ? RETURNING digest"
        row = db.execute(query, (execution, name)).fetchone()
        freed = ENTRY_BYTES
        if row is not None and row[0] is not None:
            db.execute("UPDATE content SET uses = uses - 1 WHERE digest = ?", row)
            query = "DELETE FROM content WHERE digest = ? AND uses = 0 RETURNING bytes"
            gone = db.execute(query, row).fetchone()
            freed += gone[0] if gone else 0
        db.execute("UPDATE total SET bytes = bytes - ?", (freed,))

    def _forget(self, db: sqlite3.Connection, execution: str) -> None:
        names = db.execute("SELECT name FROM file WHERE execution = ?", (execution,)).fetchall()
        for (name,) in names:
            self._drop(db, execution, name)
        db.execute("DELETE FROM kept WHERE execution = ?", (execution,))

    def _shrink(self, db: sqlite3.Connection) -> None:
        """Forget the oldest until the bound is kept."""
        while db.execute("SELECT bytes FROM total").fetchone()[0] > self._bytes_max:
            oldest = db.execute("SELECT execution FROM kept ORDER BY serial LIMIT 1").fetchone()
            if oldest is None:
                return
            self._forget(db, oldest[0])

    def _give_back(self) -> None:
        with self._lock:
            self._db.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()


def _open(path: Path) -> sqlite3.Connection:
    db = connect(path)
    try:
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("VACUUM")
        db.executescript(_SCHEMA)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db
