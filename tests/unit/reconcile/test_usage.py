"""What machines use: totals of the agents become samples that formulas see."""

from __future__ import annotations

import pytest

from poolwright.domain.clock import SECOND
from poolwright.domain.limits import SAMPLE_PERIOD
from poolwright.reconcile import autoscale
from poolwright.reconcile.usage import FRESH, UsageBoard
from tests.unit.reconcile.world import ACCOUNT, World

ZERO = dict.fromkeys(("cpu_us", "read", "written", "reads", "writes", "received", "sent"), 0)
MIB, GIB = 1 << 20, 1 << 30


def totals(cores: float = 1.0, memory: int = 0, **more: int) -> dict[str, int]:
    return {**ZERO, "cores": int(cores * 1000), "memory": memory, **more}


def beat(**machines: dict[str, int]) -> dict[str, object]:
    return {"usage": machines, "disk_used": 3 * GIB}


def test_two_words_of_a_machine_make_rates() -> None:
    board = UsageBoard()
    board.note(beat(m=totals(2)), 0)
    assert board.of(["m"], 0) == []
    board.note(beat(m=totals(2, 64 * MIB, cpu_us=6_000_000, read=1000, sent=50)), 10 * SECOND)
    (usage,) = board.of(["m", "other"], 10 * SECOND)
    assert usage.cpu == pytest.approx(0.3)
    assert (usage.memory, usage.disk, usage.read, usage.sent) == (64 * MIB, 3 * GIB, 100, 5)
    assert board.of(["m"], 10 * SECOND + FRESH + 1) == []


def test_another_life_of_a_machine_begins_anew() -> None:
    board = UsageBoard()
    board.note(beat(m=totals(cpu_us=9_000_000)), 0)
    board.note(beat(m=totals(cpu_us=1_000_000)), 10 * SECOND)
    assert board.of(["m"], 10 * SECOND) == []
    board.note(beat(m=totals(cpu_us=2_000_000)), 20 * SECOND)
    assert [usage.cpu for usage in board.of(["m"], 20 * SECOND)] == [pytest.approx(0.1)]


@pytest.mark.parametrize("told", [None, 3, {"m": None}, {"m": {"cores": "x"}}, {"m": {}}])
def test_words_out_of_form_are_left_out(told: object) -> None:
    board = UsageBoard()
    for at in (0, 10 * SECOND):
        board.note({"usage": told}, at)
    assert board.of(["m"], 10 * SECOND) == []


def test_silent_machines_are_forgotten() -> None:
    board = UsageBoard()
    board.note(beat(m=totals()), 0)
    board.note(beat(n=totals()), 3 * FRESH)
    board.note(beat(m=totals(cpu_us=5)), 3 * FRESH + SECOND)
    assert board.of(["m"], 3 * FRESH + SECOND) == []


def test_samples_average_and_sum_over_the_nodes_that_told() -> None:
    world = World(nodes=2)
    one, two = (world.node(f"n{number}").machine for number in (0, 1))
    began = world.clock.at
    world.kit.usage.note(beat(**{one: totals(), two: totals()}), began)
    world.clock.at += SAMPLE_PERIOD
    spent = totals(1, 100 * MIB, cpu_us=15_000_000, written=300, writes=30)
    world.kit.usage.note(beat(**{one: spent, two: totals(1, 300 * MIB)}), world.clock.at)
    world.write(lambda tx: autoscale.sample(tx, world.kit, world.clock.at))
    (sample,) = world.store.read_now(lambda tx: tx.samples.between(ACCOUNT, "p", 0, world.clock.at))
    found = {name: sample.metrics[name] for name in ("CPUPercent", "MemoryBytes", "DiskBytes")}
    assert found == {"CPUPercent": 0.25, "MemoryBytes": 200, "DiskBytes": 3}
    assert (sample.metrics["DiskWriteBytes"], sample.metrics["DiskWriteOps"]) == (300, 30)
    assert (sample.metrics["SampleNodeCount"], sample.metrics["WallClockSeconds"]) == (2, 60)


def test_a_sample_without_words_has_a_gap() -> None:
    world = World(nodes=1)
    world.write(lambda tx: autoscale.sample(tx, world.kit, world.clock.at))
    (sample,) = world.store.read_now(lambda tx: tx.samples.between(ACCOUNT, "p", 0, world.clock.at))
    assert "CPUPercent" not in sample.metrics
    assert sample.metrics["CurrentDedicatedNodes"] == 1
