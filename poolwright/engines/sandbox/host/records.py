"""What the host agent knows of one machine, in memory and in its record file (read again after a restart)."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from typing import Any

import poolwright
from poolwright.agent import certificates
from poolwright.engines.sandbox.host import owndisks, places
from poolwright.engines.sandbox.host.cgroups import Limits
from poolwright.engines.sandbox.host.disks import Volume
from poolwright.engines.sandbox.host.firewall import Forward
from poolwright.engines.sandbox.host.network import Link

_MAX_NAME = 80
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class BadRequest(ValueError):
    """A machine request that can never succeed; the message names the property and the reason."""


@dataclass
class Machine:
    """One machine. `state`: starting, running, ending, stopped (storage kept), broken (died by itself)."""

    name: str
    kind: str
    fence: int
    hostname: str
    os_disk: str
    data_disks: list[dict[str, Any]]
    limits: Limits
    labels: dict[str, str]
    state: str = "starting"
    pid: int | None = None
    pid_start: int | None = None  # clock ticks after boot of the host: tells a reused process id
    link: Link | None = None
    groups: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    phases_ms: dict[str, float] = field(default_factory=dict)
    attached: list[str] = field(default_factory=list)  # disk images it writes in place
    pidfd: int | None = None  # not recorded, as what follows
    shared: list[Volume] = field(default_factory=list)  # frozen volumes held
    inherited: bool = False  # its directory is older than this fence
    os_offset: int = 0  # bytes of the OS disk before its root file system, recorded as the next
    os_size: int = 0  # bytes of the root file system; 0: up to the end of the disk
    own_disks: list[dict[str, Any]] = field(default_factory=list)  # recorded: lun, size_bytes
    accounts: list[dict[str, Any]] = field(default_factory=list)  # with secrets, so never recorded
    certificates: list[dict[str, Any]] = field(default_factory=list)  # with secrets, so never recorded
    packages: list[str] = field(default_factory=list)  # of an earlier life, to be kept; not recorded
    mounts: list[dict[str, Any]] = field(default_factory=list)  # recorded: as the engine contract's NodeMount
    troubles: list[dict[str, Any]] = field(default_factory=list)  # recorded: what went wrong at its birth
    network: str = ""  # machines of the same one reach one another
    forwards: tuple[Forward, ...] = ()
    agent: str = poolwright.__version__  # recorded: the version whose code its first process runs

    @property
    def os_volume(self) -> Volume:
        """The root file system."""
        return Volume(self.os_disk, self.os_offset, self.os_size)

    @property
    def address(self) -> str | None:
        """IPv4 address inside, when it has a network."""
        return self.link.address if self.link is not None else None

    def public(self) -> dict[str, Any]:
        """The machine as the engine contract shows it."""
        state = self.state if self.state in ("running", "stopped") else "broken"
        return {
            "name": self.name,
            "fence": self.fence,
            "kind": self.kind,
            "state": state,
            "address": self.address if state == "running" else None,
            "limits": list(self.applied),
            "notes": list(self.notes),
            "phases_ms": self.phases_ms,
            "troubles": self.troubles,
            "agent": self.agent,
        }

    def to_record(self) -> dict[str, Any]:
        link = self.link
        return {
            "name": self.name,
            "kind": self.kind,
            "fence": self.fence,
            "hostname": self.hostname,
            "os_disk": self.os_disk,
            "os_offset": self.os_offset,
            "os_size": self.os_size,
            "data_disks": self.data_disks,
            "limits": [self.limits.cores, self.limits.memory_mib, self.limits.pids],
            "labels": self.labels,
            "state": self.state,
            "pid": self.pid,
            "pid_start": self.pid_start,
            "link": [link.address, link.gateway, link.interface] if link else None,
            "groups": list(self.groups),
            "applied": list(self.applied),
            "notes": list(self.notes),
            "phases_ms": self.phases_ms,
            "attached": self.attached,
            "own_disks": self.own_disks,
            "mounts": self.mounts,
            "troubles": self.troubles,
            "agent": self.agent,
            "network": self.network,
            "forwards": [forward.as_json() for forward in self.forwards],
        }


def from_request(request: dict[str, Any]) -> Machine:
    """Check a request and make a machine of it. Raises `BadRequest`."""
    name = request.get("name")
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= _MAX_NAME
        or name[0] == "."
        or set(name) - _NAME_CHARACTERS
    ):
        raise BadRequest(
            f"name {name!r}: 1 to {_MAX_NAME} letters, digits, '-', '_', '.', not starting with '.'"
        )
    kind = request.get("kind")
    if kind not in ("node", "vm"):
        raise BadRequest(f"kind {kind!r}: must be 'node' or 'vm'")
    fence = request.get("fence")
    if not isinstance(fence, int) or fence < 0:
        raise BadRequest(f"fence {fence!r}: must be a whole number from 0")
    disks = [dict(disk) for disk in request.get("data_disks") or []]
    luns = [disk.get("lun") for disk in disks]
    if len(set(luns)) != len(luns) or any(not isinstance(lun, int) or not 0 <= lun <= 63 for lun in luns):
        raise BadRequest(f"data_disks: lun {luns!r}: must be different whole numbers from 0 to 63")
    part = [request.get("os_offset", 0), request.get("os_size", 0)]
    part += [disk.get(word, 0) for disk in disks for word in ("offset", "size")]
    if any(not isinstance(number, int) or number < 0 for number in part):
        raise BadRequest(f"offsets and sizes of volumes {part!r}: must be whole numbers of bytes from 0")
    hostname = str(request.get("hostname") or name)[:63]
    cores, memory_mib = float(request.get("cores", 1)), int(request.get("memory_mib", 1024))
    limits = Limits(cores, memory_mib, int(request.get("pids", 4096)))
    labels = {str(key): str(value) for key, value in (request.get("labels") or {}).items()}
    made = Machine(name, kind, fence, hostname, str(request.get("os_disk", "")), disks, limits, labels)
    made.os_offset, made.os_size = part[:2]
    made.own_disks = _own_disks(request, kind, luns)
    made.accounts = [dict(account) for account in request.get("accounts") or []]
    made.certificates = certificates.checked(request.get("certificates") or [])
    made.packages = [str(name) for name in request.get("packages") or []]
    made.mounts = places.from_request(request, kind)
    _read_network(made, request)
    return made


def _own_disks(request: dict[str, Any], kind: str, luns: list[Any]) -> list[dict[str, Any]]:
    own = [dict(disk) for disk in request.get("own_disks") or []]
    if own and kind != "node":
        raise BadRequest(f"own_disks: a machine of kind {kind!r} has its own disks already")
    for disk in own:
        lun, size, place = disk.get("lun"), disk.get("size_bytes"), disk.get("place") or ""
        if not isinstance(place, str) or (place and not os.path.isabs(place)):
            raise BadRequest(f"own_disks: place {place!r}: must be the absolute path of a directory")
        if lun is not None and (not isinstance(lun, int) or not 0 <= lun <= 63):
            raise BadRequest(
                f"own_disks: lun {lun!r}: must be a whole number from 0 to 63, or none for the root"
            )
        if not isinstance(size, int) or size < owndisks.SIZE_MIN:
            raise BadRequest(f"own_disks: size_bytes {size!r}: must be at least {owndisks.SIZE_MIN}")
    all_luns = [*luns, *(disk["lun"] for disk in own)]
    if len(set(all_luns)) != len(all_luns):
        raise BadRequest(
            f"own_disks: lun {all_luns!r}: must be different from one another and from data_disks"
        )
    return own


def _read_network(machine: Machine, data: dict[str, Any]) -> None:
    machine.network = str(data.get("network") or "")
    machine.forwards = tuple(Forward.read(item) for item in data.get("forwards") or [])


def from_record(path: str) -> Machine | None:
    """The machine of a record file; None when there is no usable one."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        link = Link(*data["link"]) if data["link"] else None
        limits = Limits(*data["limits"])
        made = Machine(
            data["name"], data["kind"], data["fence"], data["hostname"], data["os_disk"], data["data_disks"], limits,
            data["labels"], data["state"], data["pid"], data["pid_start"], link, tuple(data["groups"]),
            tuple(data["applied"]), tuple(data["notes"]), data["phases_ms"], data["attached"],
        )  # fmt: skip
        made.os_offset, made.os_size = int(data.get("os_offset", 0)), int(data.get("os_size", 0))
        made.own_disks, made.mounts = list(data.get("own_disks", ())), list(data.get("mounts", ()))
        made.troubles, made.agent = list(data.get("troubles", ())), str(data.get("agent", ""))
        _read_network(made, data)
        return made
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(machine: Machine, path: str) -> None:
    """Write the record in one step: a reader sees the old or the new one."""
    directory = os.path.dirname(path)
    fd, temporary = tempfile.mkstemp(dir=directory, prefix=".record-")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as stream:
            json.dump(machine.to_record(), stream)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks after boot (proc(5), stat field 22); None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return int(stream.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
