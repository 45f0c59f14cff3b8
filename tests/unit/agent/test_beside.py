"""Two engines as one: each machine belongs to one of them, and the host agent's greeting stays the whole truth."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from poolwright.domain.clock import DAY, SECOND, Micros
from poolwright.engines.base import Machine, MachineRequest, NotFound
from poolwright.engines.beside import BesideEngine, BesideFleet, BesideListener
from poolwright.engines.fake import FakeEngine, FakeFleet
from poolwright.engines.fake.script import EXIT_CODE, SECONDS, answer

WINDOWS = frozenset({"windows"})


async def _at_once(_: Micros) -> None:
    pass


def _engine(*systems: str) -> FakeEngine:
    fleet = FakeFleet(lambda: 0, Random(1))
    return FakeEngine(fleet, _at_once, runs_os=frozenset(systems))


def _request(name: str) -> MachineRequest:
    return MachineRequest(name, "node", 1, name, "disk")


def test_machines_go_to_the_engine_that_their_name_tells() -> None:
    real, other = _engine("linux"), _engine("windows")
    both = BesideEngine(real, other)

    async def story() -> None:
        able = await both.capabilities()
        assert (able.runs_os, able.simulates) == (frozenset({"linux"}), WINDOWS)
        names = ["n1", "sim1", "n2", "sim2"]
        made = await both.create([_request(name) for name in names])
        assert [machine.name for machine in made if isinstance(machine, Machine)] == names
        assert [m.name for m in real.fleet.machines()] == ["n1", "n2"]
        assert [m.name for m in other.fleet.machines()] == ["sim1", "sim2"]
        assert len(await both.machines()) == 4
        gone = await both.delete(["sim9", "n1", "sim2"])
        assert [type(answer) for answer in gone] == [NotFound, type(None), type(None)]
        await both.set_logins("sim1", [])
        assert (list(real.logins), list(other.logins)) == ([], ["sim1"])

    asyncio.run(story())


class _Heard:
    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def send_start(self, items: Sequence[Mapping[str, Any]]) -> None:
        self.said.append(("start", [item["exec"] for item in items]))

    def send_kill(self, items: Sequence[Mapping[str, Any]]) -> None:
        self.said.append(("kill", [item["exec"] for item in items]))

    def ack(self, executions: Sequence[str], /) -> None:
        self.said.append(("ack", list(executions)))

    def on_hello(self, hello: dict[str, Any]) -> None:
        self.said.append(("hello", hello))

    def on_events(self, items: list[dict[str, Any]]) -> None:
        self.said.append(("events", items))

    def on_beat(self, beat: dict[str, Any]) -> None:
        self.said.append(("beat", beat))

    def on_disconnect(self) -> None:
        self.said.append(("gone", None))


def test_orders_and_greetings_of_both() -> None:
    real, other = _Heard(), _Heard()
    fleet = BesideFleet(real, other)
    fleet.send_start([{"machine": "n1", "exec": "a"}, {"machine": "sim1", "exec": "b"}])
    fleet.send_kill([{"machine": "sim1", "exec": "b"}])
    fleet.ack(["a", "b"])
    assert real.said == [("start", ["a"]), ("ack", ["a", "b"])]
    assert other.said == [("start", ["b"]), ("kill", ["b"]), ("ack", ["a", "b"])]

    heard = _Heard()
    listener = BesideListener(heard)
    listener.on_hello({"agent": "1", "machines": ["m"], "execs": []})
    listener.simulated = lambda: {"machines": ["s"], "execs": ["x"]}
    listener.on_hello({"agent": "1", "machines": ["m"], "execs": []})
    listener.on_beat({})
    assert heard.said == [
        ("hello", {"agent": "1", "machines": ["m"], "execs": []}),
        ("hello", {"agent": "1", "machines": ["m", "s"], "execs": ["x"]}),
        ("beat", {}),
    ]


def test_the_script_of_a_simulated_task() -> None:
    assert answer({"command": "x"}) == (SECOND, 0)
    assert answer({"env": {SECONDS: "2.5", EXIT_CODE: "7"}}) == (5 * SECOND // 2, 7)
    for name, text in (
        (SECONDS, "-1"),
        (SECONDS, "nan"),
        (SECONDS, str(DAY)),
        (EXIT_CODE, "256"),
        (EXIT_CODE, "x"),
    ):
        with pytest.raises(ValueError, match=name):
            answer({"env": {name: text}})


def test_a_start_that_cannot_be_scripted_fails_and_an_adopted_machine_runs_on() -> None:
    fleet = FakeFleet(lambda: 0, Random(1), script=answer, kill_after=0)
    fleet.adopt(Machine("sim1", 3, "node", "running"))
    spec = {"machine": "sim1", "fence": 3, "exec": "t1.1", "env": {EXIT_CODE: "x"}}
    fleet.start([spec])
    (failed,) = fleet.collect()
    assert (failed["state"], failed["code"]) == ("failed", "CommandLaunchFailed")
    fleet.start([{**spec, "env": {SECONDS: "60"}}])
    fleet.kill([{**spec, "reason": "terminate"}])
    assert [item["state"] for item in fleet.collect()] == ["running", "exited"]
