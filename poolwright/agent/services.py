"""Processes a start task left running on purpose: they serve the tasks to come, and end with the machine."""

from __future__ import annotations

from poolwright.agent import tree


class Services:
    """Which orphans are services. They are known by process id, or by the marker of the start task they come from."""

    def __init__(self) -> None:
        self._pids: set[int] = set()
        self._markers: set[str] = set()

    def keep(self, exec_id: str, orphans: set[int]) -> None:
        """A start task ended by itself and left these; so are those of its descendants that lose their parent later."""
        self._markers.add(exec_id)
        self._pids |= {pid for pid in orphans if tree.marker(pid) in (exec_id, None)}

    def others(self, orphans: set[int]) -> set[int]:
        """The orphans that are no services."""
        if not self._markers:
            return orphans
        self._pids &= orphans
        unknown = orphans - self._pids
        self._pids |= {pid for pid in unknown if tree.marker(pid) in self._markers}
        return orphans - self._pids

    def tree(self, everything: dict[int, tree.Process]) -> set[int]:
        """Services and their descendants among all processes."""
        mine = self._pids & everything.keys()
        grew = True
        while grew:
            children = {process.pid for process in everything.values() if process.parent in mine} - mine
            grew = bool(children)
            mine |= children
        return mine
