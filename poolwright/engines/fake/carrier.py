"""A fake fleet on a running event loop: what happens to it is told when its time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from poolwright.domain.clock import SECOND, Clock
from poolwright.engines.fake.fleet import FakeFleet

#: Machines are said to live this often, well within the time after which a silent node counts as unknown.
ALIVE_S = 15.0

Json = dict[str, Any]


class Listener(Protocol):
    """Who is told. Called in the event loop, must not block."""

    def on_events(self, items: list[Any]) -> None: ...
    def on_alive(self, machines: Sequence[str]) -> None: ...


class Carrier:
    """Takes orders for the fleet and tells its events. `start` and `close` on the event loop."""

    def __init__(self, fleet: FakeFleet, clock: Clock, listener: Listener) -> None:
        self.fleet = fleet
        self._clock = clock
        self._listener = listener
        self._next: asyncio.TimerHandle | None = None
        self._alive: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tell that machines live."""
        names = [machine.name for machine in self.fleet.machines()]
        if names:
            self._listener.on_alive(names)
        self._alive = asyncio.get_running_loop().call_later(ALIVE_S, self.start)

    def close(self) -> None:
        """Tell no more."""
        for timer in (self._next, self._alive):
            if timer is not None:
                timer.cancel()

    def hello(self) -> Json:
        """Everything the fleet holds."""
        return self.fleet.hello()

    def send_start(self, items: Sequence[Mapping[str, Any]]) -> bool:
        self.fleet.start(items)
        return self._arm()

    def send_kill(self, items: Sequence[Mapping[str, Any]]) -> bool:
        self.fleet.kill(items)
        return self._arm()

    def ack(self, executions: Iterable[str], /) -> bool:
        self.fleet.ack(executions)
        return True

    def _arm(self) -> bool:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        due = self.fleet.due()
        if due is not None:
            wait = max(0, due - self._clock.now()) / SECOND
            self._next = asyncio.get_running_loop().call_later(wait, self._tell)
        return True

    def _tell(self) -> None:
        self._next = None
        items = self.fleet.collect()
        if items:
            self._listener.on_events(items)
        self._arm()
