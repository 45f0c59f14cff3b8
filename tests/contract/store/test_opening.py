"""Opening and reopening: durability, the lock, migrations, file modes."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from poolwright.domain.job import TaskCounts
from poolwright.domain.node import StartTaskInfo
from poolwright.domain.states import StartTaskState
from poolwright.store import migrate
from poolwright.store.base import StoreError
from poolwright.store.connection import connect
from poolwright.store.rows import to_json
from poolwright.store.sqlite import DATABASE_NAME, SqliteStore
from tests.contract.store.values import A, pool

_ROOT = Path(__file__).parents[3]
_ACKNOWLEDGED_MIN = 300


def _write_until_killed(directory: Path) -> list[str]:
    """Ids of the tasks a child process acknowledged before it was killed in the middle of its work."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.contract.store.writing", str(directory)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    acknowledged: list[str] = []
    try:
        for line in child.stdout:
            acknowledged.append(line.strip())
            if len(acknowledged) >= _ACKNOWLEDGED_MIN:
                break
        child.kill()
        # The last line may be cut off by the kill; the others were written whole.
        acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert len(acknowledged) >= _ACKNOWLEDGED_MIN, "the child ended before it was killed"
    return acknowledged


@pytest.mark.parametrize("round", range(3))
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, round: int) -> None:
    acknowledged = _write_until_killed(tmp_path)
    store = SqliteStore(tmp_path)
    try:
        job = await store.read(lambda tx: tx.jobs.get(A, "Job-1"))
        assert job is not None
        found = {task.id for task in await store.read(lambda tx: tx.tasks.page(job.pk, None, 10**6))}
        assert set(acknowledged) <= found
        assert len(found) % 10 == 0, "a write was kept in part"
        counts = await store.read(lambda tx: tx.tasks.counts(job.pk))
        assert counts[0] == TaskCounts(active=len(found))
    finally:
        await store.close()


async def test_a_second_opener_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match=rf"{tmp_path}.*process {os.getpid()}"):
        SqliteStore(tmp_path)
    await first.write(lambda tx: tx.pools.insert(pool()))
    await first.close()
    second = SqliteStore(tmp_path)
    assert await second.read(lambda tx: tx.pools.count(A)) == 1
    await second.close()


async def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data")
    await store.write(lambda tx: tx.pools.insert(pool()))
    modes = _modes(tmp_path / "data")
    await store.close()
    assert {DATABASE_NAME, f"{DATABASE_NAME}-wal", "."} <= modes.keys()
    assert modes.pop(".") == 0o700
    assert set(modes.values()) == {0o600}


def _modes(directory: Path) -> dict[str, int]:
    files = {file.name: file for file in directory.iterdir()} | {".": directory}
    return {name: stat.S_IMODE(file.stat().st_mode) for name, file in files.items()}


FIRST = migrate.Migration(1, "first", "CREATE TABLE a (x INTEGER);\n-- a remark\nINSERT INTO a VALUES (1);\n")
SECOND = migrate.Migration(
    2, "second", "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a WHERE x = 0;\nEND;\n"
)


def _open(path: Path) -> sqlite3.Connection:
    return connect(path / "m.db")


def test_migrations_are_applied_once_and_forward(tmp_path: Path) -> None:
    connection = _open(tmp_path)
    assert migrate.apply(connection, [FIRST]) == 1
    assert migrate.apply(connection, [FIRST, SECOND]) == 1
    connection.close()
    connection = _open(tmp_path)
    assert migrate.apply(connection, [FIRST, SECOND]) == 0
    assert connection.execute("SELECT count(*) FROM a").fetchone() == (1,)
    with pytest.raises(StoreError, match="newer version"):
        migrate.apply(connection, [FIRST])
    connection.close()


def test_a_changed_migration_is_noticed(tmp_path: Path) -> None:
    connection = _open(tmp_path)
    migrate.apply(connection, [FIRST])
    with pytest.raises(StoreError, match="001 first differs"):
        migrate.apply(connection, [migrate.Migration(1, "first", FIRST.sql + " ")])
    connection.close()


def test_a_failing_migration_leaves_nothing(tmp_path: Path) -> None:
    connection = _open(tmp_path)
    bad = migrate.Migration(2, "bad", "CREATE TABLE b (x INTEGER);\nINSERT INTO nowhere VALUES (1);\n")
    with pytest.raises(StoreError, match="002 bad failed"):
        migrate.apply(connection, [FIRST, bad])
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {"migration", "a"}
    connection.close()


def test_preparations_that_said_they_run_for_good_have_ended(tmp_path: Path) -> None:
    connection = _open(tmp_path)
    shipped = migrate.shipped()
    migrate.apply(connection, shipped[:20])
    connection.execute("PRAGMA foreign_keys = OFF")
    running = StartTaskInfo(StartTaskState.RUNNING, 7, 2)
    told = to_json(running)
    for pk in (1, 2):
        row = (pk, 1, "a", "p", f"n{pk}", "m", 0, told, told, 3, 0, "p", f"n{pk}")
        connection.execute(f"INSERT INTO job_node VALUES ({', '.join('?' * 13)})", row)
    for name in ("p2.2", "r2.2"):
        live = (name, 0, 1, "a", "p", "p", "n", "m", 1, 0, 7, None)
        connection.execute(f"INSERT INTO execution VALUES ({', '.join('?' * 12)})", live)
    migrate.apply(connection, shipped)
    read = msgspec.json.Decoder(StartTaskInfo).decode
    found = connection.execute(
        "SELECT preparation, release, release_fence FROM job_node ORDER BY pk"
    ).fetchall()
    ended, running_still = (
        (read(preparation), read(release), fence) for preparation, release, fence in found
    )
    assert running_still == (running, running, 3), "their ends are still to be heard"
    for info in ended[:2]:
        assert (info.state, info.ended_at, info.result) == ("completed", 7, "failure")
        assert info.failure is not None
        assert info.failure.code == "TaskEnded"
    assert ended[2] == 0
    connection.close()


def test_a_database_of_other_files_is_refused_and_the_lock_let_go(tmp_path: Path) -> None:
    connection = connect(tmp_path / DATABASE_NAME)
    migrate.apply(connection, [FIRST])
    connection.close()
    for _ in range(2):
        with pytest.raises(StoreError, match="001 first differs"):
            SqliteStore(tmp_path)
