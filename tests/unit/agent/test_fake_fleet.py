"""The fake fleet keeps the host agent's promises, on a clock of the test's own."""

from __future__ import annotations

import random
from typing import Any

from poolwright.domain.clock import SECOND
from poolwright.engines.base import MachineRequest, NoCapacity, Transient
from poolwright.engines.fake import FakeFleet, Faults


class Clock:
    def __init__(self) -> None:
        self.at = 0

    def __call__(self) -> int:
        return self.at


def request(name: str = "m", fence: int = 1) -> MachineRequest:
    return MachineRequest(name, "node", fence, name, "/image")


def order(exec_id: str, command: str, **more: Any) -> dict[str, Any]:
    return {"machine": "m", "fence": 1, "exec": exec_id, "command": command, "wall_clock_s": None, **more}


def drained(fleet: FakeFleet, clock: Clock) -> list[dict[str, Any]]:
    """Everything that happens from now on."""
    items = []
    for _ in range(10_000):
        items += fleet.collect()
        due = fleet.due()
        if due is None:
            return items
        clock.at = max(clock.at, due)
    raise AssertionError("the fleet never rests")


def states(items: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(item["exec"], item["state"], item.get("reason")) for item in items if item["t"] == "exec"]


def test_executions_run_end_and_are_forgotten() -> None:
    clock = Clock()
    fleet = FakeFleet(clock, random.Random(1))
    fleet.create([request()])
    fleet.start([order("a", "sleep 2"), order("b", "exit 7"), order("c", "sleep 9", wall_clock_s=1.0)])
    items = drained(fleet, clock)
    assert clock.at == 2 * SECOND
    ends = {item["exec"]: (item["reason"], item["exit_code"]) for item in items if item["state"] == "exited"}
    assert ends == {"a": ("exit", 0), "b": ("exit", 7), "c": ("wallclock", 143)}
    assert len(fleet.hello()["execs"]) == 3
    fleet.ack(["a", "b", "c"])
    assert fleet.hello()["execs"] == []


def test_repeated_stale_and_unknown_orders() -> None:
    clock = Clock()
    fleet = FakeFleet(clock, random.Random(1))
    fleet.create([request()])
    fleet.start([order("a", "sleep 2"), order("a", "sleep 2"), order("old", "true", fence=0)])
    fleet.kill([{"machine": "m", "exec": "a", "reason": "x", "grace_s": 1}])
    fleet.kill([{"machine": "m", "exec": "never", "reason": "x", "grace_s": 1}])
    seen = states(drained(fleet, clock))
    assert seen.count(("a", "exited", "killed:x")) == 1
    assert ("old", "failed", None) in seen
    assert ("never", "exited", "lost") in seen


def test_a_repeated_kill_does_not_put_off_the_end_but_may_bring_it_forward() -> None:
    clock = Clock()
    fleet = FakeFleet(clock, random.Random(1))
    fleet.create([request()])
    fleet.start([order("a", "sleep 600")])
    for second in range(4):
        clock.at = second * SECOND
        fleet.kill([{"machine": "m", "exec": "a", "reason": f"x{second}", "grace_s": 5}])
    end = drained(fleet, clock)[-1]
    assert (end["reason"], end["end_us"] <= 5 * SECOND) == ("killed:x0", True)
    began = clock.at
    fleet.start([order("b", "sleep 600")])
    for grace in (500, 1):
        fleet.kill([{"machine": "m", "exec": "b", "reason": "x", "grace_s": grace}])
    assert drained(fleet, clock)[-1]["end_us"] <= began + SECOND


def test_a_crash_takes_its_executions() -> None:
    clock = Clock()
    fleet = FakeFleet(clock, random.Random(1))
    fleet.create([request()])
    fleet.start([order("a", "sleep 2")])
    fleet.collect()
    fleet.crash("m")
    items = drained(fleet, clock)
    assert [(item["t"], item.get("state")) for item in items] == [("machine", "gone")]
    assert fleet.machines() == []


def test_faults_are_seeded() -> None:
    def run(seed: int) -> list[Any]:
        clock = Clock()
        faults = Faults(0.3, 0.2, 0.3, 0.5, room=3)
        fleet = FakeFleet(clock, random.Random(seed), faults)
        made: list[Any] = [type(outcome) for outcome in fleet.create([request(f"m{n}") for n in range(9)])]
        fleet.start([order(f"e{n}", "sleep 1", machine=f"m{n % 3}") for n in range(9)])
        return made + states(drained(fleet, clock))

    assert run(5) == run(5)
    outcomes = [kind for seed in range(20) for kind in run(seed)]
    assert NoCapacity in outcomes
    assert Transient in outcomes
