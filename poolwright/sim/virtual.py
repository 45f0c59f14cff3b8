"""Virtual time: a heap of what happens when, and coroutines that wait in it. Nothing here knows the wall clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine, Generator
from random import Random
from typing import Any

from poolwright.domain.clock import Instant, Micros

START: Instant = 1_800_000_000_000_000


class Wait:
    """`await Wait(micros)` suspends a coroutine for so long."""

    def __init__(self, micros: Micros) -> None:
        self._micros = micros

    def __await__(self) -> Generator[Micros, None, None]:
        yield self._micros


class Timeline:
    """The only order of events. Ties are broken by order of entry, so one seed gives one story."""

    def __init__(self) -> None:
        self._now: Instant = START
        self._heap: list[tuple[Instant, int, Callable[[], None]]] = []
        self._entered = 0
        self._waiting: dict[int, Coroutine[Micros, None, Any]] = {}

    def now(self) -> Instant:
        return self._now

    def after(self, wait: Micros, act: Callable[[], None]) -> None:
        """Have `act` happen in `wait` microseconds."""
        self._entered += 1
        heapq.heappush(self._heap, (self._now + max(wait, 0), self._entered, act))

    def leap(self, micros: Micros) -> None:
        """So much time passes in which nothing happens."""
        self._now += micros

    def step(self, until: Instant) -> bool:
        """Let the next thing happen if it is due by `until`; else move the clock there and return False."""
        if not self._heap or self._heap[0][0] > until:
            self._now = max(self._now, until)
            return False
        at, _, act = heapq.heappop(self._heap)
        self._now = max(self._now, at)  # what a leap of the clock passed over happens after it
        act()
        return True

    def spawn(
        self,
        coroutine: Coroutine[Micros, None, Any],
        alive: Callable[[], bool],
        done: Callable[[Any, Exception | None], None],
    ) -> None:
        """Run a coroutine whose waits are `Wait`. When `alive` turns False it is dropped where it stands, as a killed
        process is: what it would have done next never happens."""

        self._waiting[id(coroutine)] = coroutine

        def resume() -> None:
            try:
                if not alive():
                    self._drop(coroutine)
                    return
                wait = coroutine.send(None)
            except StopIteration as end:
                self._drop(coroutine)
                done(end.value, None)
            except Exception as error:  # noqa: BLE001 - judged by whoever spawned it
                self._drop(coroutine)
                done(None, error)
            else:
                self.after(wait, resume)

        self.after(0, resume)

    def close(self) -> None:
        """Drop everything that still waits."""
        for coroutine in list(self._waiting.values()):
            self._drop(coroutine)
        self._heap.clear()

    def _drop(self, coroutine: Coroutine[Micros, None, Any]) -> None:
        self._waiting.pop(id(coroutine), None)
        coroutine.close()


class SeededIds:
    """Names from the seed."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def uuid(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def short(self) -> str:
        return f"{self._rng.getrandbits(48):012x}"
