"""The machines of one data directory: make, list, end, purge, and take over what an earlier host agent left."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from poolwright.agent import syscalls
from poolwright.agent.loop import Loop
from poolwright.engines.sandbox.host import cgroups, disks, idmap, network, records, rootfs, usage
from poolwright.engines.sandbox.host.births import Birth, Births
from poolwright.engines.sandbox.host.boot import FirstProcess
from poolwright.engines.sandbox.host.context import Failure, Host
from poolwright.engines.sandbox.host.endings import Endings
from poolwright.engines.sandbox.host.layout import Layout
from poolwright.engines.sandbox.host.records import BadRequest, Machine
from poolwright.engines.sandbox.host.zygote import Zygote


class SandboxMachines:
    """Registry of all machines. `on_running` and `on_gone` tell of machines that came and of those that died."""

    def __init__(
        self,
        loop: Loop,
        layout: Layout,
        first_process: FirstProcess,
        grace_s: float,
        on_running: Callable[[Machine], None],
        on_gone: Callable[[Machine], None],
    ) -> None:
        tag = hashlib.sha256(os.path.realpath(layout.root).encode()).hexdigest()[:8]
        self._on_running = on_running
        self._on_gone = on_gone
        self._machines: dict[str, Machine] = {}
        self._host = _open_host(loop, layout, tag, first_process, grace_s)
        self._births = Births(self._host, self._on_born)
        self._endings = Endings(self._host, self._on_removed)

    def has(self, name: str) -> bool:
        return name in self._machines

    def socket_path(self, name: str) -> str:
        return self._host.layout.socket(name)

    def files_root(self, name: str) -> str:
        return self._host.layout.temp(name)

    def process(self, name: str) -> tuple[int, int]:
        machine = self._machines[name]
        if machine.pid is None or machine.pid_start is None:
            raise KeyError(name)
        return machine.pid, machine.pid_start

    def all(self) -> list[dict[str, Any]]:
        """Every machine but those still being made; one being ended shows as broken."""
        return [machine.public() for machine in self._machines.values() if machine.state != "starting"]

    def running(self) -> list[Machine]:
        return [machine for machine in self._machines.values() if machine.state == "running"]

    def is_idle(self) -> bool:
        """No machine runs, is being made or being ended."""
        return not any(m.state in ("starting", "running", "ending") for m in self._machines.values())

    def is_busy(self) -> bool:
        """A machine is being made or being ended."""
        return any(machine.state in ("starting", "ending") for machine in self._machines.values())

    def create(
        self, requests: Sequence[dict[str, Any]], done: Callable[[list[dict[str, Any]]], None]
    ) -> None:
        """Make machines; `done` gets one outcome a request, in order, when the last one is settled."""
        outcomes: list[dict[str, Any] | None] = [None] * len(requests)
        resolver = rootfs.resolver_of_host()
        settle = _Gather(outcomes, done)
        for position, request in enumerate(requests):
            self._create_one(request, resolver, settle.slot(position))
        self._births.pump()
        settle.open()

    def _create_one(
        self, request: dict[str, Any], resolver: str, settle: Callable[[dict[str, Any]], None]
    ) -> None:
        try:
            wanted = records.from_request(request)
        except (BadRequest, ValueError, TypeError) as failure:
            return settle(_failed(Failure("Rejected", str(failure))))
        known = self._machines.get(wanted.name)
        if known is None:
            return self._begin_birth(wanted, resolver, settle)
        if known.fence > wanted.fence:
            text = f"machine {wanted.name}: fence {wanted.fence} is older than {known.fence}"
            return settle(_failed(Failure("Rejected", text)))
        ending = self._endings.get(wanted.name)
        if ending is None and known.fence == wanted.fence and known.state in ("running", "starting"):
            birth = self._births.get(wanted.name)
            if birth is not None:
                birth.waiting.append(lambda machine, failure: settle(_outcome(machine, failure)))
                return None
            return settle(_outcome(known, None))
        if known.state == "starting":
            return settle(
                _failed(Failure("Transient", f"machine {wanted.name}: an older one is still being made"))
            )
        return self._replace(known, wanted, resolver, settle)

    def _replace(
        self, known: Machine, wanted: Machine, resolver: str, settle: Callable[[dict[str, Any]], None]
    ) -> None:
        """A machine with a smaller fence, or a stopped one, gives way; its storage is taken over, as in a reboot."""

        def go_on(failure: Failure | None) -> None:
            if failure is not None:
                return settle(_failed(failure))
            self._begin_birth(wanted, resolver, settle)
            return self._births.pump()

        if known.state in ("stopped", "broken") and self._endings.get(known.name) is None:
            return go_on(None)
        return self._endings.begin(known, keep_storage=True, state="stopped", ended=go_on)

    def _begin_birth(self, wanted: Machine, resolver: str, settle: Callable[[dict[str, Any]], None]) -> None:
        wanted.inherited = os.path.isdir(self._host.layout.machine(wanted.name))
        self._machines[wanted.name] = wanted
        self._births.add(wanted, resolver, lambda machine, failure: settle(_outcome(machine, failure)))

    def _on_born(self, birth: Birth, failure: Failure | None) -> None:
        machine = birth.machine
        if failure is None:
            assert machine.pidfd is not None
            self._host.loop.read(machine.pidfd, lambda: self._on_death(machine))
            self._on_running(machine)
            for born in birth.waiting:
                born(machine, None)
            return

        def undone(_second: Failure | None) -> None:
            for born in birth.waiting:
                born(machine, failure)

        self._endings.begin(machine, keep_storage=machine.inherited, state="stopped", ended=undone)

    def _on_death(self, machine: Machine) -> None:
        """The first process ended by itself or by a foreign kill: everything in its namespaces is dead."""
        if machine.pidfd is not None:
            self._host.loop.forget(machine.pidfd)
        if machine.state != "running":
            return
        self._on_gone(machine)
        self._endings.begin(machine, keep_storage=True, state="broken", ended=lambda _: None)

    def delete(
        self, names: Sequence[str], keep_storage: bool, done: Callable[[list[dict[str, Any]]], None]
    ) -> None:
        """End machines; an unknown name is `NotFound`. Stopped and broken ones are purged unless storage is kept."""
        settle = _Gather([None] * len(names), done)
        for position, name in enumerate(names):
            self._delete_one(name, keep_storage, settle.slot(position))
        settle.open()

    def _delete_one(self, name: str, keep_storage: bool, settle: Callable[[dict[str, Any]], None]) -> None:
        machine = self._machines.get(name)
        if machine is None:
            return settle(_failed(Failure("NotFound", f"no machine {name}")))

        def ended(failure: Failure | None) -> None:
            settle({"ok": True} if failure is None else _failed(failure))

        birth = self._births.get(name)
        if birth is not None:
            birth.waiting.append(lambda *_: self._delete_one(name, keep_storage, settle))
            return None
        if keep_storage and machine.state == "stopped":
            return settle({"ok": True})
        return self._endings.begin(machine, keep_storage=keep_storage, state="stopped", ended=ended)

    def purge(self, names: Sequence[str], done: Callable[[list[dict[str, Any]]], None]) -> None:
        """Remove the storage of machines that are gone; running ones are left alone."""
        known = (self._machines[name] for name in names if name in self._machines)
        gone = [machine.name for machine in known if machine.state in ("stopped", "broken")]
        self.delete(gone, False, done)

    def _on_removed(self, machine: Machine, kept: bool) -> None:
        if not kept and self._machines.get(machine.name) is machine:
            del self._machines[machine.name]

    def sweep(self) -> list[Machine]:
        """Compare records with the host: take over living machines, clear the remains of dead ones.

        Returns the machines found dead. Called once, before anything else.
        """
        dead: list[Machine] = []
        layout = self._host.layout
        for name in sorted(os.listdir(layout.nodes)):
            if name.startswith("."):
                continue
            machine = records.from_record(layout.record(name))
            if machine is None:
                grave = os.path.join(layout.trash, f"{os.getpid()}-unreadable-{name}")
                os.rename(layout.machine(name), grave)
                continue
            self._machines[name] = machine
            lives = self._take_over(machine)
            if self._keeps_network(machine) and lives:
                continue
            if machine.state not in ("stopped", "broken"):
                dead.append(machine)
                self._endings.begin(machine, keep_storage=True, state="broken", ended=lambda _: None)
        self._sweep_host()
        return dead

    def _keeps_network(self, machine: Machine) -> bool:
        """False when another data directory has taken its network since: it must be made again with a new one."""
        if machine.link is None or machine.state in ("stopped", "broken"):
            return True
        try:
            self._host.network.adopt(machine.link, machine.network, machine.forwards)
        except network.NoAddress as failure:
            sys.stderr.write(f"machine {machine.name} is given up: {failure}\n")
            return False
        return True

    def _take_over(self, machine: Machine) -> bool:
        if machine.state != "running" or machine.pid is None:
            return False
        try:
            pidfd = os.pidfd_open(machine.pid)
        except OSError:
            return False
        if records.start_time(machine.pid) != machine.pid_start:
            os.close(pidfd)
            return False
        machine.pidfd = pidfd
        self._host.loop.read(pidfd, lambda: self._on_death(machine))
        return True

    def _sweep_host(self) -> None:
        names = set(self._machines)
        for entry in os.listdir(self._host.layout.sockets):
            if entry.endswith(".sock") and entry[:-5] not in names:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self._host.layout.sockets, entry))
        self._host.groups.sweep(names)
        self._host.network.sweep()
        graves = [
            os.path.join(self._host.layout.trash, entry) for entry in os.listdir(self._host.layout.trash)
        ]
        self._endings.bury(graves, lambda: None)

    def empty_trash(self, name: str, directory: str) -> None:
        """Delete replaced task directories of a machine."""
        path = os.path.join(self._host.layout.temp(name), directory)
        with contextlib.suppress(OSError):
            entries = [os.path.join(path, entry) for entry in os.listdir(path)]
            self._endings.remove_trees(entries, lambda: None)

    def usage(self, name: str) -> dict[str, int] | None:
        """See usage.py."""
        return usage.read(self._machines[name])

    def expose(self, front: str, port: int | None, opened: tuple[int, ...] = ()) -> None:
        """Where forwarded ports are reached, the port of the service and others `opened` to machines."""
        self._host.network.expose(front, port, opened)

    def speak_for(self, authority: str) -> None:
        """The authority of the service's certificate, for machines to come."""
        self._host.authority = authority

    def facts(self) -> dict[str, Any]:
        """What machines can have on this host, and what is missing."""
        missing = [
            {"what": f"control group {name}", "consequence": f"no {name} limit: {reason}"}
            for name, reason in sorted(self._host.groups.reasons().items())
        ]
        if self._host.network.unusable is not None:
            missing.append(
                {"what": "machine network", "consequence": f"loopback only: {self._host.network.unusable}"}
            )
        return {
            "usable": True,
            "limits": sorted(self._host.groups.available()),
            "network": self._host.network.unusable is None,
            "missing": missing,
        }

    def close(self) -> None:
        """Let go; machines stay."""
        if self.is_idle():
            self._host.groups.close()
        self._host.network.close()
        self._host.zygote.close()


