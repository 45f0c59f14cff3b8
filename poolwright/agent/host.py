"""The host agent: makes machines on this host and relays them to the service over one connection.

Started by the service, but outlives it: machines and their executions go on while the service restarts.
`python -m poolwright.agent.host --data-dir D [--grace-s N]`
"""
from __future__ import annotations

import argparse
import fcntl
import gc
import os
import resource
import signal
import sys
import time
import traceback
from typing import Any

import poolwright
from poolwright.agent import node
from poolwright.agent.calls import Calls
from poolwright.agent.frames import Message
from poolwright.agent.links import Links
from poolwright.agent.loop import Loop
from poolwright.agent.service import Service, pressure
from poolwright.engines.sandbox.host import syscalls
from poolwright.engines.sandbox.host.layout import Layout
from poolwright.engines.sandbox.host.machines import Machines, enter_private_mounts
from poolwright.engines.sandbox.host.records import Machine, start_time

DEFAULT_GRACE_S = 600.0
_IDLE_EXIT_S = 5.0
_WATCH_S = 0.5
_GREETING_PATIENCE_S = 5.0
EXIT_ALREADY_RUNNING = 75


class HostAgent:
    """Wires the parts together. Its current directory is the data directory: socket paths stay short."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._started_us = time.time_ns() // 1000
        self._loop = Loop()
        layout = Layout(".")
        layout.prepare()
        self._links = Links(self._loop, lambda: self._machines, self._report)
        self._machines = Machines(self._loop, layout, node.run, grace_s, self._on_running, self._on_gone)
        self._service = Service(self._loop, layout.run, self._hello, self._on_message)
        self._calls = Calls(self._machines, self._links, self._facts, self._service.send, self._service.send_bytes)
        self._dial_by = time.monotonic() + _GREETING_PATIENCE_S
        self._ending = False

    def run(self) -> None:
        self._loop.handle_signals({signal.SIGTERM: self._loop.stop, signal.SIGINT: self._loop.stop})
        self._machines.sweep()
        for machine in self._machines.running():
            self._links.open(machine)
        gc.collect()
        gc.freeze()  # what every machine's first process inherits stays shared memory
        self._loop.later(0.0, self._dial_when_complete)
        self._loop.later(_WATCH_S, self._watch)
        self._loop.run()
        self._machines.close()

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
            self._machines.delete(names, True, lambda _: self._loop.stop())
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
            "machines": self._machines.all(),
            "execs": self._links.execs(),
        }

    def _facts(self) -> dict[str, Any]:
        facts = self._machines.facts()
        capabilities = {
            "usable": True,
            "runs_os": ["linux"],
            "isolates": True,
            "build_machines": True,
            "reboot": True,
            "data_disks": True,
            "network": facts["network"],
            "limits": facts["limits"],
            "missing": facts["missing"],
        }
        return {"capabilities": capabilities, "cores": os.cpu_count(), "kernel": os.uname().release, **pressure()}

    def _on_message(self, message: Message) -> None:
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
        address = machine.link.address if machine.link is not None else None
        item = {"t": "machine", "name": machine.name, "fence": machine.fence, "state": state}
        self._report({**item, "address": address, "detail": detail})


def _lock(run_dir: str) -> int | None:
    """The lock of this data directory, held until the process ends; None when another host agent has it."""
    fd = os.open(os.path.join(run_dir, "agent.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _write_pid(run_dir: str) -> None:
    path = os.path.join(run_dir, "agent.pid")
    with open(path + ".new", "w", encoding="ascii") as stream:
        stream.write(f"{os.getpid()} {start_time(os.getpid())}\n")
    os.replace(path + ".new", path)


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped. Exit status 75: another host agent serves this data directory."""
    parser = argparse.ArgumentParser(prog="poolwright.agent.host", description="Poolwright's host agent")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--grace-s", type=float, default=DEFAULT_GRACE_S)
    options = parser.parse_args(arguments)
    os.chdir(options.data_dir)
    os.makedirs("run", mode=0o711, exist_ok=True)
    if _lock("run") is None:
        print("another host agent serves this data directory", file=sys.stderr)
        return EXIT_ALREADY_RUNNING
    _write_pid("run")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    syscalls.become_subreaper()
    enter_private_mounts()
    try:
        HostAgent(options.grace_s).run()
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
