from __future__ import annotations

import asyncio
from typing import Any

import pytest

from poolwright.domain.pool import Resize
from poolwright.domain.states import AllocationState, NodeState
from poolwright.engines.base import Machine
from poolwright.reconcile import controller
from poolwright.reconcile.controller import Reconciler
from tests.unit.decide.parts import NOW
from tests.unit.reconcile.test_jobs_and_agents import Silent
from tests.unit.reconcile.world import World, exited

DEADLINE_S = 20.0


class Prompt(Silent):
    """Makes every machine at once, unless it is told to hang; ends every task it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.agents: Any = None
        self.asked = asyncio.Event()
        self.idle = asyncio.Event()
        self.hangs = False
        self.expected = 0

    async def create(self, requests: Any) -> list[Any]:
        self.asked.set()
        if self.hangs:
            await asyncio.Event().wait()
        return [Machine(request.name, request.fence, "node", "running") for request in requests]

    def send_start(self, items: Any, /) -> None:
        super().send_start(items)
        ends = {"t": "exec", "state": "exited", "reason": "exit", "exit_code": 0}
        self.agents.on_events(
            [{**ends, "machine": i["machine"], "fence": i["fence"], "exec": i["exec"]} for i in items]
        )

    def ack(self, executions: Any, /) -> None:
        super().ack(executions)
        if len(self.acked) >= self.expected:
            self.idle.set()


def assembled(world: World) -> tuple[Reconciler, Prompt]:
    prompt = Prompt()
    reconciler = Reconciler(world.store, world.kit)
    prompt.agents = reconciler.agents
    reconciler.connect(prompt, prompt)
    world.set_pool(target_dedicated=3, allocation=AllocationState.RESIZING, resize=Resize(NOW, 900_000_000))
    return reconciler, prompt


async def test_from_a_pool_row_to_finished_tasks_and_a_clean_stop() -> None:
    world = World(nodes=0)
    reconciler, prompt = assembled(world)
    prompt.expected = 7
    world.add(*(f"t{n}" for n in range(7)))
    reconciler.start()
    await asyncio.wait_for(prompt.idle.wait(), DEADLINE_S)
    await reconciler.stop()
    assert sorted(prompt.acked) == [f"t{n}.1" for n in range(1, 8)]
    assert world.live() == []
    assert world.states() == [NodeState.IDLE] * 3


async def test_a_hanging_engine_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "STOP_MAX_S", 0.05)
    world = World(nodes=0)
    reconciler, prompt = assembled(world)
    prompt.hangs = True
    reconciler.start()
    await asyncio.wait_for(prompt.asked.wait(), DEADLINE_S)
    await asyncio.wait_for(reconciler.stop(), DEADLINE_S)
    assert world.states() == [NodeState.CREATING] * 3, "their rows stand: the next start asks for them again"


async def test_a_message_that_cannot_be_dealt_with_does_not_stop_the_ears() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    prompt = Prompt()
    prompt.expected = 1
    reconciler = Reconciler(world.store, world.kit)
    prompt.agents = reconciler.agents
    reconciler.connect(prompt, prompt)
    reconciler.start()
    reconciler.agents.on_events(None)  # type: ignore[arg-type]
    reconciler.agents.on_events([exited(spec)])
    await asyncio.wait_for(prompt.idle.wait(), DEADLINE_S)
    await reconciler.stop()
    assert world.live() == []
