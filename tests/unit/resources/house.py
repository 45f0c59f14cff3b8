"""The management side of the house in one process: real commands, planner, loop and store over planes in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from poolwright.commands import disks, groups, images, vm_actions, vms
from poolwright.commands.batch_accounts import KeyPair
from poolwright.commands.context import Caller, Context
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.clock import SECOND, Instant
from poolwright.domain.compute import (
    DiskSpec,
    ImageChoice,
    ImageDiskSpec,
    ImageSpec,
    MachineDiskSpec,
    MachineSpec,
)
from poolwright.domain.limits import Settings
from poolwright.domain.resource import Operation, Resource
from poolwright.domain.resource_id import DISKS, IMAGES, MACHINES, SNAPSHOTS, ResourceId
from poolwright.images.fake import FakeImagePlane
from poolwright.reconcile.resources import ResourceReconciler
from poolwright.store.base import Store, Tx
from poolwright.store.sync import SyncStore
from tests.contract.images.harness import tiny_plane
from tests.unit.resources.machines import MemoryCommander, MemoryEngine

T = TypeVar("T")
SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
GROUP = "Studio"
KEYS = KeyPair("cHJpbWFyeQ==", "c2Vjb25kYXJ5")
MARKETPLACE = ImageChoice(None, "debian", "debian-12", "12")


class StepClock:
    """Moves on by a second with every look, so that order can be seen in times."""

    def __init__(self) -> None:
        self.at = 1_800_000_000 * SECOND

    def now(self) -> Instant:
        self.at += SECOND
        return self.at


class CountingIds:
    """Names in order."""

    def __init__(self) -> None:
        self.count = 0

    def uuid(self) -> str:
        self.count += 1
        return f"00000000-0000-4000-8000-{self.count:012x}"

    def short(self) -> str:
        self.count += 1
        return f"{self.count:012x}"


@dataclass(slots=True)
class House:
    """Everything together. `rebuild` replaces the loop, as a restart of the service does."""

    store: Store
    images: Any = field(default_factory=FakeImagePlane)  # any image plane; tests of faults need the fake one
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    commander: MemoryCommander = field(default_factory=MemoryCommander)
    clock: StepClock = field(default_factory=StepClock)
    ids: CountingIds = field(default_factory=CountingIds)
    settings: Settings = Settings()
    loop: ResourceReconciler = field(init=False)

    def __post_init__(self) -> None:
        self.loop = self._new_loop()

    def _new_loop(self) -> ResourceReconciler:
        return ResourceReconciler(self.store, self.images, self.engine, self.commander, self.clock, self.ids)

    async def rebuild(self) -> None:
        await self.loop.close()
        self.loop = self._new_loop()

    async def close(self) -> None:
        await self.loop.close()
        await self.store.close()

    @property
    def context(self) -> Context:
        return Context(self.clock, self.ids, self.settings, Caller("token", "tester"))

    async def write(self, fn: Callable[[Tx, Context], T]) -> T:
        context = self.context
        return await self.store.write(lambda tx: fn(tx, context))

    async def settle(self) -> None:
        """Passes until nothing is left to do."""
        for _ in range(100):
            await self.loop.pass_all()
            if not await self.store.read(lambda tx: tx.resources.unsettled()):
                return
            await asyncio.sleep(0)
        left = await self.store.read(lambda tx: tx.resources.unsettled())
        raise AssertionError(
            f"never at rest: {[(entry.key, entry.state.value, entry.error) for entry in left]}"
        )

    async def get(self, type: str, name: str) -> Resource:
        found = await self.find(type, name)
        assert found is not None, f"{type} {name} does not exist"
        return found

    async def find(self, type: str, name: str) -> Resource | None:
        return await self.store.read(lambda tx: tx.resources.get(at(type, name).key))

    async def operation(self, accepted: Accepted) -> Operation:
        assert accepted.operation is not None
        id = accepted.operation.id
        found = await self.store.read(lambda tx: tx.resources.operation(id))
        assert found is not None
        return found

    # The usual requests.

    async def group(self, name: str = GROUP) -> Accepted:
        return await self.write(lambda tx, ctx: groups.put(tx, ctx, SUBSCRIPTION, name, Outline("local")))

    async def machine(self, name: str = "builder", spec: MachineSpec | None = None) -> Accepted:
        wanted = spec or machine_spec()
        return await self.write(
            lambda tx, ctx: vms.put(
                tx, ctx, at(MACHINES, name), Outline("local"), wanted, self.images.catalogue
            )
        )

    async def power(self, verb: str, name: str = "builder") -> Accepted:
        return await self.write(lambda tx, ctx: vm_actions.power(tx, ctx, at(MACHINES, name), verb))

    async def script(self, *lines: str, name: str = "builder") -> Accepted:
        return await self.write(
            lambda tx, ctx: vm_actions.run_command(tx, ctx, at(MACHINES, name), "RunShellScript", lines)
        )

    async def disk(self, name: str, spec: DiskSpec, type: str = DISKS) -> Accepted:
        return await self.write(
            lambda tx, ctx: disks.put(tx, ctx, at(type, name), Outline("local"), spec, self.images.catalogue)
        )

    async def snapshot(self, name: str, disk: str) -> Accepted:
        return await self.disk(name, DiskSpec("Copy", source_id=at(DISKS, disk).text), SNAPSHOTS)

    async def image(self, name: str, os_snapshot: str, *data: tuple[int, str]) -> Accepted:
        spec = ImageSpec(
            os_disk=ImageDiskSpec(None, at(SNAPSHOTS, os_snapshot).text),
            data_disks=tuple(ImageDiskSpec(lun, at(SNAPSHOTS, snapshot).text) for lun, snapshot in data),
        )
        return await self.write(lambda tx, ctx: images.put(tx, ctx, at(IMAGES, name), Outline("local"), spec))

    async def delete(self, type: str, name: str) -> Accepted | None:
        id = at(type, name)
        if type == MACHINES:
            return await self.write(lambda tx, ctx: vms.delete(tx, ctx, id))
        if type == IMAGES:
            return await self.write(lambda tx, ctx: images.delete(tx, ctx, id))
        return await self.write(lambda tx, ctx: disks.delete(tx, ctx, id))


def at(type: str, name: str, group: str = GROUP) -> ResourceId:
    """An id in the usual group."""
    return ResourceId(SUBSCRIPTION, group, type, name)


def machine_spec(*data: MachineDiskSpec, image: ImageChoice | None = MARKETPLACE) -> MachineSpec:
    """A machine from the marketplace, with one empty data disk at LUN 3 unless told otherwise."""
    disks_wanted = data or (MachineDiskSpec(3, "Empty", "scratch", size_gib=1),)
    return MachineSpec("Standard_D2s_v3", image, MachineDiskSpec(None, "FromImage", "system"), disks_wanted)


def open_house(tmp_path: Path, plane: str = "fake") -> House:
    """A house over a store in one thread. `plane` is "fake", or "raw" for real files with a tiny base image."""
    store = SyncStore(tmp_path / "truth.db")
    return House(store) if plane == "fake" else House(store, tiny_plane(tmp_path / "images"))
