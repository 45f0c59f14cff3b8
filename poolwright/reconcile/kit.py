"""What every pass is given: the injected world, and the little that is remembered between passes.

Nothing remembered here is needed for correctness: after a restart it is empty, and the worst is a message sent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from poolwright.decide.gangs import Hold
from poolwright.decide.preempt import Beat
from poolwright.decide.room import Room
from poolwright.domain.clock import HOUR, MINUTE, SECOND, Clock, Ids, Instant, Micros, Rng
from poolwright.domain.limits import PRESSURE_MEMORY_MIB, Settings
from poolwright.engines.base import Capabilities
from poolwright.reconcile.environment import TokenMaker, no_token
from poolwright.reconcile.images import ImageSource
from poolwright.reconcile.patience import Patience
from poolwright.reconcile.usage import UsageBoard
from poolwright.store.base import Tx

#: A start whose execution was not heard of for this long is sent again; the agent then reports it again.
START_REPEAT: Micros = MINUTE
#: A kill order is repeated this often until the end is known.
KILL_REPEAT: Micros = 5 * SECOND
#: Orders remembered; beyond it all are forgotten, and sent once more.
REMEMBERED_MAX = 200_000
#: Ended executions remembered: far more than can end while one pass is between its commit and its messages.
OVER_MAX = 50_000
#: How often in the life of a task it is looked up which ones are too old, at least.
EXPIRY_LOOKS = 10
#: Pools remembered to make room for a job manager; beyond it all are forgotten, and noted again in their next pass.
INSISTING_MAX = 10_000


class Delivery:
    """Which orders were sent (or answered) when, so that they are repeated, but not in every pass.

    Passes run side by side, so what was decided first may be sent last. A start that follows the kill or the
    acknowledgement of its own execution would run it once more; `still_starts` holds such starts back.
    """

    def __init__(self) -> None:
        self._starts: dict[str, Instant] = {}
        self._kills: dict[str, Instant] = {}
        self._over: dict[str, None] = {}

    def still_starts(self, name: str) -> bool:
        """Whether a start may be sent: neither a kill nor the end of the execution came before it."""
        return name not in self._kills and name not in self._over

    def starts_due(self, names: Iterable[str], now: Instant) -> list[str]:
        """Those neither sent nor heard of lately."""
        since = now - START_REPEAT
        return [name for name in names if self._starts.get(name, -START_REPEAT) <= since]

    def kill_due(self, name: str, now: Instant) -> bool:
        """Whether the kill order should go out (again)."""
        return self._kills.get(name, -KILL_REPEAT) <= now - KILL_REPEAT

    def note(self, names: Iterable[str], now: Instant) -> None:
        """A start was sent, or the execution was heard of."""
        self._bound(self._starts)
        self._starts.update(dict.fromkeys(names, now))

    def note_kill(self, name: str, now: Instant) -> None:
        """A kill order goes out."""
        self._bound(self._kills)
        self._kills[name] = now

    def forget(self, names: Iterable[str]) -> None:
        """The executions are over."""
        for name in names:
            self._starts.pop(name, None)
            self._kills.pop(name, None)
            self._over[name] = None
        if len(self._over) > OVER_MAX:
            self._over = dict.fromkeys(list(self._over)[OVER_MAX // 2 :])

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
    task_token: TokenMaker = no_token
    pressure_limit_mib: int = PRESSURE_MEMORY_MIB
    capabilities: Capabilities | None = None  # filled once the engine was asked
    delivery: Delivery = field(default_factory=Delivery)
    patience: Patience = field(default_factory=Patience)
    beat: Beat | None = None  # the newest word on the host's memory
    usage: UsageBoard = field(default_factory=UsageBoard)
    room: Callable[[], Room] = Room  # the newest judgement on the host's disk
    class_rooms: Callable[[], Mapping[str, Room]] = dict  # the same of directories of types of disks, by type
    served: Callable[[str, float, bool], None] = lambda _noun, _seconds, _well: None  # told of every pass
    turns: dict[tuple[str, str], int] = field(default_factory=dict)  # job served last, by (account, pool)
    holds: dict[tuple[str, str], Hold] = field(
        default_factory=dict
    )  # nodes kept for a gang, by (account, pool)
    insisting: set[tuple[str, str]] = field(
        default_factory=set
    )  # pools in which room is made for a job manager, as (account, pool)
    expired: tuple[Instant, int] = (0, 0)  # (when it was looked up, the newest task that is too old to run)

    def note_insisting(self, account: str, pool: str) -> None:
        """Room is made for a job manager in the pool."""
        if len(self.insisting) >= INSISTING_MAX:
            self.insisting.clear()
        self.insisting.add((account, pool))

    def expired_tasks(self, tx: Tx, now: Instant) -> int:
        """Tasks up to this number are older than a task may become; looked up once an hour, more often where that is
        much of a task's life."""
        looked_at, last = self.expired
        life = self.settings.task_life
        if now - looked_at >= min(HOUR, life // EXPIRY_LOOKS):
            last = tx.tasks.created_until(now - life)
            self.expired = (now, last)
        return last
