"""An engine in memory, scripted with faults: for simulations and for tests of what uses an engine."""

from __future__ import annotations

from poolwright.engines.fake.engine import FakeEngine
from poolwright.engines.fake.fleet import FakeFleet, Faults

__all__ = ["FakeEngine", "FakeFleet", "Faults"]
