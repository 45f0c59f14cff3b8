"""The engine contract: where machines (nodes and build virtual machines) come from.

An engine makes and removes machines under names the caller chooses, so that asking twice is harmless.
It never runs a task: that is the agent's work (see docs/ARCHITECTURE.md, "Engines and agents").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from poolwright.domain.pool import UserAccount


class EngineError(Exception):
    """The engine could not do what it was asked."""


class NotFound(EngineError):
    """No machine of that name exists (the goal of every delete)."""


class NoCapacity(EngineError):
    """The engine has no room for this machine now."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaExceeded(EngineError):
    """A limit set by the operator of the engine forbids this machine."""


class Rejected(EngineError):
    """The request can never succeed as it stands; the message says why."""


class Transient(EngineError):
    """The outcome is unknown or the fault may pass: look the name up before trying again."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PathNotAllowed(EngineError):
    """A file path leads out of the node's root directory or names no regular file."""


class NotEmpty(PathNotAllowed):
    """A directory that was to be removed has something in it."""


_KINDS: dict[str, type[EngineError]] = {
    "NotFound": NotFound,
    "NoCapacity": NoCapacity,
    "QuotaExceeded": QuotaExceeded,
    "Rejected": Rejected,
    "Path": PathNotAllowed,
    "NotEmpty": NotEmpty,
}


def error_of(kind: str, message: str) -> EngineError:
    """The error for a kind of the agent protocol; `Transient` for every kind not known here."""
    return _KINDS.get(kind, Transient)(message)


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing the host lacks, and what that costs."""

    what: str
    consequence: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do on this host; callers branch on these, never on an engine's name."""

    usable: bool
    runs_os: frozenset[str] = frozenset({"linux"})
    isolates: bool = True
    build_machines: bool = True
    reboot: bool = True
    data_disks: bool = True
    network: bool = True
    limits: frozenset[str] = frozenset()  # of "cpu", "memory", "pids"
    missing: tuple[Missing, ...] = ()
    simulates: frozenset[str] = frozenset()  # operating systems whose machines it pretends where it must


@dataclass(frozen=True, slots=True)
class DiskMount:
    """A data disk given to a machine; `path` is a raw disk image on the host."""

    lun: int  # 0..63
    path: str
    writable_in_place: bool = (
        False  # True: a build machine writes the disk itself; False: thin overlay over it
    )
    offset: int = 0  # bytes before the file system, when it lies in a partition
    size: int = 0  # bytes of the file system's partition; 0: up to the end of the disk


@dataclass(frozen=True, slots=True)
class OwnDisk:
    """An empty, thin disk that a node gets of its own: kept while its storage is, gone with it.

    `lun` None bounds the node's root instead: what it may write on top of its image. `place` is the directory of the
    host that a new one is made in; empty: beside the node.
    """

    lun: int | None
    size_bytes: int
    place: str = ""


@dataclass(frozen=True, slots=True)
class NodeMount:
    """A place mounted into a node below its mounts directory, at the relative `path`.

    `kind` "nfs": `source` is SERVER:/PATH. "directory": `source` is a directory of the host, which must still be the
    one of `device` and `inode`; what is mounted is `inside` it. "none": it cannot be had, for the reason in `source`.
    """

    path: str
    kind: str
    source: str
    inside: str = ""
    read_only: bool = False
    options: str = ""
    device: int = 0
    inode: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a running node from being of use; its message names a cause and a next step."""

    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Who may (or may not) come through a forwarded port. `network` is an IPv4 network in CIDR form, "*",
    "Internet" (everybody but machines of this engine) or "VirtualNetwork" (those machines)."""

    allow: bool
    network: str
    ports: tuple[tuple[int, int], ...] = ()  # source ports, first and last of each range; none: all


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of the host that leads to a port of the machine. The first of `sources` that fits decides; who fits
    none is kept out, unless there are none at all."""

    protocol: str  # "tcp" | "udp"
    port: int
    to: int
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class MachineCertificate:
    """A file `name` with the bytes `data` (base64), and beside it the password, for those of `visibility`
    ("starttask", "task", "remoteuser") in the machine's present life."""

    name: str
    data: str = field(repr=False)
    password: str | None = field(repr=False)
    visibility: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineRequest:
    """What a machine is made of. `name` is unique on the engine; `fence` grows with every re-creation."""

    name: str
    kind: str  # "node": thin clone of frozen disks; "vm": build machine on its own writable disks
    fence: int
    hostname: str
    os_disk: str  # path of the raw OS disk image
    data_disks: tuple[DiskMount, ...] = ()
    cores: float = 1.0
    memory_mib: int = 1024
    pids: int = 4096
    os_offset: int = 0  # bytes of the OS disk before its root file system's partition
    os_size: int = 0  # bytes of that partition; 0: up to the end of the disk
    own_disks: tuple[OwnDisk, ...] = ()  # of nodes only
    mounts: tuple[NodeMount, ...] = ()  # of nodes only
    labels: dict[str, str] = field(default_factory=dict)
    accounts: tuple[UserAccount, ...] = ()  # of a node; no other name may be run as there
    certificates: tuple[MachineCertificate, ...] = ()  # of nodes only
    packages: tuple[
        str, ...
    ] = ()  # of a node: directories of application packages to keep from an earlier life
    forwards: tuple[Forward, ...] = ()
    network: str = ""  # machines reach one another when they say the same here, others not


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the engine sees it now."""

    name: str
    fence: int
    kind: str
    state: str  # "running" | "stopped" | "broken"
    address: str | None = None  # IPv4 address in dotted form
    limits: tuple[str, ...] = ()  # limits really in force
    notes: tuple[str, ...] = ()  # what could not be applied and why
    phases_ms: dict[str, float] = field(default_factory=dict)  # boot phase -> milliseconds
    troubles: tuple[Trouble, ...] = ()
    agent: str = (
        ""  # version of the agent that runs in it, which is older than ours after an upgrade; "": not known
    )


Outcome = Machine | EngineError


@dataclass(frozen=True, slots=True)
class Login:
    """An account that people log in to a machine with. The hash is one of crypt(5)."""

    name: str
    admin: bool
    password_hash: str | None = field(default=None, repr=False)
    public_key: str | None = None
    kept: bool = (
        False  # an account the machine has of its pool: it comes with the keys in its own home, and stays
    )


class Engine(Protocol):
    """One source of machines. All methods may be called again after any failure."""

    @property
    def name(self) -> str: ...

    async def capabilities(self) -> Capabilities: ...

    async def create(self, requests: Sequence[MachineRequest]) -> list[Outcome]:
        """Make machines; one outcome a request, in order. The same name and fence again gives the same machine.

        A name that exists with a smaller fence is replaced; with a larger one the request is `Rejected`.
        """
        ...

    async def machines(self) -> list[Machine]:
        """Every machine this engine holds for us, whoever asked for it."""
        ...

    async def delete(self, names: Sequence[str], *, keep_storage: bool = False) -> list[EngineError | None]:
        """Remove machines and everything they own; `NotFound` is the sign that nothing is left.

        `keep_storage` stops a machine but keeps its temporary disk and changes (deallocate, reboot).
        """
        ...

    async def set_logins(self, name: str, logins: Sequence[Login]) -> None:
        """See that just these people can log in to the running machine by SSH at its port 22; others are ended.

        Raises `Rejected` when the machine's image lacks what that takes.
        """
        ...

    async def close(self) -> None:
        """Let go of the engine; machines stay."""
        ...
