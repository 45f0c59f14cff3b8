"""Looking after the room on the service's disk, and waking every pool when what follows from it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path

from poolwright.decide.room import CLASS, RECORDS, Room, judge, reserve
from poolwright.domain.facts import DirtyKey
from poolwright.domain.storage import StorageClass
from poolwright.store.base import Store, StoreError, Tx

_log = logging.getLogger(__name__)
LOOK_S = 1.0

Measure = Callable[[], tuple[int, int]]
"""Free and total bytes of the disk. Raises OSError."""


class HostRoom:
    """The newest judgement on the host's disk."""

    def __init__(
        self, measure: Measure, where: str, reserve_mib: int | None = None, stops: str = RECORDS
    ) -> None:
        self._measure = measure
        self._stops = stops
        self.where = where
        self._reserve_mib = reserve_mib
        self.now = Room()

    def look(self) -> Room:
        """Measure and judge again. A disk that cannot be measured is left as it was."""
        try:
            free, total = self._measure()
        except OSError as error:
            _log.warning("the disk of %s cannot be measured: %s", self.where, error)
            return self.now
        self.now = judge(free, reserve(total, self._reserve_mib), self.now, self.where, self._stops)
        return self.now

    def refusal(self) -> str | None:
        """Why nothing new is taken in now, or None."""
        return self.look().low

    async def watch(self, store: Store) -> None:
        """Look for ever; pools are woken at each change. A store that cannot be written is tried again."""
        told = (False, False)
        while True:
            room = self.look()
            state = (room.low is not None, room.full is not None)
            if state != told:
                _log.warning("%s", room.full or room.low or f"the disk of {self.where} has room again")
                try:
                    await store.write(wake_pools)
                    told = state
                except StoreError as error:
                    _log.warning("pools cannot be told of the disk yet: %s", error)
            await asyncio.sleep(LOOK_S)


def class_rooms(
    classes: Iterable[StorageClass], measure: Callable[[Path], tuple[int, int]], reserve_mib: int | None
) -> tuple[HostRoom, ...]:
    """The rooms of the directories of storage classes: of each directory one."""
    return tuple(
        HostRoom(partial(measure, Path(directory)), directory, reserve_mib, CLASS)
        for directory in dict.fromkeys(known.directory for known in classes)
    )


def rooms_by_type(classes: Iterable[StorageClass], rooms: Iterable[HostRoom]) -> dict[str, Room]:
    """The newest judgement on the directory of each type of disks that has one of its own."""
    found = {room.where: room.now for room in rooms}
    return {known.type: found[known.directory] for known in classes if known.directory in found}


def refusal_of(
    classes: Iterable[StorageClass], rooms: Iterable[HostRoom], types: Collection[str]
) -> str | None:
    """Why no disk of one of these types is taken in now, or None; the directories are looked at anew."""
    wanted = {known.directory for known in classes if known.type in types}
    return first_refusal(room for room in rooms if room.where in wanted)


def first_refusal(rooms: Iterable[HostRoom]) -> str | None:
    """Why nothing that needs all of these rooms is taken in now, or None."""
    return next((why for why in (room.refusal() for room in rooms) if why is not None), None)


def wake_pools(tx: Tx) -> None:
    """Have every pool looked at: what its nodes may do has changed."""
    for pool in tx.pools.every():
        tx.mark_dirty(DirtyKey("pool", pool.account, pool.id))
