"""What goes to and comes from the agents, as values; and the Fleet, which carries it.

The JSON forms are those of the agent connection; a message that is not in form is left out and counted by its
carrier's log, never trusted in part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from poolwright.decide.task_life import End, category
from poolwright.domain.clock import Instant
from poolwright.domain.containers import ContainerSettings, PoolContainers
from poolwright.domain.node import Failure, NodeError
from poolwright.domain.package import PACKAGE_ERROR, InstalledPackage, PackageReference
from poolwright.domain.pool import UserIdentity
from poolwright.domain.task_usage import NOTHING, TaskUsage
from poolwright.domain.transfer import OutputFile, ResourceFile

_COUNTS = 6  # see agent/rusage.py
_COUNT_MAX = 1 << 48

Json = Mapping[str, Any]


class Fleet(Protocol):
    """Sends orders to whichever agent holds the machine. Orders may be lost: they are repeated until answered."""

    def send_start(self, items: Sequence[Json]) -> object:
        """Start executions (ExecSpec objects). Starting a known one only makes its agent report it again."""
        ...

    def send_kill(self, items: Sequence[Json]) -> object:
        """End executions: {"machine", "exec", "reason", "grace_s"}."""
        ...

    def ack(self, executions: Sequence[str], /) -> object:
        """The ends of these are durable; their agent may forget them."""
        ...


class MovingFleet(Fleet, Protocol):
    """A fleet that moves the files of executions too: see reconcile/transfers.py."""

    def send_uploads(self, uploads: Sequence[Upload], /) -> object:
        """Upload output files of executions that ended; their ends are reported again once that is done."""
        ...

    def send_installs(self, installs: Sequence[Install], /) -> object:
        """Bring the application packages and container images of nodes; a PackagesEvent reports how that went."""
        ...


@dataclass(frozen=True, slots=True)
class Install:
    """Application packages and container images that a node is to have in this life."""

    machine: str
    fence: int
    packages: tuple[InstalledPackage, ...]
    containers: PoolContainers | None = None


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """One execution to start. `directory` is relative to the node's root directory."""

    machine: str
    fence: int
    name: str
    kind: str  # "task" | "start"
    directory: str
    command: str
    env: Mapping[str, str]
    user: UserIdentity
    wall_clock_s: float | None = None
    resource_files: tuple[ResourceFile, ...] = ()
    packages: tuple[PackageReference, ...] = ()
    lingers: bool = False  # what its program leaves running goes on until it is ended by order
    continues: bool = False  # its directory is kept as another execution of the task left it
    container: ContainerSettings | None = None
    refusal: str | None = None  # why it cannot run on this node: its container settings do not fit the pool
    shares: bool = False  # its resource files go to its directory itself, not to the working directory

    def as_json(self) -> Json:
        item: dict[str, Any] = {
            "machine": self.machine,
            "fence": self.fence,
            "exec": self.name,
            "kind": self.kind,
            "dir": self.directory,
            "command": self.command,
            "env": self.env,
            "user": {"scope": self.user.scope, "elevation": self.user.elevation, "name": self.user.username},
            "wall_clock_s": self.wall_clock_s,
            # What a start task left survives reboots, so it must be re-entrant.
            "fresh": self.kind != "start" and not self.continues,
        }
        if self.refusal is not None:
            item["refusal"] = self.refusal
        if self.container is not None:
            item["container"] = self.container
        if self.resource_files or self.packages or self.container is not None or self.refusal is not None:
            item["fetch"] = self.resource_files
        if self.packages:
            item["packages"] = self.packages
        if self.lingers:
            item["linger"] = True
        if self.shares:
            item["shared"] = True
        return item


@dataclass(frozen=True, slots=True)
class Upload:
    """Output files to upload of an execution that ended as `end` says."""

    spec: ExecSpec
    files: tuple[OutputFile, ...]
    end: End


@dataclass(frozen=True, slots=True)
class Kill:
    """One execution to end."""

    machine: str
    name: str
    reason: str

    def as_json(self, grace_s: float) -> Json:
        """The order; its processes are killed `grace_s` seconds after they were asked to end."""
        return {"machine": self.machine, "exec": self.name, "reason": self.reason, "grace_s": grace_s}


@dataclass(frozen=True, slots=True)
class ExecEvent:
    """What an agent says of an execution: it runs (`end` is None), or how it ended."""

    machine: str
    fence: int
    name: str
    end: End | None
    ready_at: Instant | None = None  # its program exited with 0; what it left running goes on


