"""`python -m poolwright.engines.sandbox.host --data-dir D [--grace-s N]`: the host agent with sandbox machines."""

from __future__ import annotations

import argparse
import fcntl
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import poolwright
from poolwright.agent import node, syscalls
from poolwright.agent.host import HostAgent
from poolwright.agent.loop import Loop
from poolwright.agent.machines import Machine, Machines
from poolwright.agent.transfers import worker_command
from poolwright.engines.sandbox.host.layout import Layout
from poolwright.engines.sandbox.host.machines import SandboxMachines, enter_private_mounts
from poolwright.engines.sandbox.host.records import start_time
from poolwright.engines.sandbox.host.unusable import UnusableMachines, why_unusable

DEFAULT_GRACE_S = 600.0
EXIT_ALREADY_RUNNING = 75


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
    parser = argparse.ArgumentParser(
        prog="poolwright.engines.sandbox.host", description="Poolwright's host agent"
    )
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--grace-s", type=float, default=DEFAULT_GRACE_S)
    options = parser.parse_args(arguments)
    os.chdir(options.data_dir)
    os.makedirs("run", mode=0o711, exist_ok=True)
    if _lock("run") is None:
        sys.stderr.write("another host agent serves this data directory\n")
        return EXIT_ALREADY_RUNNING
    _write_pid("run")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    syscalls.become_subreaper()
    layout = Layout(".")
    reason = _prepare(layout)

    def make_machines(
        loop: Loop, on_running: Callable[[Machine], None], on_gone: Callable[[Machine], None]
    ) -> Machines:
        if reason is not None:
            return UnusableMachines(reason)
        return SandboxMachines(loop, layout, node.run, options.grace_s, on_running, on_gone)

    package_root = str(Path(poolwright.__file__).resolve().parent.parent)
    HostAgent(layout.run, options.grace_s, make_machines, worker_command(package_root)).run()
    return 0


def _prepare(layout: Layout) -> str | None:
    """Leave the host's mount table; why machines cannot be made here, if so."""
    if os.geteuid() != 0:
        return "the host agent is not root"
    try:
        enter_private_mounts()
        layout.prepare()
        return why_unusable(layout)
    except OSError as failure:
        return f"{failure}"


if __name__ == "__main__":
    sys.exit(main())
