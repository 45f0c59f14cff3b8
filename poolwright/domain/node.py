"""A node: one machine of a pool, cloned from its image, with an agent."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwright.domain.certificate import CertificateReference
from poolwright.domain.clock import Instant
from poolwright.domain.network import FrontPort
from poolwright.domain.package import NO_PACKAGES, NodePackages
from poolwright.domain.states import (
    DeallocationOption,
    ExecutionResult,
    NodeState,
    SchedulingState,
    StartTaskState,
)

SIMULATED_MACHINES = "sim"
SIMULATED_NODES = "tvm-sim"
"""How names of simulated machines and ids of simulated nodes begin: what a node is, it is for its whole life."""


def is_simulated(machine: str) -> bool:
    """Whether a machine is only pretended: nothing runs on it, its tasks end as scripted."""
    return machine.startswith(SIMULATED_MACHINES)


#: Codes of node errors that say the machine itself is gone or unheard of.
WITHOUT_MACHINE = frozenset({"MachineLost", "NodeLost", "MachineRejected", "NodeJoinTimeout"})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something ended badly. `category` is "usererror" or "servererror"."""

    category: str
    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NodeError:
    """A current error of a node, with a cause and a next step in its message.

    `source` says when it is over: "machine" (when the machine's agent says so), "host" (when the host has room again),
    "" (with the machine's present life).
    """

    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class StartTaskInfo:
    """How the start task fared on this node in its present life (fence)."""

    state: StartTaskState
    started_at: Instant
    attempt: int  # 1 for the first try
    ended_at: Instant | None = None
    exit_code: int | None = None
    failure: Failure | None = None
    result: ExecutionResult | None = None
    retry_count: int = 0
    last_retry_at: Instant | None = None
    ends: bool = False  # this attempt is to end; the next one follows when that is done


@dataclass(frozen=True, slots=True)
class Drain:
    """What is to happen to a node once its tasks are dealt with."""

    purpose: str  # "remove" | "reboot" | "reimage" | "deallocate" | "offline"
    option: DeallocationOption
    since: Instant


@dataclass(frozen=True, slots=True)
class NodeUser:
    """An account for logging in to one node. Of a password only its salted hash (crypt(5), SHA-512) is kept."""

    name: str
    admin: bool
    expires_at: Instant
    password_hash: str | None = field(default=None, repr=False)
    public_key: str | None = None  # one line as in authorized_keys


@dataclass(frozen=True, slots=True)
class Logins:
    """Who may log in to a node. `wanted` numbers the states of `users`; `applied` is the one the machine of the life
    `applied_fence` has. `problem` says why that machine cannot have them."""

    users: tuple[NodeUser, ...] = ()
    wanted: int = 0
    applied: int = 0
    applied_fence: int = 0
    retry_at: Instant = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node as stored."""

    account: str
    pool: str
    id: str
    machine: str  # the engine's name for it, chosen by us
    dedicated: bool
    state: NodeState
    state_at: Instant
    allocated_at: Instant
    fence: int  # grows with every machine life; instructions carry it
    scheduling: SchedulingState = SchedulingState.ENABLED
    booted_at: Instant | None = None
    address: str | None = None
    start_task: StartTaskInfo | None = None
    errors: tuple[NodeError, ...] = ()
    drain: Drain | None = None
    seen_at: Instant = 0  # last word from its agent
    attempts: int = 0  # failed creations or recoveries in a row
    retry_at: Instant = 0  # not before this: next try to create or recover
    tasks_run: int = 0
    tasks_succeeded: int = 0
    history: tuple[tuple[Instant, str, str], ...] = ()  # newest 30 of (when, state, reason)
    notes: tuple[str, ...] = ()  # limits that could not be applied, and why
    phases_ms: dict[str, float] = field(default_factory=dict)
    logins: Logins = Logins()
    front_ports: tuple[FrontPort, ...] = ()  # given with the row, kept through all lives
    image: str = ""  # what it is made from: id of an image or version, or publisher:offer:sku:version
    packages: NodePackages = NO_PACKAGES  # application packages of the pool
    agent_version: str = ""  # of the agent that runs in it; "": not known
    agent_since: Instant = 0  # when it came to run that version
    certificates: tuple[CertificateReference, ...] = ()  # what its machine was given in its present life
    revision: int = 0

    @property
    def simulated(self) -> bool:
        return is_simulated(self.machine)

    @property
    def affinity_id(self) -> str:
        return f"TVM:{self.id}"


def start_name(node: Node, attempt: int) -> str:
    """The name of an attempt of a node's start task: unique for ever, as task executions are."""
    return f"s{node.machine}.{node.fence}.{attempt}"
