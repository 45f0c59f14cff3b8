"""What a machine has used since it was born, read from the kernel's own counts; nothing is kept between readings.

Processor time and transfers are summed over the machine's processes: each counts what it used itself and what its
children used that it has waited for (proc_pid_stat(5), proc_pid_io(5)), and orphans are waited for by the first
process, so nothing is lost when tasks end.
"""

from __future__ import annotations

import contextlib
import os

from poolwright.engines.sandbox.host.records import Machine

_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_IO = {"read_bytes": "read", "write_bytes": "written", "syscr": "reads", "syscw": "writes"}
_PROCESSES_MAX = 4096  # of one machine in one reading


def read(machine: Machine) -> dict[str, int] | None:
    """Totals of a running machine, None where its processes cannot be told (no control group).

    `cpu_us` of all cores together, `memory` bytes held now, `read`/`written` bytes from and to disks, `reads`/`writes`
    calls, `received`/`sent` bytes of its network, and its `cores` in thousandths.
    """
    processes = _processes(machine.groups)
    if not processes:
        return None
    ticks = pages = 0
    transfers = dict.fromkeys(_IO.values(), 0)
    for process in processes[:_PROCESSES_MAX]:
        with contextlib.suppress(OSError, ValueError, IndexError):  # it ended meanwhile
            fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
            pages += int(fields[21])
            for line in _text(f"/proc/{process}/io").splitlines():
                name, _, count = line.partition(": ")
                if name in _IO:
                    transfers[_IO[name]] += int(count)
    received, sent = _network(machine)
    return {
        "cores": int(machine.limits.cores * 1000),
        "cpu_us": ticks * _TICK_US,
        "memory": _memory(machine.groups) or pages * _PAGE,
        **transfers,
        "received": received,
        "sent": sent,
    }


def _processes(groups: tuple[str, ...]) -> list[str]:
    for group in groups:
        with contextlib.suppress(OSError):
            return _text(os.path.join(group, "cgroup.procs")).split()
    return []


def _memory(groups: tuple[str, ...]) -> int | None:
    """Bytes charged to the group of the memory controller, of version 2 or 1."""
    for group in groups:
        for name in ("memory.current", "memory.usage_in_bytes"):
            with contextlib.suppress(OSError, ValueError):
                return int(_text(os.path.join(group, name)))
    return None


def _network(machine: Machine) -> tuple[int, int]:
    """Bytes received and sent by the machine, which the host's end of its cable counts the other way round."""
    if machine.link is None:
        return 0, 0
    counts = []
    for name in ("tx_bytes", "rx_bytes"):
        with contextlib.suppress(OSError, ValueError):
            counts.append(int(_text(f"/sys/class/net/{machine.link.interface}/statistics/{name}")))
    return (counts[0], counts[1]) if len(counts) == 2 else (0, 0)


def _text(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as stream:
        return stream.read()
