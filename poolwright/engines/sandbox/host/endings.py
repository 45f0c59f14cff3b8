"""Removing machines: end the processes, wait until the kernel has let go of everything, remove what files remain."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import time
from collections.abc import Callable

from poolwright.engines.sandbox.host import loopdev, owndisks, records
from poolwright.engines.sandbox.host.context import Failure, Host
from poolwright.engines.sandbox.host.records import Machine

_POLL_S = 0.005
_PULL_LINK_AFTER_S = 1.0
_DEADLINE_S = 30.0

Ended = Callable[["Failure | None"], None]


class Ending:
    """One machine being ended. `keep_storage`: its directory stays, with a record saying `state`."""

    def __init__(self, machine: Machine, keep_storage: bool, state: str, ended: Ended) -> None:
        self.machine = machine
        self.keep_storage = keep_storage
        self.state = state
        self.waiting = [ended]
        self.since = time.monotonic()
        self.pulled = False


class Endings:
    """All machines being ended; one timer looks after them together."""

    def __init__(self, host: Host, removed: Callable[[Machine, bool], None]) -> None:
        self._host = host
        self._removed = removed
        self._active: dict[str, Ending] = {}
        self._serial = 0
        self._ticking = False

    def get(self, name: str) -> Ending | None:
        return self._active.get(name)

    def begin(self, machine: Machine, *, keep_storage: bool, state: str, ended: Ended) -> None:
        """End `machine`; asking again while it ends only adds a listener (and may widen the removal)."""
        known = self._active.get(machine.name)
        if known is not None:
            known.keep_storage = known.keep_storage and keep_storage
            known.waiting.append(ended)
            return
        machine.state = "ending"
        if machine.pidfd is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(machine.pidfd, signal.SIGKILL)
        self._active[machine.name] = Ending(machine, keep_storage, state, ended)
        self._tick_later()

    def _tick_later(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._host.loop.later(_POLL_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._host.loop.reap()
        removable: list[Ending] = []
        for ending in list(self._active.values()):
            left = self._what_is_left(ending)
            if left is None:
                removable.append(ending)
            elif time.monotonic() - ending.since > _DEADLINE_S:
                del self._active[ending.machine.name]
                failure = Failure(
                    "Transient", f"machine {ending.machine.name}: {left} after {_DEADLINE_S:.0f} s"
                )
                ending.machine.state = "broken"
                for ended in ending.waiting:
                    ended(failure)
        if removable:
            self._clear(removable)
        if self._active:
            self._tick_later()

    def _what_is_left(self, ending: Ending) -> str | None:
        machine = ending.machine
        if machine.pidfd is not None and _is_alive(machine.pidfd):
            return "its first process still lives"
        if not self._host.groups.discard(machine.groups):
            return "a control group still holds processes"
        if machine.link is not None and not self._host.network.is_gone(machine.link):
            if time.monotonic() - ending.since > _PULL_LINK_AFTER_S and not ending.pulled:
                ending.pulled = True
                self._host.network.disconnect(machine.link)
            return f"interface {machine.link.interface} still exists"
        for image in machine.attached:
            if loopdev.users_of(image):
                return f"disk image {image} is still attached"
        return None

    def _clear(self, endings: list[Ending]) -> None:
        doomed: list[str] = []
        for ending in endings:
            del self._active[ending.machine.name]
            self._let_go(ending.machine)
            path = self._host.layout.machine(ending.machine.name)
            if ending.keep_storage and os.path.isdir(path):
                ending.machine.state = ending.state
                with contextlib.suppress(
                    OSError
                ):  # a full disk: the next host agent sees that its process is gone
                    records.save(ending.machine, self._host.layout.record(ending.machine.name))
            elif os.path.isdir(path):
                self._serial += 1
                grave = os.path.join(self._host.layout.trash, f"{os.getpid()}-{self._serial}")
                os.rename(path, grave)
                doomed.append(grave)
            self._removed(ending.machine, ending.keep_storage)

        def tell() -> None:
            for ending in endings:
                for ended in ending.waiting:
                    ended(None)

        self.bury(doomed, tell)

    def _let_go(self, machine: Machine) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._host.layout.socket(machine.name))
        if machine.link is not None:
            self._host.network.release(machine.link)
            machine.link = None
        for volume in machine.shared:
            self._host.disks.release(volume)
        machine.shared.clear()
        machine.attached.clear()
        if machine.pidfd is not None:
            self._host.loop.forget(machine.pidfd)
            os.close(machine.pidfd)
        machine.pid = machine.pid_start = machine.pidfd = None

    def bury(self, graves: list[str], done: Callable[[], None]) -> None:
        """Delete directories of machines, first what their disks are in elsewhere: a kill in between loses track of
        nothing. One whose disks are on a file system that is not there waits in the trash for the next start."""
        doomed: list[str] = []
        for grave in graves:
            elsewhere = owndisks.beyond(grave)
            if all(os.path.isdir(os.path.dirname(path)) for path in elsewhere):
                doomed += [*elsewhere, grave]
        self.remove_trees(doomed, done)

    def remove_trees(self, paths: list[str], done: Callable[[], None]) -> None:
        """Delete directories in a process of their own: they may hold millions of files, nested without end."""
        if not paths:
            done()
            return
        program = shutil.which("rm") or "/bin/rm"
        arguments = ["rm", "-rf", "--one-file-system", "--", *paths]
        pid = os.posix_spawn(program, arguments, {"PATH": "/usr/bin:/bin"})
        self._host.loop.child(pid, lambda _: done())


def _is_alive(pidfd: int) -> bool:
    """A process that nobody has waited for yet counts as ended: its namespaces are gone."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)
