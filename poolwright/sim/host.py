"""A host with its agent and machines, as the service would meet them: processes, losses, greetings.

Streams keep their order, as real connections do; a break loses what was under way. An agent forgets an execution
only when its end was acknowledged, runs no name twice, and ends everything when the service stays away too long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from poolwright.domain.clock import MILLISECOND, SECOND, Instant, Micros
from poolwright.domain.limits import HEARTBEAT_PERIOD, NODE_LEASE
from poolwright.engines.base import MachineRequest
from poolwright.sim.faults import Faults
from poolwright.sim.virtual import Timeline

Json = dict[str, Any]


@dataclass(slots=True)
class Process:
    """One execution on a machine: running until `ended` holds how it ended."""

    name: str
    fence: int
    started_at: Instant
    ended: Json | None = None
    dying: str | None = None


@dataclass(slots=True)
class SimMachine:
    """One machine and what its agent remembers."""

    name: str
    fence: int
    request: MachineRequest
    processes: dict[str, Process] = field(default_factory=dict)


class Service(Protocol):
    """What the host reaches when it is connected."""

    def on_hello(self, hello: Json) -> None: ...
    def on_events(self, items: list[Json]) -> None: ...
    def on_beat(self, beat: Json) -> None: ...


class Host:
    """The machines, their agent and the connection. `watch` hears of every process that really begins."""

    def __init__(self, time: Timeline, rng: Random, faults: Faults) -> None:
        self.time = time
        self.rng = rng
        self.faults = faults
        self.machines: dict[str, SimMachine] = {}
        self.exits: dict[str, list[int]] = {}
        self.begun: Callable[[SimMachine, Process], None] = lambda _machine, _process: None
        self.memory_mib = 8192
        self.room = 10**9
        self._service: Service | None = None
        self._epoch = 0
        self._in_order: dict[str, Instant] = {}
        self._away_since: Instant | None = None
        self.agent_up = True
        self._beat()

    # -- connection

    @property
    def epoch(self) -> int:
        """Grows with every connection and every break."""
        return self._epoch

    @property
    def connected(self) -> bool:
        return self._service is not None

    def connect(self, service: Service) -> None:
        """The agent dials this service and greets."""
        self.disconnect()
        if not self.agent_up:
            return
        self._service = service
        self._away_since = None
        self._epoch += 1
        machines = [self._machine_json(machine) for machine in self.machines.values()]
        execs = [
            self._exec_json(machine, process)
            for machine in self.machines.values()
            for process in machine.processes.values()
        ]
        service.on_hello({"op": "hello", "machines": machines, "execs": execs})

    def disconnect(self) -> None:
        """The connection breaks; what was under way is lost."""
        self._epoch += 1
        self._service = None
        if self._away_since is None:
            self._away_since = self.time.now()

    def _reached(self) -> Service:
        assert self._service is not None
        return self._service

    def _say(self, item: Json) -> None:
        self._send("up", lambda: self._reached().on_events([item]))

    def _send(self, way: str, act: Callable[[], None]) -> None:
        """Deliver in order, if the connection lasts that long."""
        if not self.connected or self.rng.random() < self.faults.drop:
            return
        slow = self.rng.random() < self.faults.slow
        wait = self.rng.randrange(8 * SECOND if slow else 3 * MILLISECOND)
        at = max(self.time.now() + wait, self._in_order.get(way, 0))
        self._in_order[way] = at
        epoch = self._epoch

        def arrive() -> None:
            if epoch == self._epoch and self.connected:
                act()

        for _ in range(2 if self.rng.random() < self.faults.twice else 1):
            self.time.after(at - self.time.now(), arrive)

    def _beat(self) -> None:
        away = 0 if self._away_since is None else self.time.now() - self._away_since
        if away > NODE_LEASE:
            self.lose(list(self.machines))
        if self.agent_up:
            beat = {"op": "beat", "memory_available_mib": self.memory_mib, "memory_total_mib": 8192}
            self._send("up", lambda: self._reached().on_beat(beat))
        self.time.after(HEARTBEAT_PERIOD, self._beat)

    # -- orders (the Fleet contract)

    def send_start(self, items: Sequence[Mapping[str, Any]]) -> None:
        for item in items:
            self._send("down", lambda item=item: self._start(item))  # type: ignore[misc]

    def send_kill(self, items: Sequence[Mapping[str, Any]]) -> None:
        for item in items:
            self._send("down", lambda item=item: self._kill(item))  # type: ignore[misc]

    def ack(self, executions: Sequence[str]) -> None:
        self._send("down", lambda: self._forget(executions))

    def _start(self, item: Mapping[str, Any]) -> None:
        machine = self.machines.get(item["machine"])
        if machine is None or machine.fence != item["fence"]:
            self._say(self._failed(item, "StaleFence"))
            return
        process = machine.processes.get(item["exec"])
        if process is None:
            process = Process(item["exec"], item["fence"], self.time.now())
            machine.processes[process.name] = process
            self.begun(machine, process)
            duration, code = read_command(item["command"])
            limit = item["wall_clock_s"]
            end: Json = {"reason": "exit", "exit_code": code}
            if limit is not None and limit * SECOND < duration:
                duration, end = int(limit * SECOND), {"reason": "wallclock", "exit_code": None, "signal": 15}
            self.time.after(duration, lambda: self._end(machine, process, end))
        self._say(self._exec_json(machine, process))

    def _kill(self, item: Mapping[str, Any]) -> None:
        machine = self.machines.get(item["machine"])
        process = None if machine is None else machine.processes.get(item["exec"])
        if machine is None or process is None:
            fence = 0 if machine is None else machine.fence
            lost = {"state": "exited", "reason": "lost", "exec": item["exec"], "fence": fence}
            self._say({"t": "exec", "machine": item["machine"], **lost})
        elif process.ended is not None:
            self._say(self._exec_json(machine, process))
        elif process.dying is None:
            process.dying = item["reason"]
            grace = self.rng.randrange(int(item["grace_s"]) * SECOND)
            end = {"reason": f"killed:{item['reason']}", "exit_code": None, "signal": 15}
            self.time.after(grace, lambda: self._end(machine, process, end))

    def _end(self, machine: SimMachine, process: Process, end: Json) -> None:
        if process.ended is not None or self.machines.get(machine.name) is not machine:
            return
        process.ended = {**end, "start_us": process.started_at, "end_us": self.time.now()}
        if end["reason"] == "exit":
            self.exits.setdefault(process.name, []).append(end["exit_code"])
        if self.agent_up:
            self._say(self._exec_json(machine, process))

    def _forget(self, executions: Sequence[str]) -> None:
        for machine in self.machines.values():
            for name in executions:
                process = machine.processes.get(name)
                if process is not None and process.ended is not None:
                    del machine.processes[name]

    # -- faults

    def lose(self, names: Sequence[str]) -> None:
        """These machines die, with all their processes."""
        for name in names:
            machine = self.machines.pop(name, None)
            if machine is not None and self.agent_up:
                self._say({"t": "machine", "name": name, "fence": machine.fence, "state": "gone"})

    def _machine_json(self, machine: SimMachine) -> Json:
        return {"name": machine.name, "fence": machine.fence, "kind": "node", "state": "running"}

    @staticmethod
    def _exec_json(machine: SimMachine, process: Process) -> Json:
        state = {"state": "running"} if process.ended is None else {"state": "exited", **process.ended}
        return {"t": "exec", "machine": machine.name, "fence": process.fence, "exec": process.name, **state}

    @staticmethod
    def _failed(item: Mapping[str, Any], code: str) -> Json:
        where = {"machine": item["machine"], "fence": item["fence"], "exec": item["exec"]}
        return {"t": "exec", "state": "failed", "code": code, "message": code, **where}


def command(duration: Micros, code: int) -> str:
    """A command line that runs for so long and exits so."""
    return f"run {duration} {code}"


def read_command(line: str) -> tuple[Micros, int]:
    """The inverse of `command`."""
    _, duration, code = line.split()
    return int(duration), int(code)
