"""Runs of keys beside their callers: one a key at a time, a bounded number at once, come again after a delay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

_LOG = logging.getLogger(__name__)
_AFTER_FAILURE_S = 30.0


class Runs:
    """`work(key)` runs until it returns: None to be left alone, or seconds after which to run again."""

    def __init__(self, work: Callable[[str], Awaitable[float | None]], at_once: int) -> None:
        self._work = work
        self._at_once = asyncio.Semaphore(at_once)
        self._tasks: dict[str, asyncio.Task[float | None]] = {}
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def start(self, key: str) -> None:
        """See that a run of the key begins after now. One that is under way is followed by another."""
        if self._closed:
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        running = self._tasks.get(key)
        if running is not None and not running.done():
            self._again.add(key)
            return
        task = asyncio.create_task(self._run(key), name=f"run {key}")
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    async def wait(self, keys: Iterable[str], patience_s: float) -> None:
        """Start the keys and wait for their runs, at most `patience_s` seconds. Raises what an ended one raised."""
        for key in (wanted := list(keys)):
            self.start(key)
        tasks = {self._tasks[key] for key in wanted if key in self._tasks}
        if not tasks:
            return
        done, _ = await asyncio.wait(tasks, timeout=patience_s)
        for task in done:
            if not task.cancelled():
                task.result()

    async def close(self) -> None:
        """Cancel everything."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: str) -> float | None:
        async with self._at_once:
            while True:
                self._again.discard(key)
                delay = await self._work(key)
                if key not in self._again:
                    return delay

    def _ended(self, key: str, task: asyncio.Task[float | None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if task.cancelled() or self._closed:
            return
        error = task.exception()
        delay = _AFTER_FAILURE_S if error is not None else task.result()
        if error is not None:
            _LOG.error("%s failed; again in %.0f s", key, delay, exc_info=error)
        if delay is not None and key not in self._tasks:
            self._timers[key] = asyncio.get_running_loop().call_later(delay, self.start, key)