@dataclass(frozen=True, slots=True)
class MachineEvent:
    """What an agent says of a machine: "running", "broken" or "gone". `silent` in a hello: what is missing there of
    its executions is unknown, not gone."""

    machine: str
    fence: int
    state: str
    address: str | None = None
    detail: str = ""
    silent: bool = False


@dataclass(frozen=True, slots=True)
class PackagesEvent:
    """All of an Install is there, or why it cannot be, with the code of the node's error."""

    machine: str
    fence: int
    problem: str | None
    code: str = PACKAGE_ERROR


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """Everything that is wrong with a running machine now, as its agents see it; nothing when it is well."""

    machine: str
    fence: int
    troubles: tuple[NodeError, ...]


@dataclass(frozen=True, slots=True)
class Hello:
    """Everything an agent holds, said when it connects."""

    machines: tuple[MachineEvent, ...]
    kinds: Mapping[str, str]  # machine -> "node" | "vm"
    execs: tuple[ExecEvent, ...]
    health: tuple[HealthEvent, ...] = ()


Event = ExecEvent | MachineEvent | HealthEvent | PackagesEvent


def read_event(item: Json, now: Instant) -> Event | None:
    """One item of an `events` message, or None if it is not in form."""
    try:
        if item["t"] == "exec":
            return read_exec(item, now)
        if item["t"] == "packages":
            return PackagesEvent(
                item["machine"], int(item["fence"]), item["problem"], item.get("code") or PACKAGE_ERROR
            )
        return _read_health(item) if item["t"] == "health" else _read_machine(item)
    except (KeyError, TypeError, ValueError):
        return None


def read_hello(message: Json, now: Instant) -> Hello:
    """The `hello` message; entries that are not in form are left out."""

    def told(entry: Json) -> bool:
        return "troubles" in entry and not entry.get("silent")

    machines = [entry for entry in message.get("machines", ()) if "name" in entry and "fence" in entry]
    execs = [read_event({**entry, "t": "exec"}, now) for entry in message.get("execs", ())]
    return Hello(
        machines=tuple(_read_machine({"state": "running", **entry}) for entry in machines),
        kinds={entry["name"]: entry.get("kind", "node") for entry in machines},
        execs=tuple(event for event in execs if isinstance(event, ExecEvent)),
        health=tuple(_read_health(entry) for entry in machines if told(entry)),
    )


def read_exec(item: Json, now: Instant) -> ExecEvent:
    """An exec event. Raises KeyError, TypeError or ValueError if it is not in form."""
    state = item["state"]
    end = None
    if state == "exited":
        end = End(
            at=item.get("end_us") or now,
            reason=item.get("reason") or "exit",
            exit_code=item.get("exit_code"),
            signal=item.get("signal"),
            message=item.get("message") or "",
            details=_pairs(item),
            started_at=item.get("start_us"),
            delivered="delivered" in item,
            undelivered=_undelivered(item.get("delivered")),
            used=_used(item.get("usage")),
        )
    elif state == "failed":
        end = End(
            at=item.get("end_us") or now,
            reason="failed",
            code=item.get("code") or "CommandLaunchFailed",
            message=item.get("message") or "",
            details=_pairs(item),
        )
    elif state != "running":
        raise ValueError(f"unknown state of an execution: {state!r}")
    ready_at = item.get("ready_us") if end is None else None
    return ExecEvent(item["machine"], int(item["fence"]), item["exec"], end, ready_at)


def _used(told: Any) -> TaskUsage:
    """Counts of an execution that a machine tells, which is not trusted: they are numbers in bounds, or nothing."""
    if not isinstance(told, (list, tuple)) or len(told) != _COUNTS:
        return NOTHING
    if not all(isinstance(count, int) and 0 <= count <= _COUNT_MAX for count in told):
        return NOTHING
    user, kernel, *transfers = told
    return TaskUsage(user, kernel, 0, *transfers)


def _undelivered(outcome: Json | None) -> Failure | None:
    if outcome is None or outcome.get("ok"):
        return None
    code = str(outcome["code"])
    return Failure(category(code), code, str(outcome["message"]), _pairs(outcome))


def _read_machine(item: Json) -> MachineEvent:
    told = (item.get("address"), item.get("detail") or "", bool(item.get("silent")))
    return MachineEvent(item["name"], int(item["fence"]), item["state"], *told)


def _read_health(item: Json) -> HealthEvent:
    troubles = tuple(
        NodeError(str(one["code"]), str(one["message"]), _pairs(one), "machine") for one in item["troubles"]
    )
    return HealthEvent(item["name"], int(item["fence"]), troubles)


def _pairs(item: Json) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in item.get("details") or ())
