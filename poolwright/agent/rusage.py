"""What ended processes used: the kernel's counts, told when a process is collected.

Counts of a process include those of its children that it waited for (getrusage(2), proc_pid_io(5)). Processor time
comes with wait4(2). Transfers do not, and those of an ended process are closed to everybody but the host's root; but
what a process waits for is added to its own counts, so they are what these grow by.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_IO = {b"syscr": 0, b"syscw": 1, b"read_bytes": 2, b"write_bytes": 3}
_IO_BYTES = 512
_OWN_READ = (1, 0, 0, 0)  # what a look at the counts adds to them


@dataclass(frozen=True)
class Ended:
    """One process that ended and was collected. `session` is the process id of the session's leader; `transfers` are
    its read and write calls, and bytes from and to disks."""

    pid: int
    status: int
    session: int
    user_us: int
    kernel_us: int
    transfers: tuple[int, ...]

    @property
    def usage(self) -> tuple[int, ...]:
        """As it goes into messages: processor time as user and in the kernel, then the transfers."""
        return (self.user_us, self.kernel_us, *self.transfers)


def open_own() -> int | None:
    """A descriptor of the calling process's own transfers, None where the kernel does not count them. To be opened
    before the process gives up being the host's root."""
    try:
        return os.open("/proc/self/io", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


class Collector:
    """Collects ended children, with their transfers if it is given the descriptor of its process's own."""

    def __init__(self, own_io: int | None = None) -> None:
        self._own_io = own_io

    def collect(self) -> Ended | None:
        """One ended child; None when no child has ended. Raises ChildProcessError when there is none at all."""
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        session, before = _session(found.si_pid), self._own()
        pid, status, used = os.wait4(found.si_pid, 0)
        transfers = tuple(max(0, now - then - own) for now, then, own in zip(self._own(), before, _OWN_READ))
        return Ended(pid, status, session, _micros(used.ru_utime), _micros(used.ru_stime), transfers)

    def _own(self) -> tuple[int, ...]:
        counts = [0, 0, 0, 0]
        if self._own_io is not None:
            for line in os.pread(self._own_io, _IO_BYTES, 0).splitlines():
                name, _, count = line.partition(b": ")
                if name in _IO:
                    counts[_IO[name]] = int(count)
        return tuple(counts)


def added(counts: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    """The sum of two usages."""
    return tuple(mine + others for mine, others in zip(counts, more))


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
