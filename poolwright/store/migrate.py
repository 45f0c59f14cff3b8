"""Bring a database to the newest shape: numbered SQL files, forward only, each in one transaction.

A file that was applied is never changed: its digest is kept beside its number and compared at every start.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

from poolwright.store.base import StoreError

_NAME = re.compile(r"(\d{3})_(\w+)\.sql\Z")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a shape to the next."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> list[Migration]:
    """The migrations of this version, in order. Raises StoreError if their numbers have a gap."""
    found = []
    for file in (resources.files("poolwright.store") / "migrations").iterdir():
        match = _NAME.match(file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise StoreError("the migrations of this version are not numbered 001, 002, ... without a gap")
    return found


def apply(connection: sqlite3.Connection, migrations: Sequence[Migration] | None = None) -> int:
    """Apply what is missing; returns how many were applied. `migrations` defaults to the shipped ones.

    Raises StoreError when the database was made by a newer version or by other files than these.
    """
    wanted = shipped() if migrations is None else list(migrations)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migration"
        " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL) STRICT"
    )
    applied = connection.execute("SELECT number, name, digest FROM migration ORDER BY number").fetchall()
    if len(applied) > len(wanted):
        raise StoreError(
            f"the database was written by a newer version: it has migration {applied[-1][0]:03} {applied[-1][1]},"
            f" this version ends at {len(wanted):03}"
        )
    for (number, name, digest), migration in zip(applied, wanted, strict=False):
        if (number, digest) != (migration.number, migration.digest):
            raise StoreError(
                f"migration {number:03} {name} differs from the one this version has ({migration.name}):"
                " the database was made by other files"
            )
    missing = wanted[len(applied) :]
    for migration in missing:
        _apply_one(connection, migration)
    return len(missing)


def _apply_one(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(migration.sql):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migration (number, name, digest) VALUES (?, ?, ?)",
            (migration.number, migration.name, migration.digest),
        )
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.execute("ROLLBACK")
        raise StoreError(f"migration {migration.number:03} {migration.name} failed: {error}") from error


def _statements(sql: str) -> Iterator[str]:
    gathered = ""
    for line in sql.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered
            gathered = ""
    if gathered.strip() and not all(
        line.strip().startswith("--") for line in gathered.splitlines() if line.strip()
    ):
        yield gathered
