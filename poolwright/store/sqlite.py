"""The store on SQLite: one writing thread with group commit, a few reading threads with snapshots."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from poolwright.domain.facts import DirtyKey
from poolwright.domain.limits import WRITE_QUEUE_MAX
from poolwright.store import migrate
from poolwright.store.base import Busy, StoreError, Tx
from poolwright.store.connection import Db, connect
from poolwright.store.errors import translate
from poolwright.store.lock import DirectoryLock
from poolwright.store.transaction import SqliteTx
from poolwright.store.wakeups import Wakeups
from poolwright.store.writer import GroupWriter, Outcome, WriteFunction

T = TypeVar("T")
DATABASE_NAME = "poolwright.db"


@dataclass(frozen=True, slots=True)
class Tuning:
    """Bounds of the store. `batch_s` bounds how long a first write waits for others to join its commit; `task_facts`:
    whether the facts that come with every task are kept (domain/facts.py, COMMON)."""

    write_queue: int = WRITE_QUEUE_MAX
    batch: int = 256
    batch_s: float = 0.005
    readers: int = 2
    read_queue: int = WRITE_QUEUE_MAX
    task_facts: bool = True


@dataclass(frozen=True, slots=True)
class _Write:
    fn: WriteFunction
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class SqliteStore:
    """See store/base.py, Store. Needs the data directory for itself (see lock.py)."""

    def __init__(self, directory: Path, tuning: Tuning | None = None) -> None:
        """Open or make the database in `directory` (made, mode 0700, if absent).

        Raises StoreError: the directory is in use, or the database is of another version.
        """
        self._tuning = tuning or Tuning()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = DirectoryLock(directory)
        opened: list[sqlite3.Connection] = []
        try:
            path = directory / DATABASE_NAME
            opened.append(connect(path))
            migrate.apply(opened[0])
            opened += [connect(path, read_only=True) for _ in range(self._tuning.readers)]
        except BaseException:
            for connection in opened:
                connection.close()
            self._lock.release()
            raise
        self._connections = opened
        self._group = GroupWriter(opened[0], task_facts=self._tuning.task_facts)
        self._idle_readers = [(c, SqliteTx(Db(c), read_only=True)) for c in opened[1:]]
        self._reading = 0
        self._readers = ThreadPoolExecutor(self._tuning.readers, thread_name_prefix="store-read")
        self._queue: queue.Queue[_Write | None] = queue.Queue(self._tuning.write_queue)
        self._wakeups = Wakeups()
        self._closing = False
        self.on_commit: Callable[[int, float], None] = lambda _writes, _seconds: None
        self._writer = threading.Thread(target=self._write_loop, name="store-write", daemon=True)
        self._writer.start()

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """See store/base.py. A caller that is cancelled leaves its function to run."""
        if self._closing:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        try:
            self._queue.put_nowait(_Write(fn, loop, future))
        except queue.Full:
            raise Busy(f"{self._tuning.write_queue} writes are waiting") from None
        return cast(T, await future)

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """See store/base.py. Raises Busy."""
        if self._closing:
            raise StoreError("the store is closed")
        if self._reading >= self._tuning.read_queue:
            raise Busy(f"{self._tuning.read_queue} reads are waiting")
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, fn)
        finally:
            self._reading -= 1

    @property
    def waiting_writes(self) -> int:
        """Writes that no commit has taken up yet."""
        return self._queue.qsize()

    def wakeups(self) -> AsyncIterator[DirtyKey]:
        """See store/base.py."""
        return self._wakeups.stream()

    async def close(self) -> None:
        """Finish every write that was accepted, then let go of the directory. More calls do nothing."""
        if self._closing:
            return
        self._closing = True
        await asyncio.to_thread(self._shut)
        self._wakeups.close()

    def _shut(self) -> None:
        self._queue.put(None)
        self._writer.join()
        self._readers.shutdown()
        with contextlib.suppress(sqlite3.Error):  # disk full: the log keeps it, as after a kill
            self._connections[0].execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for connection in reversed(self._connections):
            connection.close()
        self._lock.release()

    def _read(self, fn: Callable[[Tx], T]) -> T:
        connection, tx = self._idle_readers.pop()  # as many readers as threads: one is idle
        try:
            connection.execute("BEGIN")
            try:
                return fn(tx)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise translate(error) from error
        finally:
            self._idle_readers.append((connection, tx))

    def _write_loop(self) -> None:
        last = False
        while not last:
            first = self._queue.get()
            if first is None:
                break
            last = self._write_batch(first)
        while True:  # a write that slipped in behind the end
            try:
                late = self._queue.get_nowait()
            except queue.Empty:
                return
            if late is not None:
                _resolve([late], [(None, StoreError("the store is closed"))])

    def _write_batch(self, first: _Write) -> bool:
        """Run `first` and what waits behind it in one commit; returns whether the end of the queue was met."""
        writes = [first]
        last = False
        began = time.monotonic()
        try:
            self._group.begin()
            self._group.run(first.fn)
            deadline = time.monotonic() + self._tuning.batch_s
            while len(writes) < self._tuning.batch and time.monotonic() < deadline:
                try:
                    write = self._queue.get_nowait()
                except queue.Empty:
                    break
                if write is None:
                    last = True
                    break
                writes.append(write)
                self._group.run(write.fn)
            outcomes, keys = self._group.commit()
            self.on_commit(len(writes), time.monotonic() - began)
        except (sqlite3.Error, StoreError) as error:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have given it up by itself
                self._group.abandon()
            outcomes, keys = [(None, translate(error))] * len(writes), []
        if keys:
            self._wakeups.add(keys)
        _resolve(writes, outcomes)
        return last


def _resolve(writes: Sequence[_Write], outcomes: Sequence[Outcome]) -> None:
    """Hand the outcomes to their callers: one wake of a loop for all of its callers."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Outcome]]] = {}
    for write, outcome in zip(writes, outcomes, strict=True):
        by_loop.setdefault(write.loop, []).append((write.future, outcome))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, settled)
        except RuntimeError:
            continue  # the loop is closed: nobody waits


def _settle(settled: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for future, (result, error) in settled:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
