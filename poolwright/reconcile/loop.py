"""The queue of dirty keys: each once, one worker a key, bounded workers, back-off after failures, timers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from poolwright.domain.clock import Clock, Instant, Rng
from poolwright.domain.facts import DirtyKey

_log = logging.getLogger(__name__)

PERIOD_S = 5.0
WORKERS = 8
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 30.0
#: Passes of one key follow each other no faster than this, so that a stream of wake-ups shares passes.
GAP_S = 0.01
#: A pass that took long is followed by a pause in proportion, so that a large pool leaves the store to the others.
GAP_FACTOR = 2.0
GAP_MAX_S = 0.1
#: Timers further away than this are left to the periodic pass and to the pass after it.
TIMER_MAX_S = 3600.0


class Loop:
    """Runs `handle` for keys as they get dirty. `due` lists the keys of the periodic pass."""

    def __init__(
        self,
        handle: Callable[[DirtyKey], Awaitable[Instant | None]],
        due: Callable[[], Awaitable[list[DirtyKey]]],
        wakeups: Callable[[], AsyncIterator[DirtyKey]],
        clock: Clock,
        rng: Rng,
        *,
        period_s: float = PERIOD_S,
        workers: int = WORKERS,
        served: Callable[[str, float, bool], None] = lambda _noun, _seconds, _well: None,
    ) -> None:
        self._handle = handle
        self._due = due
        self._wakeups = wakeups
        self._clock = clock
        self._rng = rng
        self._period_s = period_s
        self._workers = workers
        self._served = served
        self._queue: dict[DirtyKey, None] = {}
        self._busy: set[DirtyKey] = set()
        self._again: set[DirtyKey] = set()
        self._failures: dict[DirtyKey, int] = {}
        self._timers: dict[DirtyKey, asyncio.TimerHandle] = {}
        self._work = asyncio.Event()
        self._stopping = False

    @property
    def waiting(self) -> int:
        """Keys in the queue."""
        return len(self._queue)

    def add(self, key: DirtyKey) -> None:
        """The key is dirty. One that is being served is served once more afterwards."""
        if self._stopping:
            return
        if key in self._busy:
            self._again.add(key)
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._queue[key] = None
        self._work.set()

    async def run(self) -> None:
        """Serve until `stop`; keys being served then are finished."""
        feeders = [asyncio.create_task(self._feed()), asyncio.create_task(self._tick())]
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._worker())
        finally:
            for feeder in feeders:
                feeder.cancel()
            for feeder in feeders:
                with contextlib.suppress(asyncio.CancelledError):
                    await feeder
            for timer in self._timers.values():
                timer.cancel()

    def stop(self) -> None:
        """Take no more keys; `run` returns when those being served are done."""
        self._stopping = True
        self._queue.clear()
        self._work.set()

    async def _feed(self) -> None:
        async for key in self._wakeups():
            self.add(key)

    async def _tick(self) -> None:
        while True:
            try:
                for key in await self._due():
                    self.add(key)
            except Exception:  # noqa: BLE001 - whatever it was, the next period looks again
                _log.exception("the periodic pass failed; it is tried again")
            await asyncio.sleep(self._period_s * (0.9 + 0.2 * self._rng.random()))

    async def _worker(self) -> None:
        while not self._stopping:
            if not self._queue:
                self._work.clear()
                await self._work.wait()
                continue
            key = next(iter(self._queue))
            del self._queue[key]
            self._busy.add(key)
            try:
                await self._serve(key)
            finally:
                self._busy.discard(key)
        self._work.set()

    async def _serve(self, key: DirtyKey) -> None:
        time = asyncio.get_running_loop().time
        began = time()
        try:
            wake_at = await self._handle(key)
        except Exception:  # noqa: BLE001 - one bad key must not stop the others
            self._served(key.noun, time() - began, False)
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            wait = min(BACKOFF_FIRST_S * 2 ** min(failures - 1, 20), BACKOFF_MAX_S) * (
                0.5 + self._rng.random()
            )
            _log.exception("%s %s failed (%d in a row); again in %.1f s", key.noun, key.id, failures, wait)
            self._again.discard(key)
            self._later(key, wait)
            return
        took = time() - began
        self._served(key.noun, took, True)
        self._failures.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self._later(key, min(max(GAP_S, GAP_FACTOR * took), GAP_MAX_S))
        elif wake_at is not None:
            self._later(key, max((wake_at - self._clock.now()) / 1_000_000, GAP_S))

    def _later(self, key: DirtyKey, wait_s: float) -> None:
        if self._stopping:
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(min(wait_s, TIMER_MAX_S), self._ring, key)

    def _ring(self, key: DirtyKey) -> None:
        self._timers.pop(key, None)
        self.add(key)
