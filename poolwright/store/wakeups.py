"""Dirty keys on their way from durable transactions to the one consumer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable

from poolwright.domain.facts import DirtyKey

#: Distinct keys kept for a consumer that is not looking; more are dropped, the periodic pass finds their nouns.
PENDING_MAX = 100_000


class Wakeups:
    """Keys marked since the consumer last looked, each once, in order of first mark. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[DirtyKey, None] = {}
        self._listener: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._closed = False

    def add(self, keys: Iterable[DirtyKey]) -> None:
        """Deliver keys of a durable transaction."""
        with self._lock:
            for key in keys:
                if len(self._pending) < PENDING_MAX:
                    self._pending[key] = None
        self._ring()

    def take(self) -> list[DirtyKey]:
        """Everything pending, which then is pending no more."""
        with self._lock:
            keys = list(self._pending)
            self._pending.clear()
        return keys

    def close(self) -> None:
        """End the stream once what is pending was taken."""
        self._closed = True
        self._ring()

    async def stream(self) -> AsyncIterator[DirtyKey]:
        """Keys as they come, until `close`."""
        event = asyncio.Event()
        self._listener = (asyncio.get_running_loop(), event)
        while True:
            keys = self.take()
            for key in keys:
                yield key
            if keys:
                continue
            if self._closed:
                return
            await event.wait()
            event.clear()

    def _ring(self) -> None:
        if self._listener is None:
            return
        loop, event = self._listener
        try:
            loop.call_soon_threadsafe(event.set)
        except RuntimeError:  # the consumer's loop is closed: nobody listens
            self._listener = None
