"""Who follows the journal: waits for what is recorded next, counted and bounded, and ended with the service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from poolwright.domain.limits import FOLLOWERS_MAX
from poolwright.store.base import Busy, Store

#: One look serves all who wait, and nobody looks while none waits.
LOOK_S = 0.2


class Feed:
    """Tells when the journal has grown. Followers read the store themselves, each at its own pace:
    nothing is queued."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest = 0
        self._grown = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._waiting = 0
        self.followers = 0
        self.dropped = 0  # followers too slow to be served
        self.closed = False

    @property
    def full(self) -> bool:
        """Whether nobody else may follow now."""
        return self.closed or self.followers >= FOLLOWERS_MAX

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Be counted among the followers."""
        self.followers += 1
        try:
            yield
        finally:
            self.followers -= 1

    async def newer(self, number: int, wait_s: float) -> bool:
        """Whether something is recorded behind `number` now or in the next `wait_s` seconds."""
        if self.closed:
            return False
        self._waiting += 1
        try:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look(), name="journal")
            async with asyncio.timeout(wait_s):
                while self._newest <= number and not self.closed:
                    await self._grown.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return not self.closed

    def close(self) -> None:
        """Let everybody go."""
        self.closed = True
        self._grown.set()

    async def _look(self) -> None:
        while self._waiting and not self.closed:
            try:
                _, newest = await self._store.read(lambda tx: tx.journal.span())
            except Busy:
                newest = self._newest
            if newest != self._newest:
                self._newest = newest
                self._grown.set()
                self._grown = asyncio.Event()
            await asyncio.sleep(LOOK_S)
