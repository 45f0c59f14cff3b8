"""How long a pool waits for an engine that answered nothing useful: longer each time, until it is heard again."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from poolwright.domain.clock import SECOND, Instant, Micros
from poolwright.domain.facts import DirtyKey

FIRST: Micros = 2 * SECOND
#: Doubled from the first up to this. An engine that comes back greets, so it lasts only while one stays and fails.
MOST: Micros = 16 * SECOND
#: Pools remembered; beyond it all are forgotten, and asked about at once.
POOLS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Wait:
    asked: Hashable
    micros: Micros
    until: Instant


class Patience:
    """Which work the engine did not do for which pool. Other work of the pool is tried at once."""

    def __init__(self) -> None:
        self._waits: dict[DirtyKey, _Wait] = {}

    def until(self, key: DirtyKey, asked: Hashable, now: Instant) -> Instant | None:
        """When to ask for this again; None if it may be asked now."""
        wait = self._waits.get(key)
        return wait.until if wait is not None and wait.asked == asked and now < wait.until else None

    def in_vain(self, key: DirtyKey, asked: Hashable, now: Instant) -> Instant:
        """The engine answered nothing useful. Returns when to ask again."""
        last = self._waits.get(key)
        micros = FIRST if last is None or last.asked != asked else min(2 * last.micros, MOST)
        if len(self._waits) >= POOLS_MAX:
            self._waits.clear()
        self._waits[key] = _Wait(asked, micros, now + micros)
        return now + micros

    def moved(self, key: DirtyKey) -> None:
        """Something was done for the pool, or there is nothing to ask."""
        self._waits.pop(key, None)

    def heard(self) -> None:
        """The engine is there again: whatever waits for it may be asked now."""
        self._waits.clear()
