"""The host agent: makes machines on this host and relays them to the service over one connection.

Started by the service, but outlives it: machines and their executions go on while the service restarts.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import poolwright
from poolwright.agent.calls import Calls
from poolwright.agent.frames import Message
from poolwright.agent.links import Links
from poolwright.agent.loop import Loop
from poolwright.agent.machines import Machine, MachinesMaker
from poolwright.agent.service import Service, pressure
from poolwright.agent.transfers import Transfers

_IDLE_EXIT_S = 5.0
_WATCH_S = 0.5
_GREETING_PATIENCE_S = 5.0
_LEAVING_PATIENCE_S = 8.0
_USAGE_TURNS = (
    6  # each sign of life tells the usage of one machine in so many: of each machine about twice a minute
)


class HostAgent:
    """Wires the parts together. Its current directory is the data directory: socket paths stay short."""

    def __init__(
        self, run_dir: str, grace_s: float, make_machines: MachinesMaker, transfer_worker: Sequence[str]
    ) -> None:
        self._grace_s = grace_s
        self._started_us = time.time_ns() // 1000
        self._loop = Loop()
        self._links = Links(self._loop, lambda: self._machines, self._report)
        self._machines = make_machines(self._loop, self._on_running, self._on_gone)
        transfers = Transfers(self._loop, transfer_worker)
        self._service = Service(
            self._loop, run_dir, self._hello, self._on_message, self._usage, transfers.stop_all
        )
        self._calls = Calls(
            self._machines, self._links, self._facts, self._service.send, self._service.send_bytes, transfers
        )
        self._dial_by = time.monotonic() + _GREETING_PATIENCE_S
        self._ending = False
        self._turn = 0
        self._leave_by: float | None = None

    def run(self) -> None:
        self._loop.handle_signals({signal.SIGTERM: self._leave, signal.SIGINT: self._leave})
        self._machines.sweep()
        for machine in self._machines.running():
            self._links.open(machine)
        self._loop.later(0.0, self._dial_when_complete)
        self._loop.later(_WATCH_S, self._watch)
        self._loop.run()
        self._machines.close()

    def _leave(self) -> None:
        """Stop once what is half made or half removed is settled; running machines go on."""
        self._leave_by = self._leave_by or time.monotonic() + _LEAVING_PATIENCE_S
        if not self._machines.is_busy() or time.monotonic() > self._leave_by:
            self._loop.stop()
        else:
            self._loop.later(0.01, self._leave)

    def _dial_when_complete(self) -> None:
        """The first hello tells of every execution, so the machines are asked before."""
        if self._links.all_greeted() or time.monotonic() > self._dial_by:
            self._service.dial()
        else:
            self._loop.later(0.005, self._dial_when_complete)

    def _watch(self) -> None:
        away = self._service.away_s
        if away > self._grace_s and not self._ending:
            self._ending = True
            names = [machine.name for machine in self._machines.running()]
            print(f"the service has been away for {away:.0f} s: ending {len(names)} machines", flush=True)
            for name in names:
                self._links.drop(name)
            self._machines.delete(names, True, lambda _: self._leave())
        elif away > _IDLE_EXIT_S and self._machines.is_idle():
            self._loop.stop()
        self._loop.later(_WATCH_S, self._watch)

    def _hello(self) -> Message:
        return {
            "agent": "local",
            "pid": os.getpid(),
            "started": self._started_us,
            "version": poolwright.__version__,
            "capabilities": self._facts()["capabilities"],
            "machines": [{**m, **self._links.standing(m["name"])} for m in self._machines.all()],
            "execs": self._links.execs(),
        }

    def _facts(self) -> dict[str, Any]:
        facts = self._machines.facts()
        capabilities = {
            "usable": facts["usable"],
            "runs_os": ["linux"],
            "isolates": True,
            "build_machines": True,
            "reboot": True,
            "data_disks": True,
            "network": facts["network"],
            "limits": facts["limits"],
            "missing": facts["missing"],
        }
        return {
            "capabilities": capabilities,
            "cores": os.cpu_count(),
            "kernel": os.uname().release,
            **pressure(),
        }

    def _usage(self) -> Message:
        self._turn = (self._turn + 1) % _USAGE_TURNS
        told = {
            m.name: self._machines.usage(m.name) for m in self._machines.running()[self._turn :: _USAGE_TURNS]
        }
        disk = os.statvfs(".")
        return {
            "usage": {name: totals for name, totals in told.items() if totals is not None},
            "disk_used": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
        }

    def _on_message(self, message: Message) -> None:
        try:
            self._obey(message)
        except (KeyError, TypeError, ValueError) as failure:
            print(f"a message of the service cannot be understood: {failure!r}", flush=True)

    def _obey(self, message: Message) -> None:
        op = message.get("op")
        if op == "start":
            self._links.start(message["items"])
        elif op == "ack":
            self._links.acknowledge(message["execs"])
        elif op == "kill":
            self._links.kill(message["items"])
        elif op == "call":
            self._calls.run(message)

    def _report(self, item: dict[str, Any]) -> None:
        self._service.report(item)

    def _on_running(self, machine: Machine) -> None:
        self._links.open(machine)
        self._report_machine(machine, "running", "")

    def _on_gone(self, machine: Machine) -> None:
        self._links.drop(machine.name)
        self._report_machine(machine, "gone", "its first process ended")

    def _report_machine(self, machine: Machine, state: str, detail: str) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sys.stderr.write(f"{at} machine {machine.name}, life {machine.fence}: {state} {detail}\n")
        item = {"t": "machine", "name": machine.name, "fence": machine.fence, "state": state}
        self._report({**item, "address": machine.address, "detail": detail})
