"""What every pass is given: the injected world, and the little that is remembered between passes.

Nothing remembered here is needed for correctness: after a restart it is empty, and the worst is a message sent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from poolwright.decide.preempt import Beat
from poolwright.domain.clock import MINUTE, SECOND, Clock, Ids, Instant, Micros, Rng
from poolwright.domain.limits import PRESSURE_MEMORY_MIB, Settings
from poolwright.engines.base import Capabilities
from poolwright.reconcile.images import ImageSource

#: A start whose execution was not heard of for this long is sent again; the agent then reports it again.
START_REPEAT: Micros = MINUTE
#: A kill order is repeated this often until the end is known.
KILL_REPEAT: Micros = 5 * SECOND
#: Orders remembered; beyond it all are forgotten, and sent once more.
REMEMBERED_MAX = 200_000


class Delivery:
    """Which orders were sent (or answered) when, so that they are repeated, but not in every pass."""

    def __init__(self) -> None:
        self._starts: dict[str, Instant] = {}
        self._kills: dict[str, Instant] = {}

    def starts_due(self, names: Iterable[str], now: Instant) -> list[str]:
        """Those neither sent nor heard of lately."""
        since = now - START_REPEAT
        return [name for name in names if self._starts.get(name, -START_REPEAT) <= since]

    def kill_due(self, name: str, now: Instant) -> bool:
        """Whether the kill order should go out (again); notes that it does."""
        if self._kills.get(name, -KILL_REPEAT) > now - KILL_REPEAT:
            return False
        self._bound(self._kills)
        self._kills[name] = now
        return True

    def note(self, names: Iterable[str], now: Instant) -> None:
        """A start was sent, or the execution was heard of."""
        self._bound(self._starts)
        self._starts.update(dict.fromkeys(names, now))

    def forget(self, names: Iterable[str]) -> None:
        """The execution is over."""
        for name in names:
            self._starts.pop(name, None)
            self._kills.pop(name, None)

    @staticmethod
    def _bound(memory: dict[str, Instant]) -> None:
        if len(memory) > REMEMBERED_MAX:
            memory.clear()


@dataclass(slots=True)
class Kit:
    """The injected world of the loops. `account_url` gives the public address of an account."""

    clock: Clock
    ids: Ids
    rng: Rng
    images: ImageSource
    settings: Settings
    account_url: Callable[[str], str]
    pressure_limit_mib: int = PRESSURE_MEMORY_MIB
    capabilities: Capabilities | None = None  # filled once the engine was asked
    delivery: Delivery = field(default_factory=Delivery)
    beat: Beat | None = None  # the newest word on the host's memory
