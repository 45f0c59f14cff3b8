"""Machines and executions that exist only in memory, on somebody else's clock.

Synchronous and single-threaded: the owner asks `due`, moves its clock and takes `collect`. Items are the same JSON
objects the host agent sends.
"""

from __future__ import annotations

import heapq
import itertools
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poolwright import __version__
from poolwright.domain.clock import MILLISECOND, SECOND, Instant, Micros, Rng
from poolwright.engines.base import (
    EngineError,
    Machine,
    MachineRequest,
    NoCapacity,
    NotFound,
    Outcome,
    Rejected,
    Transient,
)

Json = dict[str, Any]
Script = Callable[[Mapping[str, Any]], "tuple[Micros, int]"]
_NETWORK = "10.250"


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances (0..1) of what may go wrong. `room` is how many machines there can be."""

    failed_create: float = 0.0
    lost_event: float = 0.0
    repeated_event: float = 0.0
    late_event: float = 0.0
    late_by: Micros = 5 * SECOND
    room: int = 10**9


@dataclass(slots=True)
class _Execution:
    item: Json
    ends: int = 0  # serial of the planned end; a later plan makes older ones void
    kill_by: Instant | None = None  # it was ordered to end, and does so by then
    ended_by: str = ""  # the reason of the first such order


@dataclass(slots=True)
class _Held:
    machine: Machine
    executions: dict[str, _Execution] = field(default_factory=dict)
    kept: bool = False


def sleep_and_exit(spec: Mapping[str, Any]) -> tuple[Micros, int]:
    """The script used when none is given: `sleep S` takes S seconds, `exit N` ends with N, all else is instant."""
    words = shlex.split(str(spec["command"]))
    if words[:1] == ["sleep"] and len(words) > 1:
        return int(float(words[1]) * SECOND), 0
    if words[:1] == ["exit"] and len(words) > 1:
        return MILLISECOND, int(words[1])
    return MILLISECOND, 0


def made_up_address(number: int) -> str:
    """An address of a network that leads nowhere."""
    return f"{_NETWORK}.{number >> 8 & 255}.{number & 255}"


class FakeFleet:
    """All machines of a made-up host. `script` says how long an execution runs and how it ends; a ValueError of it
    is a start that fails. `address` and `notes` are what machines say of themselves; `kill_after` is how long the end
    of a killed execution takes (None: any time within its grace)."""

    def __init__(
        self,
        now: Callable[[], Instant],
        rng: Rng,
        faults: Faults = Faults(),
        script: Script = sleep_and_exit,
        *,
        address: Callable[[int], str | None] = made_up_address,
        notes: tuple[str, ...] = (),
        kill_after: Micros | None = None,
    ) -> None:
        self._address = address
        self._notes = notes
        self._kill_after = kill_after
        self.faults = faults
        self._now = now
        self._rng = rng
        self._script = script
        self._held: dict[str, _Held] = {}
        self._queue: list[tuple[Instant, int, Callable[[], Json | None]]] = []
        self._order = itertools.count(1)
        self._addresses = itertools.count(2)

    def create(self, requests: Sequence[MachineRequest]) -> list[Outcome]:
        """As `Engine.create`."""
        return [self._create(request) for request in requests]

    def machines(self) -> list[Machine]:
        """As `Engine.machines`."""
        return [held.machine for held in self._held.values()]

    def delete(self, names: Sequence[str], keep_storage: bool = False) -> list[EngineError | None]:
        """As `Engine.delete`."""
        return [self._delete(name, keep_storage) for name in names]

    def adopt(self, machine: Machine) -> None:
        """A machine that is there already, as far as the owner's records go."""
        self._held[machine.name] = _Held(machine, kept=machine.state != "running")

    def crash(self, name: str) -> None:
        """The machine dies by itself, with everything in it."""
        held = self._held.pop(name, None)
        if held is None:
            return
        fence = held.machine.fence
        item = {"t": "machine", "name": name, "fence": fence, "state": "gone", "address": None}
        self._say({**item, "detail": "crashed"})

    def start(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Start executions, as the host agent would; a known one is only reported again."""
        for spec in items:
            held = self._held.get(spec["machine"])
            if held is None or held.kept or held.machine.fence != spec["fence"]:
                self._say(self._item(spec, state="failed", code="StaleFence", message="no such machine"))
                continue
            execution = held.executions.get(spec["exec"])
            if execution is None:
                item = self._item(spec, state="running", pid=next(self._order), start_us=self._now())
                execution = _Execution(item)
                try:
                    self._run(execution, spec)
                except ValueError as bad:
                    self._say(self._item(spec, state="failed", code="CommandLaunchFailed", message=str(bad)))
                    continue
                held.executions[spec["exec"]] = execution
            self._say(execution.item)

    def kill(self, items: Iterable[Mapping[str, Any]]) -> None:
        """End executions within their grace; unknown ones are lost. A repeated order can only shorten the grace."""
        for order in items:
            held = self._held.get(order["machine"])
            execution = None if held is None else held.executions.get(order["exec"])
            if execution is None:
                fence = None if held is None else held.machine.fence
                self._say(self._item({**order, "fence": fence}, state="exited", reason="lost"))
            elif execution.item["state"] == "running":
                self._end(execution, order)
            else:
                self._say(execution.item)

    def ack(self, executions: Iterable[str]) -> None:
        """Forget ended executions."""
        wanted = set(executions)
        for held in self._held.values():
            for name in wanted & held.executions.keys():
                if held.executions[name].item["state"] != "running":
                    del held.executions[name]

    def hello(self) -> Json:
        """What the host agent would greet with now."""
        execs = [execution.item for held in self._held.values() for execution in held.executions.values()]
        machines = [
            {"name": m.name, "fence": m.fence, "kind": m.kind, "state": m.state, "address": m.address}
            for m in self.machines()
        ]
        return {"op": "hello", "agent": "fake", "machines": machines, "execs": execs}

    def due(self) -> Instant | None:
        """When the next event is there, if any is planned."""
        return self._queue[0][0] if self._queue else None

    def collect(self) -> list[Json]:
        """Events that have happened up to now, in order."""
        items: list[Json] = []
        while self._queue and self._queue[0][0] <= self._now():
            item = heapq.heappop(self._queue)[2]()
            if item is not None:
                items.append(item)
        return items

    def _create(self, request: MachineRequest) -> Outcome:
        known = self._held.get(request.name)
        if known is not None and known.machine.fence > request.fence:
            return Rejected(
                f"machine {request.name}: fence {request.fence} is older than {known.machine.fence}"
            )
        if known is not None and known.machine.fence == request.fence and not known.kept:
            return known.machine
        if known is None and len(self._held) >= self.faults.room:
            return NoCapacity(f"all {self.faults.room} machines are in use", 10.0)
        if not request.os_disk:
            return Rejected(f"machine {request.name}: os_disk is empty")
        if self._chance(self.faults.failed_create):
            return Transient(f"machine {request.name}: did not come up")
        address = self._address(next(self._addresses))
        limits = ("cpu", "memory", "pids")
        made = Machine(
            request.name,
            request.fence,
            request.kind,
            "running",
            address,
            limits,
            self._notes,
            agent=__version__,
        )
        self._held[request.name] = _Held(made)
        return made

    def _delete(self, name: str, keep_storage: bool) -> EngineError | None:
        held = self._held.get(name)
        if held is None:
            return NotFound(f"no machine {name}")
        if not keep_storage:
            del self._held[name]
            return None
        stopped = Machine(name, held.machine.fence, held.machine.kind, "stopped")
        self._held[name] = _Held(stopped, kept=True)
        return None

    def _end(self, execution: _Execution, order: Mapping[str, Any]) -> None:
        most = max(1, int(float(order.get("grace_s", 30)) * SECOND))
        if execution.kill_by is not None and execution.kill_by <= self._now() + most:
            return
        execution.kill_by = self._now() + most
        execution.ended_by = execution.ended_by or f"killed:{order['reason']}"
        grace = self._rng.randrange(most) if self._kill_after is None else self._kill_after
        self._plan(execution, grace, execution.ended_by, 143, 15)

    def _run(self, execution: _Execution, spec: Mapping[str, Any]) -> None:
        duration, code = self._script(spec)
        limit = spec.get("wall_clock_s")
        if limit is not None and limit * SECOND < duration:
            self._plan(execution, int(limit * SECOND), "wallclock", 143, 15)
        else:
            self._plan(execution, duration, "exit", code, None, bool(spec.get("linger")) and code == 0)

    def _plan(
        self,
        execution: _Execution,
        after: Micros,
        reason: str,
        code: int,
        signal: int | None,
        lingers: bool = False,
    ) -> None:
        execution.ends = serial = next(self._order)
        machine = execution.item["machine"]

        def end() -> Json | None:
            held = self._held.get(machine)
            if held is None or held.executions.get(execution.item["exec"]) is not execution:
                return None  # the machine went, and its executions with it
            if execution.ends != serial or execution.item["state"] != "running":
                return None
            if lingers:
                execution.item = {**execution.item, "ready_us": self._now()}
                self._say(execution.item)
                return None
            ended = {"state": "exited", "end_us": self._now(), "exit_code": code, "signal": signal}
            execution.item = {**execution.item, **ended, "reason": reason}
            self._say(execution.item)
            return None

        heapq.heappush(self._queue, (self._now() + after, serial, end))

    def _say(self, item: Json) -> None:
        if self._chance(self.faults.lost_event):
            return
        late = self._rng.randrange(self.faults.late_by) if self._chance(self.faults.late_event) else 0
        for _ in range(2 if self._chance(self.faults.repeated_event) else 1):
            heapq.heappush(self._queue, (self._now() + late, next(self._order), lambda: item))

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._rng.random() < probability

    @staticmethod
    def _item(spec: Mapping[str, Any], **values: Any) -> Json:
        return {
            "t": "exec",
            "machine": spec["machine"],
            "fence": spec["fence"],
            "exec": spec["exec"],
            **values,
        }
