"""What a full disk of the host must not see: more of what fills it."""

from __future__ import annotations

from poolwright.domain.clock import SECOND, Instant, Micros
from poolwright.reconcile.room import HostRoom
from poolwright.sim.host import Host
from poolwright.sim.seen import Seen

#: By then every pool has been told, and what was on its way has arrived.
TOLD: Micros = 30 * SECOND
#: The room is looked at this often; what is new counts from the look that saw it.
LOOK: Micros = 5 * SECOND


class DiskSpared:
    """Once a disk is low for long enough to be known, no pool gets a new node; once it is full, nothing begins on any
    node. Fed by the host."""

    def __init__(self, host: Host, disk: HostRoom) -> None:
        self._host = host
        self._disk = disk
        self._since: dict[str, Instant] = {}
        self.complaints: list[str] = []
        host.hears.append(self._begun)
        host.time.after(LOOK, self._watch)

    def _watch(self) -> None:
        self._note()
        self._host.time.after(LOOK, self._watch)

    def _note(self) -> None:
        """Since when is it so?"""
        room, now = self._disk.look(), self._host.time.now()
        for what, why in (("low", room.low), ("full", room.full)):
            if why is None:
                self._since.pop(what, None)
            else:
                self._since.setdefault(what, now)

    def _known(self, what: str) -> bool:
        """Whether it is so now, and has been for long."""
        self._note()
        return what in self._since and self._host.time.now() - self._since[what] > TOLD

    def _begun(self, machine: str, name: str) -> None:
        if self._known("full"):
            self.complaints.append(f"{name} began on {machine} although the disk is full")

    def check(self, seen: Seen) -> list[str]:
        said = list(self.complaints)
        if self._known("low"):
            late = self._since["low"] + TOLD
            said += [f"node {n.id} was added to a full disk" for _, n in seen.nodes if n.allocated_at > late]
        return said
