"""What a transaction promises: all or nothing, alone or in a shared commit; snapshots; wakeups; bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from poolwright.domain.facts import DirtyKey
from poolwright.store.base import Busy, Duplicate, Store, StoreError, Tx
from poolwright.store.sqlite import SqliteStore, Tuning
from poolwright.store.wakeups import Wakeups
from tests.contract.store.values import A, job, new_task, pool


class _Refused(Exception):
    pass


def _half(tx: Tx) -> None:
    tx.pools.insert(pool("half"))
    tx.mark_dirty(DirtyKey("pool", A, "half"))
    raise _Refused


async def test_a_failing_function_leaves_nothing(store: Store) -> None:
    with pytest.raises(_Refused):
        await store.write(_half)
    assert await store.read(lambda tx: tx.pools.every()) == []


async def test_a_failing_function_harms_no_other_of_its_batch(store: Store) -> None:
    def good(tx: Tx, id: str) -> str:
        tx.pools.insert(pool(id))
        return id

    outcomes = await asyncio.gather(
        store.write(lambda tx: good(tx, "a")),
        store.write(_half),
        store.write(lambda tx: good(tx, "A")),
        store.write(lambda tx: good(tx, "b")),
        return_exceptions=True,
    )
    assert [outcomes[0], outcomes[3]] == ["a", "b"]
    assert isinstance(outcomes[1], _Refused)
    assert isinstance(outcomes[2], Duplicate)
    assert [item.id for item in await store.read(lambda tx: tx.pools.every())] == ["a", "b"]


async def test_writing_in_a_read_is_refused(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.read(lambda tx: tx.pools.insert(pool()))
    with pytest.raises(StoreError):
        await store.read(lambda tx: tx.mark_dirty(DirtyKey("pool", A, "p")))
    await store.write(lambda tx: tx.pools.insert(pool()))
    assert await store.read(lambda tx: tx.pools.count(A)) == 1


async def test_wakeups_come_once_and_only_from_what_lasted(store: Store) -> None:
    def mark(tx: Tx, *ids: str) -> None:
        for id in ids:
            tx.mark_dirty(DirtyKey("pool", A, id))

    keys = store.wakeups()
    await store.write(lambda tx: mark(tx, "P1", "p1", "p2"))
    with pytest.raises(_Refused):
        await store.write(_half)
    first = [await asyncio.wait_for(anext(keys), 10) for _ in range(2)]
    assert first == [DirtyKey("pool", A, "p1"), DirtyKey("pool", A, "p2")]
    waiting = asyncio.ensure_future(anext(keys))
    await asyncio.sleep(0)  # now it waits for the bell
    await store.write(lambda tx: mark(tx, "p1"))
    assert await asyncio.wait_for(waiting, 10) == DirtyKey("pool", A, "p1")
    ending = asyncio.ensure_future(anext(keys, None))
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.wait_for(ending, 10) is None


class _Gate:
    """Holds the writer inside a function until opened, so that what follows must queue."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, tx: Tx) -> None:
        self.entered.set()
        assert self.open.wait(30), "the test never opened the gate"


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path, Tuning(write_queue=3, batch=2, read_queue=1))
    yield store
    await store.close()


def _insert(id: str) -> Callable[[Tx], None]:
    return lambda tx: tx.pools.insert(pool(id))


def _inserts(count: int, store: Store) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(_written(store, _insert(f"p{n}"))) for n in range(count)]


async def _written(store: Store, fn: Callable[[Tx], None]) -> None:
    await store.write(fn)


async def _behind(gate: _Gate, store: Store) -> asyncio.Task[None]:
    first = asyncio.create_task(_written(store, gate))
    assert await asyncio.to_thread(gate.entered.wait, 30), "the writer never came to the gate"
    return first


async def test_a_full_queue_is_busy(small: SqliteStore) -> None:
    gate = _Gate()
    first = await _behind(gate, small)
    queued = _inserts(3, small)
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await small.write(lambda tx: tx.pools.insert(pool("late")))
    gate.open.set()
    await asyncio.gather(first, *queued)
    assert await small.read(lambda tx: tx.pools.count(A)) == 3


async def test_too_many_reads_are_busy(small: SqliteStore) -> None:
    gate = _Gate()
    reading = asyncio.ensure_future(small.read(gate))
    assert await asyncio.to_thread(gate.entered.wait, 30)
    with pytest.raises(Busy):
        await small.read(lambda tx: tx.pools.count(A))
    gate.open.set()
    await reading
    assert await small.read(lambda tx: tx.pools.count(A)) == 0


