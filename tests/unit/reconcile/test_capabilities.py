"""What a host lacks is said once in the service's log, and again only when it changes."""

from __future__ import annotations

import pytest

from poolwright.engines.base import Capabilities, Missing
from poolwright.reconcile.apply import Applier
from tests.unit.reconcile.test_jobs_and_agents import Silent
from tests.unit.reconcile.world import World

ROOTLESS = Capabilities(
    usable=False, missing=(Missing("sandbox machines", "none can be made: the host agent is not root"),)
)


class Rootless(Silent):
    """The engine of a host agent without root, until it is given some."""

    able = ROOTLESS

    async def capabilities(self) -> Capabilities:
        return self.able


async def test_what_a_host_lacks_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    world, engine = World(nodes=0), Rootless()
    applier = Applier(world.store, engine, engine, world.kit)
    for _ in range(3):
        await applier.learn_capabilities()
    said = "missing on this host: sandbox machines: none can be made: the host agent is not root"
    assert [record.getMessage() for record in caplog.records] == [said]
    engine.able = Capabilities(usable=True)
    await applier.learn_capabilities()
    assert len(caplog.records) == 1
    assert world.kit.capabilities == Capabilities(usable=True)
