"""One life of the service in virtual time: the real passes on the real store, with a deterministic queue of keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from poolwright.commands.schedules import JobFactory
from poolwright.domain.clock import MILLISECOND, MINUTE, SECOND, Instant, Micros
from poolwright.domain.facts import DirtyKey
from poolwright.domain.limits import Settings
from poolwright.reconcile.agents import Agents
from poolwright.reconcile.apply import Applier
from poolwright.reconcile.dispatch import Dispatcher
from poolwright.reconcile.files import TaskFiles
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.room import HostRoom
from poolwright.sim.engine import HostEngine
from poolwright.sim.files import HostFiles
from poolwright.sim.host import Host, Json
from poolwright.sim.images import Builder, Plane, SimImages
from poolwright.sim.transfers import Moved, SimTransfers
from poolwright.sim.virtual import SeededIds, Timeline, Wait
from poolwright.store.base import Tx
from poolwright.store.sync import SyncStore

T = TypeVar("T")

#: Longer than the five seconds of the service, so that nothing rests on it that a wake-up or a timer should bring.
PERIOD: Micros = 30 * SECOND
WORKERS = 4
#: Passes of one key in a virtual minute; more means that something spins instead of waiting.
PASSES_A_MINUTE_MAX = 300


class Spinning(Exception):
    """A key is served again and again although time does not change anything."""


class SlowStore:
    """The store contract with commits that take time, so that other things happen between a pass and its effects."""

    def __init__(self, store: SyncStore, rng: Random) -> None:
        self._store = store
        self._rng = rng

    async def write(self, fn: Callable[[Tx], T]) -> T:
        await Wait(self._rng.randrange(3 * MILLISECOND))
        result = self._store.write_now(fn)
        await Wait(self._rng.randrange(3 * MILLISECOND))
        return result

    async def read(self, fn: Callable[[Tx], T]) -> T:
        await Wait(self._rng.randrange(MILLISECOND))
        return self._store.read_now(fn)

    def wakeups(self) -> Any:
        raise NotImplementedError("the simulation takes wake-ups itself")

    async def close(self) -> None:
        """The store outlives this life of the service."""


@dataclass(slots=True)
class World:
    """What outlives every life of the service besides the store and the host."""

    plane: Plane
    images: SimImages
    disk: HostRoom
    files: HostFiles
    moved: Moved


class SimService:
    """The loops of one process. `failed` collects exceptions that no pass may raise."""

    def __init__(
        self, time: Timeline, rng: Random, store: SyncStore, host: Host, world: World, settings: Settings
    ) -> None:
        self._time = time
        self._rng = rng
        self._sync = store
        self._host = host
        self.alive = True
        self._began = time.now()
        self.failed: list[Exception] = []
        slow = SlowStore(store, rng)
        self.kit = Kit(
            time, SeededIds(rng), rng, world.images, settings, lambda name: f"https://{name}.local"
        )
        self.kit.room = world.disk.look
        self.agents = Agents(slow, self.kit)
        engine = HostEngine(host)
        transfers = SimTransfers(time, rng, host, store, world.moved, lambda: self.alive)
        transfers.report = self.agents.on_events
        applier = Applier(slow, engine, transfers, self.kit)
        self.agents.connect(applier, self._mail)
        builder = Builder(slow, world.plane, engine, time)
        make_job = JobFactory(time, self.kit.ids, settings)
        files = TaskFiles(slow, world.files, time)
        others = {**builder.handlers, "files": files.one}
        self._dispatcher = Dispatcher(
            slow,
            engine,
            applier,
            self.kit,
            others,
            lambda tx: builder.keys(tx) + files.keys(tx),
            make_job=make_job,
        )
        self._queue: dict[DirtyKey, None] = {}
        self._busy: set[DirtyKey] = set()
        self._timers: dict[DirtyKey, Instant] = {}
        self._draining = False
        self._passes: Counter[tuple[DirtyKey, int]] = Counter()
        self._tick()

    # -- what the host reaches

    def on_hello(self, hello: Json) -> None:
        self.agents.on_hello(hello)

    def on_events(self, items: list[Json]) -> None:
        self.agents.on_events(items)

    def on_beat(self, beat: Json) -> None:
        self.agents.on_beat(beat)

    @property
    def up(self) -> Micros:
        """How long this life has lasted."""
        return self._time.now() - self._began

    @property
    def idle(self) -> bool:
        """Whether no key is being served and nothing is unread."""
        return not (self._queue or self._busy or self._draining) and self.agents.idle

    def kill(self) -> None:
        """The process ends here and now; what it had begun stays undone."""
        self.alive = False
        self._host.disconnect()

    def wake(self) -> None:
        """Take up what committed transactions marked."""
        for key in self._sync.woken():
            self._queue[key] = None
        self._serve()

    def _spawn(self, work: Coroutine[Any, None, Any], done: Callable[[Any, Exception | None], None]) -> None:
        self._time.spawn(work, lambda: self.alive, done)

    def _tick(self) -> None:
        def found(keys: list[DirtyKey] | None, error: Exception | None) -> None:
            self._judge(error)
            self._queue.update(dict.fromkeys(keys or ()))
            self.wake()
            self._time.after(PERIOD, self._tick)

        if self.alive:
            self._spawn(self._dispatcher.due(), found)

    def _mail(self) -> None:
        def drained(_: None, error: Exception | None) -> None:
            self._judge(error)
            self._draining = False
            self.wake()
            if not self.agents.idle and error is None:
                self._mail()

        if not self._draining:
            self._draining = True
            self._spawn(self.agents.drain(), drained)

    def _serve(self) -> None:
        while len(self._busy) < WORKERS:
            free = [key for key in self._queue if key not in self._busy]
            if not free:
                return
            key = free[self._rng.randrange(len(free))]
            del self._queue[key]
            self._busy.add(key)
            self._begin(key)

    def _begin(self, key: DirtyKey) -> None:
        def served(wake_at: Instant | None, error: Exception | None) -> None:
            self._judge(error)
            self._busy.discard(key)
            if wake_at is not None:
                self._later(key, max(wake_at - self._time.now(), 10 * MILLISECOND))
            self.wake()

        minute = (key, self._time.now() // MINUTE)
        self._passes[minute] += 1
        if self._passes[minute] == PASSES_A_MINUTE_MAX:
            self.failed.append(
                Spinning(f"{key.noun} {key.id} is looked at more than {PASSES_A_MINUTE_MAX} times a minute")
            )
        self._spawn(self._dispatcher.handle(key), served)

    def _later(self, key: DirtyKey, wait: Micros) -> None:
        due = self._time.now() + wait
        if self._timers.get(key, 0) > self._time.now() and self._timers[key] <= due:
            return
        self._timers[key] = due

        def ring() -> None:
            if self.alive and self._timers.get(key) == due:
                self._queue[key] = None
                self._serve()

        self._time.after(wait, ring)

    def _judge(self, error: Exception | None) -> None:
        if error is not None:
            self.failed.append(error)