class _Gather:
    """Collects outcomes that arrive in any order, some at once, some later."""

    def __init__(
        self, outcomes: list[dict[str, Any] | None], done: Callable[[list[dict[str, Any]]], None]
    ) -> None:
        self._outcomes = outcomes
        self._done = done
        self._left = (
            len(outcomes) + 1
        )  # one for `open`: nothing is reported while requests are still handed out

    def slot(self, position: int) -> Callable[[dict[str, Any]], None]:
        def settle(outcome: dict[str, Any]) -> None:
            if self._outcomes[position] is None:
                self._outcomes[position] = outcome
                self.open()

        return settle

    def open(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._done([outcome for outcome in self._outcomes if outcome is not None])


def _outcome(machine: Machine, failure: Failure | None) -> dict[str, Any]:
    return {"ok": True, "machine": machine.public()} if failure is None else _failed(failure)


def _failed(failure: Failure) -> dict[str, Any]:
    return {"ok": False, "error": failure.public()}


def _open_host(loop: Loop, layout: Layout, tag: str, first_process: FirstProcess, grace_s: float) -> Host:
    layout.prepare()
    zygote = Zygote(first_process)
    zygote.start()
    mounts = os.path.join(layout.run, "mnt")
    devices, scratch = os.path.join(mounts, "dev"), os.path.join(mounts, "root")
    os.makedirs(devices, exist_ok=True)
    os.makedirs(scratch, exist_ok=True)
    rootfs.make_device_directory(devices)
    return Host(
        loop=loop,
        layout=layout,
        disks=disks.Disks(layout.run, idmap.open_namespace()),
        groups=cgroups.ControlGroups(tag),
        network=network.Network(tag, layout.run),
        devices=devices,
        scratch=scratch,
        zygote=zygote,
        grace_s=grace_s,
    )


def enter_private_mounts() -> None:
    """Give this process a mount table of its own that nothing spreads into or out of."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
