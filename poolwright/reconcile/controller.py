"""All loops of one service, put together: start, stop, and the listener for the agents' carrier."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from poolwright.domain.facts import DirtyKey
from poolwright.engines.base import Engine
from poolwright.reconcile.agents import Agents
from poolwright.reconcile.apply import Applier
from poolwright.reconcile.dispatch import Dispatcher, Handler
from poolwright.reconcile.fleet import MovingFleet
from poolwright.reconcile.kept_files import Keeper
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.loop import Loop
from poolwright.reconcile.schedules import JobMaker
from poolwright.store.base import Store, StoreError, Tx

_log = logging.getLogger(__name__)

#: Wait before the agents' inbox is tried again after the store refused.
STORE_WAIT_S = 0.1
#: Passes get this long to end when the service stops.
STOP_MAX_S = 10.0


class Reconciler:
    """Made first, so that its `agents` can be given to the carrier; connected and started once the carrier is."""

    def __init__(self, store: Store, kit: Kit) -> None:
        self._store = store
        self._kit = kit
        self.agents = Agents(store, kit)
        self._loop: Loop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._mail = asyncio.Event()
        self._stopping = False

    def connect(
        self,
        engine: Engine,
        fleet: MovingFleet,
        others: Mapping[str, Handler] | None = None,
        more_keys: Callable[[Tx], list[DirtyKey]] = lambda _: [],
        make_job: JobMaker | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        """Say where machines come from and through whom agents are told; `others` serve further nouns, and
        `more_keys` lists their keys for the periodic pass; `make_job` is how job schedules make jobs; `keeper` is
        told of machines that go."""
        applier = Applier(self._store, engine, fleet, self._kit, keeper)
        self.agents.connect(applier, self._mail.set)
        dispatcher = Dispatcher(self._store, engine, applier, self._kit, others, more_keys, make_job)
        self._loop = Loop(
            dispatcher.handle,
            dispatcher.due,
            self._store.wakeups,
            self._kit.clock,
            self._kit.rng,
            served=self._kit.served,
        )

    @property
    def waiting(self) -> int:
        """Keys that are dirty and not being served yet."""
        return 0 if self._loop is None else self._loop.waiting

    def start(self) -> None:
        """Begin; needs a running event loop."""
        assert self._loop is not None, "connect() comes before start()"
        self._tasks = [
            asyncio.create_task(self._loop.run(), name="reconcile"),
            asyncio.create_task(self._listen(), name="agents"),
        ]

    async def stop(self) -> None:
        """Finish what is being served, take nothing new. The store must still be open.

        An engine call that takes too long is cut off: its outcome is looked up after the next start.
        """
        self._stopping = True
        self._mail.set()
        if self._loop is not None:
            self._loop.stop()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=STOP_MAX_S)
        for task in late:
            _log.warning("%s did not come to an end in %.0f s and is cut off", task.get_name(), STOP_MAX_S)
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _listen(self) -> None:
        while not self._stopping:
            await self._mail.wait()
            self._mail.clear()
            try:
                await self.agents.drain()
            except StoreError as error:
                _log.warning(
                    "the store refused word of the agents (%s); again in %.1f s", error, STORE_WAIT_S
                )
                await asyncio.sleep(STORE_WAIT_S)
                self._mail.set()
            except Exception:  # noqa: BLE001 - one bad message must not stop the ears
                _log.exception(
                    "word of the agents could not be dealt with and is dropped; they are asked again"
                )
                self.agents.drop_first()
                self._mail.set()
