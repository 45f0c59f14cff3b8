"""Making machines: prepare, have a builder forked, answer its reports, and undo all of it when a step fails."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from poolwright.agent.layout import LOGIN_KIT, MOUNTS, NODE_ROOT, ROOT_RESERVED_BYTES, RUNTIME
from poolwright.agent.loop import Timer
from poolwright.engines.sandbox.host import boot, disks, idmap, network, owndisks, records
from poolwright.engines.sandbox.host.context import Failure, Host
from poolwright.engines.sandbox.host.records import Machine

_AT_ONCE = 4  # builders running side by side; more only fight for the kernel's mount and network locks
_DEADLINE_S = 30.0
_MESSAGE_BYTES = 65_536

Born = Callable[[Machine, "Failure | None"], None]


class Birth:
    """One machine being made."""

    def __init__(
        self, host: Host, machine: Machine, resolver: str, finished: Callable[[Birth, Failure | None], None]
    ):
        self.machine = machine
        self.waiting: list[Born] = []
        self._host = host
        self._resolver = resolver
        self._finished = finished
        self._channel: socket.socket | None = None
        self._builder: int | None = None
        self._timer: Timer | None = None
        self._done = False

    def start(self) -> None:
        """Take what the machine needs and have its builder forked."""
        try:
            plan = self._prepare()
        except disks.DiskBusy as failure:
            return self._finish(Failure("Transient", str(failure)))
        except disks.DiskError as failure:
            return self._finish(Failure("Rejected", str(failure)))
        except network.NoAddress as failure:
            return self._finish(Failure("NoCapacity", str(failure)))
        except network.PortTaken as failure:
            return self._finish(Failure("Rejected" if failure.lasting else "Transient", str(failure)))
        except OSError as failure:
            return self._finish(Failure("Transient", f"machine {self.machine.name}: {failure}"))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._host.zygote.build(plan, theirs)
        except OSError as failure:
            ours.close()
            return self._finish(Failure("Transient", f"machine {self.machine.name}: no builder: {failure}"))
        finally:
            theirs.close()
            for tree in (plan.os_tree, *plan.disk_trees.values()):
                if tree is not None:
                    os.close(tree)
        self._channel = ours
        self._host.loop.read(ours.fileno(), self._on_report)
        self._timer = self._host.loop.later(_DEADLINE_S, self._on_deadline)
        return None

    def _prepare(self) -> boot.Plan:
        host, machine = self._host, self.machine
        directory = host.layout.machine(machine.name)
        os.makedirs(directory, mode=0o711, exist_ok=True)
        records.save(machine, host.layout.record(machine.name))
        self._reserve_link()
        group = host.groups.make(machine.name, machine.limits)
        machine.groups, machine.applied = group.directories, group.applied
        machine.notes += group.notes
        plan = boot.Plan(
            name=machine.name,
            kind=machine.kind,
            hostname=machine.hostname,
            directory=directory,
            scratch=host.scratch,
            devices=host.devices,
            kits={LOGIN_KIT: host.layout.login_kit, RUNTIME: host.layout.runtime},
            socket_path=host.layout.socket(machine.name),
            groups=machine.groups,
            link=machine.link,
            resolver=self._resolver,
            mounts=machine.mounts,
            config={
                "name": machine.name,
                "fence": machine.fence,
                "kind": machine.kind,
                "authority": host.authority,
                "grace_s": host.grace_s,
                "accounts": [str(account["name"]) for account in machine.accounts],
                "certificates": bool(machine.certificates),
                "watch": _watched(machine),
            },
            accounts=machine.accounts,
            certificates=machine.certificates,
            packages=machine.packages,
        )
        if machine.kind == "node":
            _make_temp(host.layout.temp(machine.name))
        try:
            self._open_disks(plan)
        except BaseException:
            for tree in (plan.os_tree, *plan.disk_trees.values()):
                if tree is not None:
                    os.close(tree)
            raise
        records.save(machine, host.layout.record(machine.name))
        return plan

    def _reserve_link(self) -> None:
        machine, net = self.machine, self._host.network
        if net.unusable is not None:
            machine.notes += (f"no network but loopback: {net.unusable}",)
            return
        try:
            machine.link = net.reserve(machine.network, machine.forwards)
        except OSError as failure:
            if machine.forwards:
                raise
            machine.notes += (f"no network but loopback: {failure}",)

    def _open_disks(self, plan: boot.Plan) -> None:
        machine, host = self.machine, self._host
        if machine.kind == "vm":
            plan.os_tree = self._attach(machine.os_volume)
        else:
            plan.os_mount = self._share(machine.os_volume)
        for own in machine.own_disks:
            path = host.layout.own_disk(machine.name, own["lun"])
            path = owndisks.settle(path, own.get("place", ""), machine.name)
            plan.own_disks.append({"lun": own["lun"], "path": path, "size": own["size_bytes"]})
            machine.attached.append(path)
        for disk in machine.data_disks:
            volume = disks.Volume(disk["path"], disk.get("offset", 0), disk.get("size", 0))
            if disk.get("writable_in_place"):
                plan.disk_trees[disk["lun"]] = self._attach(volume)
            else:
                plan.disk_mounts[disk["lun"]] = self._share(volume)

    def _attach(self, volume: disks.Volume) -> int:
        tree = self._host.disks.open_writable(volume)
        self.machine.attached.append(volume.image)
        return tree

    def _share(self, volume: disks.Volume) -> str:
        mountpoint = self._host.disks.share(volume)
        self.machine.shared.append(volume)
        return mountpoint

    def _on_report(self) -> None:
        assert self._channel is not None
        try:
            raw = self._channel.recv(_MESSAGE_BYTES)
        except OSError:
            raw = b""
        if not raw:
            return self._finish(Failure("Transient", f"machine {self.machine.name}: its builder died"))
        report = json.loads(raw)
        if "error" in report:
            if report.get("refused"):
                return self._finish(Failure("Rejected", str(report["error"])))
            text = f"machine {self.machine.name}, phase {report.get('phase')}: {report['error']}"
            return self._finish(Failure("Transient", text))
        if "builder" in report:
            self._builder = int(report["builder"])
        elif report.get("step") == "netns":
            self._answer({"link": self._lay_link()})
        elif "pid" in report:
            self.machine.phases_ms, self.machine.troubles = report["phases"], report["troubles"]
            self._adopt_pid(int(report["pid"]))
        elif "ready" in report:
            self.machine.notes += tuple(report.get("notes") or ())
            self._on_ready(report["ready"])
        return None

    def _lay_link(self) -> bool:
        if self.machine.link is None or self._builder is None:
            return False
        try:
            self._host.network.connect(self.machine.link, self._builder)
        except OSError as failure:
            if self.machine.forwards:
                self._finish(Failure("Transient", f"machine {self.machine.name}: no network: {failure}"))
                return False
            self.machine.notes += (f"no network but loopback: {failure}",)
            self._host.network.release(self.machine.link)
            self.machine.link = None
            return False
        return True

    def _adopt_pid(self, pid: int) -> None:
        self.machine.pid = pid
        self.machine.pidfd = os.pidfd_open(pid)
        self.machine.pid_start = records.start_time(pid)

    def _on_ready(self, phases: dict[str, float]) -> None:
        machine = self.machine
        if machine.pidfd is None:
            return self._finish(Failure("Transient", f"machine {machine.name}: ready without a process"))
        machine.phases_ms = {**phases, **machine.phases_ms}
        machine.state = "running"
        try:
            records.save(machine, self._host.layout.record(machine.name))
        except OSError as failure:
            return self._finish(Failure("Transient", f"machine {machine.name}: no record of it: {failure}"))
        self._answer({"go": True})
        return self._finish(None)

    def _answer(self, message: dict[str, bool]) -> None:
        assert self._channel is not None
        try:
            self._channel.send(json.dumps(message).encode())
        except OSError:  # the builder is gone: the channel's end is reported next
            pass

    def _on_deadline(self) -> None:
        self._finish(
            Failure("Transient", f"machine {self.machine.name}: not ready within {_DEADLINE_S:.0f} s")
        )

    def _finish(self, failure: Failure | None) -> None:
        if self._done:
            return
        self._done = True
        if self._timer is not None:
            self._timer.cancel()
        if self._channel is not None:
            self._host.loop.forget(self._channel.fileno())
            self._channel.close()
        if failure is not None and self._builder is not None:
            try:
                os.kill(self._builder, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._finished(self, failure)


class Births:
    """All machines being made, a few at a time."""

    def __init__(self, host: Host, finished: Callable[[Birth, Failure | None], None]) -> None:
        self._host = host
        self._finished = finished
        self._queue: deque[Birth] = deque()
        self._active: dict[str, Birth] = {}

    def get(self, name: str) -> Birth | None:
        """The birth under way or waiting for `name`."""
        return self._active.get(name) or next(
            (birth for birth in self._queue if birth.machine.name == name), None
        )

    def add(self, machine: Machine, resolver: str, born: Born) -> None:
        birth = Birth(self._host, machine, resolver, self._on_finished)
        birth.waiting.append(born)
        self._queue.append(birth)

    def pump(self) -> None:
        """Start what may start now."""
        while self._queue and len(self._active) < _AT_ONCE:
            birth = self._queue.popleft()
            self._active[birth.machine.name] = birth
            birth.start()

    def _on_finished(self, birth: Birth, failure: Failure | None) -> None:
        self._active.pop(birth.machine.name, None)
        self._finished(birth, failure)
        self._host.loop.later(0.0, self.pump)


def _watched(machine: Machine) -> dict[str, Any]:
    """What the machine's own agent looks after (agent/watch.py)."""
    bounded = any(disk["lun"] is None for disk in machine.own_disks)
    base = f"/{NODE_ROOT}/{MOUNTS}"
    return {
        "room": {"path": "/", "reserve": ROOT_RESERVED_BYTES} if bounded else None,
        "mounts": [{"path": f"{base}/{mount['path']}", "name": mount["path"]} for mount in machine.mounts],
    }


def _make_temp(path: str) -> None:
    """The temporary disk; one that was cut off between its making and its owner's gets its owner now."""
    os.makedirs(path, 0o755, exist_ok=True)
    if os.stat(path).st_uid != idmap.HOST_BASE:
        os.chown(path, idmap.HOST_BASE, idmap.HOST_BASE)
