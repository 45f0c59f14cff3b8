"""Room on the disk that everything of the service lies on, and on those of storage classes: when nothing new is taken
in there, and when nodes must stop.

First nothing new is taken in (what is there goes on); when the room shrinks further, the nodes' tasks are ended and
requeued, since they write to the same disk as the store and the images. Both end by themselves, a little above where
they began, so that the service does not flicker.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.limits import HOST_DISK_RESERVE_MIB, HOST_DISK_RESERVE_SHARE

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Room:
    """What was measured, and what follows. `low`: nothing new is taken in; `full`: nodes stop. Each says why."""

    low: str | None = None
    full: str | None = None


def reserve(total_bytes: int, wanted_mib: int | None) -> int:
    """Bytes kept free for the store and the images: as the operator wants, else a share of a small disk."""
    if wanted_mib is not None:
        return wanted_mib * MIB
    return min(HOST_DISK_RESERVE_MIB * MIB, total_bytes // HOST_DISK_RESERVE_SHARE)


RECORDS = "nodes stop, to protect the service's records"
CLASS = "nodes with disks there stop, so that none of them writes into a full disk"


def judge(free: int, kept: int, before: Room, where: str, stops: str = RECORDS) -> Room:
    """`free` bytes are left of which `kept` are to stay free. Below them nothing is taken in, below half of them nodes
    stop; it is over with a quarter of `kept` more."""
    margin = kept // 4
    low = free < kept + (margin if before.low else 0)
    full = free < kept // 2 + (margin if before.full else 0)
    shown = f"The disk of {where} has {free // MIB} MiB left"
    return Room(
        f"{shown}; {kept // MIB} MiB are kept for the records and images that are there" if low else None,
        f"{shown}; below {kept // 2 // MIB} MiB {stops}" if full else None,
    )
