"""Whole-system stories, many and short: most faults show within a few commands of what caused them."""

from __future__ import annotations

import pytest

from poolwright.sim.story import Story

SEEDS = 2000
#: Commands of one story. Its beginning, the rest after it and the checks at the end cost as much as these few.
STEPS = 12
#: Seeds of one test: enough that pytest costs nothing, few enough that all workers are busy to the end.
BATCH = 25


@pytest.mark.parametrize("first", range(1, SEEDS + 1, BATCH))
def test_invariants_hold_and_everything_settles(first: int) -> None:
    events = [Story(seed).run(STEPS).events for seed in range(first, first + BATCH)]
    assert min(events) > 100, "a story in which nothing happens proves nothing"


def test_one_seed_tells_one_story() -> None:
    first, second = Story(7), Story(7)
    one, two = first.run(40), second.run(40)
    assert list(one.trace) == list(two.trace)
    assert (one.events, one.completed, one.virtual_s) == (two.events, two.completed, two.virtual_s)
