"""An engine that is away is asked less and less often, and at once when its agent greets."""

from __future__ import annotations

import asyncio
from typing import Any

from poolwright.domain.clock import MINUTE, SECOND
from poolwright.domain.facts import DirtyKey
from poolwright.domain.states import NodeState
from poolwright.engines.base import Transient
from poolwright.reconcile import patience
from poolwright.reconcile.agents import Agents
from poolwright.reconcile.apply import Applier
from poolwright.reconcile.dispatch import Dispatcher
from tests.unit.reconcile.test_jobs_and_agents import Silent
from tests.unit.reconcile.world import ACCOUNT, World

POOL = DirtyKey("pool", ACCOUNT, "p")


class Away(Silent):
    """An engine that no call reaches."""

    async def delete(self, names: Any, *, keep_storage: bool = False) -> list[Any]:
        await super().delete(names, keep_storage=keep_storage)
        raise Transient("the call did not reach the agent")


def away(nodes: int = 1) -> tuple[World, Away, Dispatcher, Agents]:
    """A pool with a node to be removed."""
    world, engine = World(nodes=nodes), Away()
    applier = Applier(world.store, engine, engine, world.kit)
    agents = Agents(world.store, world.kit)
    agents.connect(applier, lambda: None)
    world.set_pool(target_dedicated=0)
    world.set_node("n0", state=NodeState.LEAVING_POOL)
    return world, engine, Dispatcher(world.store, engine, applier, world.kit), agents


def look_for(world: World, dispatcher: Dispatcher, time: int, period: int = 5 * SECOND) -> None:
    """Look as the loop does: every period, and when a look says to look again."""
    end, again = world.clock.at + time, world.clock.at
    while again <= end:
        world.clock.at = again
        asked = asyncio.run(dispatcher.handle(POOL))
        again = min(world.clock.at + period, asked or end)
        assert again > world.clock.at, "a look that asks for the next one at once would spin"


def test_an_engine_that_is_away_is_asked_less_and_less_often() -> None:
    world, engine, dispatcher, _ = away()
    look_for(world, dispatcher, MINUTE)
    assert len(engine.deleted) == 6, "after 2, 4, 8, 16, 16 seconds"
    look_for(world, dispatcher, 10 * MINUTE)
    assert 36 <= len(engine.deleted) <= 48, "and never less often than every 16"


def test_it_is_asked_at_once_when_its_agent_greets() -> None:
    world, engine, dispatcher, agents = away()
    look_for(world, dispatcher, MINUTE)
    engine.deleted.clear()
    agents.on_hello({"machines": [], "execs": []})
    asyncio.run(agents.drain())
    assert POOL in world.store.woken()
    look_for(world, dispatcher, 2 * SECOND)
    assert len(engine.deleted) == 2, "at once, and then as after a first failure"


def test_other_work_of_the_pool_does_not_wait() -> None:
    world, engine, dispatcher, _ = away(2)
    look_for(world, dispatcher, MINUTE)
    engine.deleted.clear()
    world.set_node("n1", state=NodeState.LEAVING_POOL)
    look_for(world, dispatcher, SECOND)
    assert len(engine.deleted) == 2


def test_a_pool_that_has_nothing_to_ask_any_more_is_forgotten() -> None:
    waits = patience.Patience()
    for _ in range(5):
        until = waits.in_vain(POOL, "work", 0)
    assert until == patience.MOST == waits.until(POOL, "work", 0)
    waits.moved(POOL)
    assert waits.until(POOL, "work", 0) is None
    assert waits.in_vain(POOL, "work", 0) == patience.FIRST


def test_what_is_remembered_is_bounded() -> None:
    waits = patience.Patience()
    for n in range(patience.POOLS_MAX + 1):
        waits.in_vain(DirtyKey("pool", ACCOUNT, str(n)), "work", 0)
    assert waits.until(DirtyKey("pool", ACCOUNT, "0"), "work", 0) is None
