"""What agents say, taken in order: greetings, reports in large batches, signs of life.

The carrier calls `on_...` from its loop; `drain` does the work. While one batch is being made durable the next one
gathers, so the busier the agents, the fewer commits a task costs.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from poolwright.decide import preempt
from poolwright.decide.node_events import preempted
from poolwright.decide.preempt import Beat
from poolwright.domain.clock import SECOND, Instant, Micros
from poolwright.domain.facts import DirtyKey, Fact
from poolwright.domain.node import Node, is_simulated
from poolwright.reconcile import events, hello
from poolwright.reconcile.apply import Applier
from poolwright.reconcile.fleet import Event, read_event, read_hello
from poolwright.reconcile.kit import Kit
from poolwright.store.base import Store, Tx

_log = logging.getLogger(__name__)

#: Reports recorded in one transaction at most.
BATCH_MAX = 1000
#: Messages kept while the store is away; beyond it the oldest go, and their executions are asked about again.
INBOX_MAX = 10_000
#: Signs of life are written this often; the lease allows for it.
TOUCH_PERIOD: Micros = 15 * SECOND

Json = Mapping[str, Any]


class Agents:
    """The listener of the agents' carrier."""

    def __init__(self, store: Store, kit: Kit, wake: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._kit = kit
        self._wake = wake
        self._applier: Applier | None = None
        self._inbox: deque[tuple[str, Any]] = deque()
        self._touched_at: Instant = 0
        self._preempted_at: Instant = 0

    def connect(self, applier: Applier, wake: Callable[[], None]) -> None:
        """Say through whom to answer, and whom to wake when something came in."""
        self._applier = applier
        self._wake = wake

    def on_hello(self, message: Json) -> None:
        """An agent greeted; older reports of it are contained in what it says now."""
        self._inbox.clear()
        self._put("hello", (self._kit.clock.now(), message))

    def on_events(self, items: list[Any]) -> None:
        self._put("events", items)

    def on_beat(self, beat: Json) -> None:
        self._put("beat", beat)

    def on_alive(self, machines: Sequence[str]) -> None:
        """These machines, which the host's agent knows nothing of, live."""
        self._put("alive", machines)

    def on_disconnect(self) -> None:
        """Nothing to do: silence is noticed by the nodes' clocks."""

    @property
    def idle(self) -> bool:
        """Whether everything said so far is dealt with."""
        return not self._inbox

    def drop_first(self) -> None:
        """Give up the oldest message; its executions are asked about again later."""
        if self._inbox:
            self._inbox.popleft()

    async def drain(self) -> None:
        """Deal with everything in the inbox. Raises StoreError; what was being dealt with stays in the inbox."""
        while self._inbox:
            kind, message = self._inbox[0]
            if kind == "hello":
                await self._hello(*message)
                self._done(1, kind, message)
            elif kind == "alive":
                now, names = self._kit.clock.now(), message
                await self._store.write(partial(_touch, names, now))
                self._done(1, kind, message)
            elif kind == "beat":
                await self._beat(message)
                self._done(1, kind, message)
            else:
                await self._events()

    def _put(self, kind: str, message: Any) -> None:
        if len(self._inbox) >= INBOX_MAX:
            _log.warning(
                "more than %d messages of agents wait for the store; the oldest is dropped", INBOX_MAX
            )
            self._inbox.popleft()
        self._inbox.append((kind, message))
        self._wake()

    def _done(self, count: int, kind: str, message: Any) -> None:
        """Take what was dealt with out of the inbox, unless a greeting emptied it meanwhile."""
        for _ in range(count):
            if self._inbox and self._inbox[0] == (kind, message):
                self._inbox.popleft()

    async def _hello(self, heard_at: Instant, message: Json) -> None:
        applier = self._answering()
        await applier.learn_capabilities()
        self._kit.patience.heard()  # before the greeting wakes the pools
        now = self._kit.clock.now()
        heard = read_hello(message, now)
        greeting = await self._store.write(lambda tx: hello.greet(tx, self._kit, heard, heard_at, now))
        self._touched_at = now
        applier.deliver(greeting.reaction)
        if greeting.orphans:
            _log.warning("deleting %d machines that no row owns", len(greeting.orphans))
            await applier.delete_orphans(greeting.orphans)

    async def _events(self) -> None:
        now = self._kit.clock.now()
        taken: list[list[Any]] = []
        items: list[Event] = []
        for kind, message in self._inbox:
            if kind != "events" or len(items) >= BATCH_MAX:
                break
            taken.append(message)
            items += [event for event in (read_event(item, now) for item in message) if event is not None]
        reaction = await self._store.write(lambda tx: events.apply(tx, self._kit, items, now))
        for message in taken:
            self._done(1, "events", message)
        self._answering().deliver(reaction)

    async def _beat(self, message: Json) -> None:
        now = self._kit.clock.now()
        self._kit.usage.note(message, now)
        available, total = message.get("memory_available_mib"), message.get("memory_total_mib")
        if isinstance(available, int | float) and isinstance(total, int | float):
            self._kit.beat = Beat(now, int(available), int(total))
        beat = self._kit.beat
        pressure = None if beat is None else preempt.under_pressure(beat, self._kit.pressure_limit_mib)
        due = now - self._touched_at >= TOUCH_PERIOD
        if not due and pressure is None:
            return
        last = self._preempted_at
        victim = await self._store.write(lambda tx: record_beat(tx, pressure, last, now))
        self._touched_at = now
        if victim is not None:
            self._preempted_at = now
            _log.warning("preempting node %s of pool %s: %s", victim.id, victim.pool, pressure)

    def _answering(self) -> Applier:
        assert self._applier is not None, "connect() comes before the first message"
        return self._applier


def _touch(names: Sequence[str], now: Instant, tx: Tx) -> None:
    known = tx.nodes.machines()
    tx.nodes.touch([name for name in names if name in known], now)


def record_beat(tx: Tx, pressure: str | None, last_preempted: Instant, now: Instant) -> Node | None:
    """Note the agent's sign of life for every node it has; under pressure preempt one and return it."""
    tx.nodes.touch([name for name in tx.nodes.machines() if not is_simulated(name)], now)
    if pressure is None:
        return None
    low: list[Node] = []
    used: dict[str, int] = {}
    for pool in tx.pools.every():
        low += [
            node
            for node in tx.nodes.of_pool(pool.account, pool.id)
            if not node.dedicated and not node.simulated
        ]
        used |= tx.executions.slots(pool.account, pool.id)
    node = preempt.victim(low, used, last_preempted, now)
    if node is None:
        return None
    node = tx.nodes.update(preempted(node, now, pressure))
    fact = Fact(now, "node.preempted", node.account, f"node/{node.pool}/{node.id}", {"reason": pressure})
    tx.journal.record([fact])
    tx.mark_dirty(DirtyKey("pool", node.account, node.pool))
    return node
