"""Stories long enough for slow trouble (leases, retention, many lives of a node), and every seed that ever failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.sim.story import STEPS as LONGEST
from poolwright.sim.story import Story

SEEDS = 24
STEPS = 80
_REGRESSIONS = [
    line.split()[0]
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_invariants_hold_and_everything_settles(seed: int) -> None:
    assert Story(seed).run(STEPS).events > 1000, "a story in which nothing happens proves nothing"


@pytest.mark.parametrize("seed", _REGRESSIONS)
def test_seeds_that_once_failed(seed: str) -> None:
    number, _, steps = seed.partition("/")
    Story(int(number)).run(int(steps or LONGEST))
