"""The process tree of an execution, found through /proc: session, descendants, and an environment marker.

Programs leave their session (daemons) or their parent (double fork); the marker in the environment they were
started with still tells whose they are (proc(5): stat, environ, children).
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass

MARKER = "POOLWRIGHT_EXEC"
_ENVIRON_BYTES = 262_144


@dataclass(frozen=True)
class Process:
    """One process: parent, session, and whether it is only waiting to be reaped."""

    pid: int
    parent: int
    session: int
    zombie: bool


def orphans() -> set[int]:
    """Children of the calling process, by the kernel's own list where it has one."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as stream:
            return {int(word) for word in stream.read().split()}
    except FileNotFoundError:
        return {process.pid for process in processes().values() if process.parent == me}


def processes() -> dict[int, Process]:
    """Every process of this process namespace but the calling one."""
    found = {}
    me = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != me:
            process = _read(int(name))
            if process is not None:
                found[process.pid] = process
    return found


def members(everything: dict[int, Process], main: int, exec_id: str) -> set[int]:
    """Living processes that belong to the execution whose main process is (or was) `main`."""
    mine = {main} & everything.keys()
    mine |= {process.pid for process in everything.values() if process.session == main}
    for process in everything.values():
        if process.pid not in mine and process.parent == os.getpid() and marker(process.pid) == exec_id:
            mine.add(process.pid)
    grew = True
    while grew:
        children = {p.pid for p in everything.values() if p.parent in mine} - mine
        grew = bool(children)
        mine |= children
    return {pid for pid in mine if not everything[pid].zombie}


def marker(pid: int) -> str | None:
    """The execution a process says it was started for."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            raw = stream.read(_ENVIRON_BYTES)
    except OSError:
        return None
    prefix = MARKER.encode() + b"="
    for entry in raw.split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode(errors="replace")
    return None


def send(pids: set[int], number: signal.Signals) -> None:
    """Signal processes; those that ended meanwhile are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _read(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(pid, int(fields[1]), int(fields[3]), fields[0] in (b"Z", b"X"))
