"""Whole-system stories: a fixed set of seeds on every run, and every seed that ever failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.sim.story import Story

#: Shorter than the stories of `./dev sim`, so that many seeds fit into a minute.
STEPS = 80
#: Most of what goes wrong shows in a few commands, so many short stories find more than a few long ones.
SHORT_STEPS = 12
SHORT_SEEDS = range(1001, 1601)
BATCH = 20

_REGRESSIONS = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("seed", range(1, 31))
def test_invariants_hold_and_everything_settles(seed: int) -> None:
    outcome = Story(seed).run(STEPS)
    assert outcome.events > 1000, "a story in which nothing happens proves nothing"


@pytest.mark.parametrize("first", SHORT_SEEDS[::BATCH])
def test_many_short_stories(first: int) -> None:
    """A violation names its seed: `./dev sim --seed N --steps 12` plays it again."""
    events = [Story(seed).run(SHORT_STEPS).events for seed in range(first, first + BATCH)]
    assert min(events) > 100, "a story in which nothing happens proves nothing"


@pytest.mark.parametrize("seed", _REGRESSIONS)
def test_seeds_that_once_failed(seed: int) -> None:
    Story(seed).run()


def test_one_seed_tells_one_story() -> None:
    first, second = Story(7), Story(7)
    one, two = first.run(40), second.run(40)
    assert list(one.trace) == list(two.trace)
    assert (one.events, one.completed, one.virtual_s) == (two.events, two.completed, two.virtual_s)


def test_the_stories_together_meet_every_kind_of_misfortune() -> None:
    told = "\n".join(line for seed in range(1, 9) for line in Story(seed).run(60).trace)
    for what in ("restart_service", "crash_machines", "agent_away", "cut", "memory", "room", "image"):
        assert f"-- {what}" in told, f"no story has {what}"
    orders = ("reboot", "reimage", "deallocate", "start", "preempt", "disable")
    for what in (
        *orders,
        "taskcompletion",
        "retaineddata",
        "delete_pool",
        "create_schedule",
        "schedule_order",
    ):
        assert what in told, f"no story has {what}"
