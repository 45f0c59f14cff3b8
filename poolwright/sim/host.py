"""A made-up host behind a connection that breaks: the shipped fake fleet, with an agent that may be away.

Streams keep their order, as real connections do; a break loses what was under way. When the service stays away longer
than the lease, machines and tasks are ended, as node agents do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Protocol

from poolwright.domain.clock import MILLISECOND, SECOND, Instant, Micros
from poolwright.domain.limits import HEARTBEAT_PERIOD, NODE_LEASE
from poolwright.engines.fake import FakeFleet
from poolwright.reconcile.fleet import Install
from poolwright.sim.faults import Faults
from poolwright.sim.virtual import Timeline

Json = dict[str, Any]


class Service(Protocol):
    """What the host reaches when it is connected."""

    def on_hello(self, hello: Json) -> None: ...
    def on_events(self, items: list[Json]) -> None: ...
    def on_beat(self, beat: Json) -> None: ...


class Host:
    """Machines, their agent and the connection. `hears` are told of every process that really begins; `exits` keeps the
    exit code of every process that ended by itself."""

    def __init__(self, time: Timeline, rng: Random, faults: Faults) -> None:
        self.time = time
        self.rng = rng
        self.faults = faults
        self.fleet = FakeFleet(time.now, rng, script=self._script)
        self.hears: list[Callable[[str, str], None]] = []
        self.works: list[Callable[[str, str, str], None]] = []
        """Told of the directory in which a process begins: (machine, execution, directory)."""
        self.deletes: list[Callable[[Sequence[str]], None]] = []
        """Told of machines that are to go with all they have."""
        self.exits: dict[str, set[int]] = {}
        self.has_disk: Callable[[str], bool] = lambda _path: True
        self.disks: dict[tuple[str, int], str] = {}
        """The OS disk of every life of a machine, by name and fence, from the moment it is being made."""
        self.memory_mib = 8192
        self.agent_up = True
        self.epoch = 0
        """Grows with every connection and every break."""
        self._service: Service | None = None
        self._in_order: dict[str, Instant] = {}
        self._away_since: Instant | None = None
        self._collect_at: Instant | None = None
        self._beat()

    @property
    def connected(self) -> bool:
        return self._service is not None

    @property
    def machines(self) -> list[str]:
        return [machine.name for machine in self.fleet.machines()]

    @property
    def disks_in_use(self) -> set[str]:
        """Paths of the OS disks of machines that run."""
        running = [(m.name, m.fence) for m in self.fleet.machines() if m.state == "running"]
        return {self.disks[life] for life in running if life in self.disks}

    def running(self) -> list[tuple[str, str]]:
        """(machine, execution) of every process that runs now."""
        execs = self.fleet.hello()["execs"]
        return [(item["machine"], item["exec"]) for item in execs if item["state"] == "running"]

    def connect(self, service: Service) -> None:
        """The agent dials this service and greets."""
        self.disconnect()
        if self.agent_up:
            self._service = service
            self._away_since = None
            service.on_hello(self.fleet.hello())

    def disconnect(self) -> None:
        """The connection breaks; what was under way is lost."""
        self.epoch += 1
        self._service = None
        if self._away_since is None:
            self._away_since = self.time.now()

    def lose(self, names: Sequence[str]) -> None:
        """These machines die, with all their processes."""
        for name in names:
            self.fleet.crash(name)
        self.collect()

    def send_start(self, items: Sequence[Mapping[str, Any]], /) -> None:
        self._down(self.fleet.start, items)

    def send_kill(self, items: Sequence[Mapping[str, Any]], /) -> None:
        self._down(self.fleet.kill, items)

    def send_installs(self, _: Sequence[Install], /) -> None:
        """No pool of a story has packages."""
        raise AssertionError("no packages in stories")

    def ack(self, executions: Sequence[str], /) -> None:
        self._down(self.fleet.ack, executions)

    def collect(self) -> None:
        """Take what happened by now, tell the service of it, and come again when more happens."""
        for item in self.fleet.collect():
            if item["t"] == "exec" and item.get("reason") == "exit":
                self.exits.setdefault(item["exec"], set()).add(item["exit_code"])
            self._send("up", lambda item=item: self._reached().on_events([item]))  # type: ignore[misc]
        due = self.fleet.due()
        if due is not None and (self._collect_at is None or due < self._collect_at):
            self._collect_at = due
            self.time.after(due - self.time.now(), self._come_again)

    def _come_again(self) -> None:
        self._collect_at = None
        self.collect()

    def _script(self, spec: Mapping[str, Any]) -> tuple[Micros, int]:
        planned = read_command(spec["command"])  # a command that cannot be run does not begin
        for hear in self.hears:
            hear(spec["machine"], spec["exec"])
        for work in self.works:
            work(spec["machine"], spec["exec"], spec["dir"])
        return planned

    def _down(self, order: Callable[[Any], None], items: Sequence[Any]) -> None:
        def arrive(item: Any) -> None:
            order([item])
            self.collect()

        for item in items:
            self._send("down", lambda item=item: arrive(item))  # type: ignore[misc]

    def _reached(self) -> Service:
        assert self._service is not None
        return self._service

    def _send(self, way: str, act: Callable[[], None]) -> None:
        """Deliver in order, if the connection lasts that long."""
        if not self.connected or self.rng.random() < self.faults.drop:
            return
        slow = self.rng.random() < self.faults.slow
        wait = self.rng.randrange(8 * SECOND if slow else 3 * MILLISECOND)
        at = max(self.time.now() + wait, self._in_order.get(way, 0))
        self._in_order[way] = at
        epoch = self.epoch

        def arrive() -> None:
            if epoch == self.epoch:
                act()

        for _ in range(2 if self.rng.random() < self.faults.twice else 1):
            self.time.after(at - self.time.now(), arrive)

    def _beat(self) -> None:
        away = 0 if self._away_since is None else self.time.now() - self._away_since
        if away > NODE_LEASE:
            self.lose(self.machines)
        beat = {"op": "beat", "memory_available_mib": self.memory_mib, "memory_total_mib": 8192}
        self._send("up", lambda: self._reached().on_beat(beat))
        self.time.after(HEARTBEAT_PERIOD, self._beat)


#: A command line of a program that is not there.
NO_COMMAND = "missing"


def command(duration: Micros, code: int) -> str:
    """A command line that runs for so long and exits so."""
    return f"run {duration} {code}"


def read_command(line: str) -> tuple[Micros, int]:
    """The inverse of `command`. Raises ValueError for `NO_COMMAND`."""
    _, duration, code = line.split()
    return int(duration), int(code)
