"""The room on the disks of this service: its data directory and the directories of storage classes, and who watches."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial

from poolwright.decide.room import Room
from poolwright.domain.limits import Settings
from poolwright.reconcile.room import HostRoom, class_rooms, first_refusal, refusal_of, rooms_by_type
from poolwright.serve.options import Options
from poolwright.serve.system import disk_room
from poolwright.store.base import Store


class Rooms:
    """`data` is the room of the data directory, where the store writes, and every node but for disks of its own."""

    def __init__(self, options: Options, settings: Settings) -> None:
        directory, reserve = options.data_dir, options.reserve_disk_mib
        self.data = HostRoom(partial(disk_room, directory), str(directory), reserve)
        self._known = settings.storage_classes
        self._of_classes = class_rooms(self._known, disk_room, reserve)
        self._watching: list[asyncio.Task[None]] = []

    def refusal(self) -> str | None:
        """Why nothing that needs all of these disks is taken in now, or None."""
        return first_refusal((self.data, *self._of_classes))

    def refusal_of(self, types: Collection[str]) -> str | None:
        """Why no disk of one of these types is taken in now, or None."""
        return refusal_of(self._known, self._of_classes, types)

    def by_type(self) -> dict[str, Room]:
        """The newest judgement on the directory of each type of disks that has one."""
        return rooms_by_type(self._known, self._of_classes)

    def watch(self, store: Store) -> None:
        """Look after all of them from now on."""
        rooms = (self.data, *self._of_classes)
        self._watching = [asyncio.create_task(room.watch(store), name="room") for room in rooms]

    def close(self) -> None:
        """Stop looking."""
        for task in self._watching:
            task.cancel()