async def test_as_many_reads_at_once_as_there_are_readers(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, Tuning(readers=2, read_queue=2))
    for _ in range(2):
        gates = [_Gate(), _Gate()]
        reading = [asyncio.ensure_future(store.read(gate)) for gate in gates]
        for gate in gates:
            assert await asyncio.to_thread(gate.entered.wait, 30), "two reads did not run side by side"
        with pytest.raises(Busy):
            await store.read(lambda tx: tx.pools.count(A))
        for gate in gates:
            gate.open.set()
        await asyncio.gather(*reading)
    await store.close()


def test_wakeups_that_nobody_takes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poolwright.store.wakeups.PENDING_MAX", 2)
    wakeups = Wakeups()
    keys = [DirtyKey("pool", A, f"p{n}") for n in range(3)]
    wakeups.add([keys[0], keys[0], keys[1], keys[2]])
    assert wakeups.take() == keys[:2]
    wakeups.add(keys[2:])
    assert wakeups.take() == keys[2:]


async def test_a_read_sees_one_moment(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    gate = _Gate()

    def look(tx: Tx) -> tuple[int, int]:
        before = tx.pools.count(A)
        gate(tx)
        return before, tx.pools.count(A)

    reading = asyncio.ensure_future(store.read(look))
    assert await asyncio.to_thread(gate.entered.wait, 30)
    await store.write(lambda tx: tx.pools.insert(pool()))
    gate.open.set()
    assert await reading == (0, 0)
    assert await store.read(lambda tx: tx.pools.count(A)) == 1
    await store.close()


async def test_closing_finishes_what_was_accepted(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    gate = _Gate()
    first = await _behind(gate, store)
    queued = _inserts(300, store)
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreError):
        await store.write(lambda tx: tx.pools.insert(pool("late")))
    gate.open.set()
    await asyncio.gather(first, closing, *queued)
    with pytest.raises(StoreError):
        await store.read(lambda tx: tx.pools.count(A))
    again = SqliteStore(tmp_path)
    assert await again.read(lambda tx: tx.pools.count(A)) == 300
    await again.close()


async def test_a_cancelled_caller_harms_nobody(store: Store) -> None:
    writes = _inserts(5, store)
    await asyncio.sleep(0)
    for write in writes[::2]:
        write.cancel()
    await asyncio.gather(*writes, return_exceptions=True)
    await store.write(lambda tx: tx.pools.insert(pool("last")))
    assert await store.read(lambda tx: tx.pools.get(A, "last")) is not None


async def test_every_caller_hears_of_a_commit_that_failed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, Tuning(batch_s=30.0))  # so that all share one commit
    made = await store.write(lambda tx: tx.jobs.insert(job()))
    gate = _Gate()

    def poison(tx: Tx) -> None:
        # A rule that SQLite checks only when it commits.
        tasks = tx.tasks
        tasks._db.execute("PRAGMA defer_foreign_keys = ON")  # type: ignore[attr-defined]
        tasks.insert_many(made.pk + 1000, [new_task("orphan")], 1)

    first = await _behind(gate, store)
    others = [
        asyncio.ensure_future(store.write(lambda tx: tx.pools.insert(pool()))),
        asyncio.ensure_future(store.write(poison)),
        asyncio.ensure_future(store.write(lambda tx: tx.jobs.update(replace(made, ended_at=1)))),
    ]
    await asyncio.sleep(0)
    gate.open.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    assert all(isinstance(outcome, StoreError) for outcome in outcomes), outcomes
    assert await store.read(lambda tx: (tx.pools.count(A), tx.jobs.get(A, made.id))) == (0, made)
    await store.write(lambda tx: tx.pools.insert(pool()))
    await store.close()


async def test_a_full_disk_is_told_to_everyone_and_got_over(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, Tuning(batch_s=30.0))
    await store.write(_insert("before"))

    def limit(pages: int) -> Callable[[Tx], None]:
        def set_limit(tx: Tx) -> None:
            tx.pools._db.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

        return set_limit

    def much(tx: Tx) -> None:
        tx.pools.insert(replace(pool("much"), document=b"x" * 10_000_000))

    await store.write(limit(1))  # taken as: no larger than it is now
    gate = _Gate()
    first = await _behind(gate, store)
    others = [asyncio.ensure_future(store.write(fn)) for fn in (_insert("a"), much, _insert("b"))]
    await asyncio.sleep(0)
    gate.open.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(outcomes[2], StoreError), outcomes
    await store.write(limit(1_000_000))
    await store.write(_insert("after"))
    kept = {item.id for item in await store.read(lambda tx: tx.pools.every())}
    told = {id for id, outcome in zip("ab", (outcomes[1], outcomes[3]), strict=True) if outcome is None}
    assert kept == {"before", "after"} | told
    await store.close()
