"""Processes that no task's end ends: what a start task left running on purpose, the SSH server, and what people who
logged in leave running. They end with the machine, or by order."""

from __future__ import annotations

import os

from poolwright.agent import tree
from poolwright.agent.layout import LOGIN_FIRST_UID, LOGIN_STATE


class Services:
    """Which orphans are services: known by process id, by owner, or by the marker of the start task they come from."""

    def __init__(self) -> None:
        self._pids: set[int] = set()
        self._markers: set[str] = set()

    def keep(self, exec_id: str, orphans: set[int]) -> None:
        """A start task ended by itself and left these; so are those of its descendants that lose their parent later."""
        self._markers.add(exec_id)
        self._pids |= {pid for pid in orphans if tree.marker(pid) in (exec_id, None)}

    def others(self, orphans: set[int]) -> set[int]:
        """The orphans that are no services."""
        self._pids &= orphans
        unknown = orphans - self._pids
        self._pids |= {pid for pid in unknown if self._serves(pid)}
        return orphans - self._pids

    def _serves(self, pid: int) -> bool:
        try:
            owner = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            return False
        if owner >= LOGIN_FIRST_UID or (owner == 0 and pid == _login_server()):
            return True
        return bool(self._markers) and tree.marker(pid) in self._markers

    def tree(self, everything: dict[int, tree.Process]) -> set[int]:
        """Services and their descendants among all processes."""
        mine = self._pids & everything.keys()
        grew = True
        while grew:
            children = {process.pid for process in everything.values() if process.parent in mine} - mine
            grew = bool(children)
            mine |= children
        return mine


def _login_server() -> int | None:
    """The process that lets people in, by the file it leaves; it has no marker, since it writes over its variables."""
    try:
        with open(f"/{LOGIN_STATE}/sshd.pid", "rb") as stream:
            return int(stream.read(16))
    except (OSError, ValueError):
        return None
