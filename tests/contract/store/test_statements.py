"""The statements of the SQLite store: how they are written down, and that none walks over a table unasked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import poolwright.store
from poolwright.domain.node import Node
from poolwright.domain.task import Task
from poolwright.store import migrate
from poolwright.store.connection import connect
from poolwright.store.rows import Rows
from poolwright.store.sql import load, parse

_FILES = sorted((Path(poolwright.store.__file__).parent / "queries").glob("*.sql"))
_NAMED = [(file.stem, name) for file in _FILES for name in load(file.stem)]
#: Statements whose very purpose is every row.
_WHOLE = {
    ("accounts", "all"),
    ("accounts", "principals"),
    ("pools", "every"),
    ("nodes", "machines"),
    ("disks", "all"),
    ("auto_pools", "idle"),
    ("applications", "files"),
    ("storage_accounts", "all"),
    ("facts", "totals"),  # one row a kind and account
    ("log_uploads", "all"),
}
_PARTIAL = {
    "job_unsettled",
    "job_ending",
    "job_deadline",
    "job_cancelling",
    "resource_unsettled",
    "operation_in_progress",
}


@pytest.mark.parametrize(("noun", "name"), _NAMED, ids=[f"{noun}.{name}" for noun, name in _NAMED])
def test_a_statement_is_valid_and_uses_an_index(noun: str, name: str) -> None:
    sql = load(noun)[name]
    numbered = re.findall(r"\?(\d+)", sql)
    parameters = max(map(int, numbered)) if numbered else sql.count("?")
    connection = connect(None)
    try:
        migrate.apply(connection)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * parameters).fetchall()
    finally:
        connection.close()
    steps = [row[3] for row in plan]
    # A partial index read from end to end holds only the rows asked for; json_each is the caller's own list.
    walks = [
        step
        for step in steps
        if (step.startswith("SCAN") and step.rpartition(" ")[2] not in _PARTIAL and "json_each" not in step)
        or "TEMP B-TREE FOR ORDER BY" in step
    ]
    if (noun, name) in _WHOLE:
        walks = [step for step in walks if not step.startswith("SCAN")]
    assert bool(walks) == ((noun, name) in _SORTED), steps


#: Statements that sort what they found: a handful of rows, or as many as are answered.
_SORTED = {
    ("jobs", "of_pool"),
    ("resources", "select"),
    ("operations", "in_progress"),
    ("executions", "of_pool"),
    ("executions", "of_machine"),
    ("pools", "with_image"),
}


def test_names_and_fragments() -> None:
    text = "-- a remark\n-- fragment: columns\na, b\n\n-- name: get\n-- why\nSELECT {columns}\nFROM t\n"
    assert parse(text) == {"get": "SELECT a, b\nFROM t"}
    with pytest.raises(ValueError, match="'get' appears twice"):
        parse("-- name: get\nSELECT 1\n-- name: get\nSELECT 2\n")
    with pytest.raises(ValueError, match="without a name"):
        parse("SELECT 1\n")


@pytest.mark.parametrize(("noun", "kind"), [("tasks", Task), ("nodes", Node)])
def test_columns_come_in_the_order_of_the_fields(noun: str, kind: type[Task] | type[Node]) -> None:
    names = re.sub(r"\b[tb]\.", "", load(noun)["get"].partition("FROM")[0].removeprefix("SELECT"))
    assert tuple(name.strip() for name in names.split(",")) == Rows(kind).names


def test_what_is_acknowledged_is_synced(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db")
    settings = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    connection.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2}
