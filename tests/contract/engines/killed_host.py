"""A host agent that is killed, or one of whose helpers is, before a chosen step; the package's own code otherwise.

    python -m tests.contract.engines.killed_host LOG VICTIM ROLE NUMBER --data-dir D

A step is a call that changes the host: a directory, a mount, a namespace, a process, a link, a packet filter, a
record. Every step is written to LOG as `ROLE NUMBER NAME` before it is taken. When process ROLE is about to take its
step NUMBER (0: never), VICTIM is killed: `agent` is the host agent, `self` the process that takes the step, or `both`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from poolwright.agent import syscalls
from poolwright.engines.sandbox.host import __main__ as host
from poolwright.engines.sandbox.host import boot, cgroups, loopdev, netlink, zygote

CALLS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (
        os,
        (
            "mkdir",
            "symlink",
            "rename",
            "replace",
            "unlink",
            "rmdir",
            "chown",
            "fork",
            "posix_spawn",
            "setresuid",
            "kill",
        ),
    ),
    (signal, ("pidfd_send_signal",)),
    (subprocess, ("run",)),
    (
        syscalls,
        (
            "unshare",
            "mount",
            "umount",
            "pivot_root_here",
            "clone_tree",
            "attach_tree",
            "set_mount_attributes",
            "set_hostname",
        ),
    ),
    (cgroups, ("_write",)),
    (loopdev, ("_claim",)),
    (loopdev.Loop, ("close",)),
    (netlink.Netlink, ("_request",)),
    (boot, ("_listen", "_report")),
)


class Executioner:
    """A process beside the host agent that kills it on demand: from within a machine nobody can reach the agent."""

    def __init__(self) -> None:
        agent = os.getpid()
        self.ours, theirs = socket.socketpair()
        if os.fork() == 0:
            self.ours.close()
            self._wait(agent, theirs)
        theirs.close()

    @staticmethod
    def _wait(agent: int, orders: socket.socket) -> None:
        watched: int = os.pidfd_open(agent)
        either: list[Any] = [watched, orders]
        while True:
            ready, _, _ = select.select(either, [], [])
            if watched in ready or not orders.recv(1):
                os._exit(0)
            os.kill(agent, signal.SIGKILL)
            select.select([watched], [], [])
            with contextlib.suppress(BrokenPipeError):
                orders.send(b"k")

    def kill(self) -> None:
        """Return once the host agent is dead (or never, if the caller is the host agent)."""
        self.ours.send(b"k")
        self.ours.recv(1)


class Steps:
    """Counts the steps of this process, writes them down, and kills before the chosen one."""

    def __init__(self, log: str, victim: str, role: str, number: int) -> None:
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.executioner = Executioner()
        self._victim = victim
        self._fatal = (role, number)
        self.role = "agent"
        self._count = 0

    def become(self, role: str) -> None:
        """This is another process now."""
        self.role, self._count = role, 0

    def take(self, name: str) -> None:
        """The step `name` is about to be taken."""
        self._count += 1
        os.write(self.log, f"{self.role} {self._count} {name}\n".encode())
        if (self.role, self._count) == self._fatal:
            if self._victim != "self":
                self.executioner.kill()
            if self._victim != "agent":
                os._exit(137)  # no signal reaches the first process of a namespace from itself

    def before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, as a step."""

        def stepping(*arguments: Any, **named: Any) -> Any:
            self.take(name)
            return call(*arguments, **named)

        return stepping

    def turning(self, role: str, body: Callable[..., Any]) -> Callable[..., Any]:
        """`body`, the main function of a process that has just been forked."""

        def turned(*arguments: Any) -> Any:
            self.become(role)
            return body(*arguments)

        return turned

    def kept(self, forget: Callable[[set[int]], None]) -> Any:
        """`forget_host_agent`, which would close these as well."""
        return lambda keep: forget({*keep, self.log, self.executioner.ours.fileno()})


def main(log: str, victim: str, role: str, number: str, *arguments: str) -> int:
    """Run the host agent with counted steps."""
    steps = Steps(log, victim, role, int(number))
    for holder, names in CALLS:
        for name in names:
            setattr(holder, name, steps.before(name.strip("_"), getattr(holder, name)))
    boot.run_builder = steps.turning("builder", boot.run_builder)
    boot._be_first = steps.turning("first", boot._be_first)
    zygote._run = steps.turning("zygote", zygote._run)
    boot.forget_host_agent = steps.kept(boot.forget_host_agent)
    return host.main(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
