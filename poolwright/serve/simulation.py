"""Simulated nodes of a service: a fake engine beside the real one, for images that no engine here runs."""

from __future__ import annotations

import asyncio

from poolwright.domain.clock import SECOND, Clock, Micros, Rng
from poolwright.domain.limits import SIMULATED_BOOT, SIMULATED_KILL
from poolwright.domain.node import Node
from poolwright.domain.states import NodeState
from poolwright.engines.base import Capabilities, Engine, Machine
from poolwright.engines.beside import BesideEngine, BesideFleet, BesideListener, Orders
from poolwright.engines.fake import FakeEngine, FakeFleet
from poolwright.engines.fake.carrier import Carrier
from poolwright.engines.fake.script import answer
from poolwright.reconcile.agents import Agents
from poolwright.store.base import Store, Tx

SYSTEMS = frozenset({"linux", "windows"})
NOTE = "This node is simulated: nothing runs on it, its tasks end as scripted."


class Simulation:
    """`open` before the loops start; then the engine and the fleet of the loops are those of `beside`."""

    def __init__(self, clock: Clock, rng: Rng, agents: Agents) -> None:
        self._fleet = FakeFleet(
            clock.now,
            rng,
            script=answer,
            address=lambda _: None,
            notes=(NOTE,),
            kill_after=SIMULATED_KILL,
        )
        self._engine = FakeEngine(self._fleet, _pause, SIMULATED_BOOT, SYSTEMS)
        self._carrier = Carrier(self._fleet, clock, agents)

    async def open(self, store: Store) -> Capabilities:
        """Take over the machines that the rows tell of; their tasks are ordered again, under the same names, and take
        their time anew. Returns what is known before any agent has greeted."""
        for node in await store.read(_simulated_nodes):
            state = "stopped" if node.state is NodeState.DEALLOCATED else "running"
            self._fleet.adopt(Machine(node.machine, node.fence, "node", state, notes=(NOTE,)))
        self._carrier.start()
        return Capabilities(usable=True, simulates=SYSTEMS)

    def beside(self, real: Engine, agents: Orders, listener: BesideListener) -> tuple[Engine, BesideFleet]:
        """Both engines as one, and both ways of sending orders."""
        listener.simulated = self._carrier.hello
        return BesideEngine(real, self._engine), BesideFleet(agents, self._carrier)

    def close(self) -> None:
        """End the timers."""
        self._carrier.close()


def _simulated_nodes(tx: Tx) -> list[Node]:
    found = []
    for pool in tx.pools.every():
        for node in tx.nodes.of_pool(pool.account, pool.id):
            has_machine = node.booted_at is not None and node.state is not NodeState.PREEMPTED
            if node.simulated and has_machine:
                found.append(node)
    return found


async def _pause(micros: Micros) -> None:
    await asyncio.sleep(micros / SECOND)
