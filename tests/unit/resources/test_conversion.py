"""Changing the type of a disk or snapshot: its bytes move to the new type's directory, or stay what they were."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from poolwright.commands import disk_access, disks
from poolwright.commands.resources import Accepted
from poolwright.domain.compute import DiskSpec, disk_state
from poolwright.domain.errors import ManagementError
from poolwright.domain.limits import Settings
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import DISKS, SNAPSHOTS
from poolwright.domain.states import ResourceState
from poolwright.domain.storage import StorageClass
from poolwright.images.base import DiskBusy, NoSpace
from poolwright.images.raw import RawImagePlane
from tests.unit.resources.house import House, at, open_house
from tests.unit.resources.settled import no_leftovers
from tests.unit.resources.test_crashes import run_with_kills

FAST = "Premium_LRS"
MAPPED = Settings(storage_classes=(StorageClass(FAST, "/fast"),))


async def convert(house: House, sku: str, name: str = "disk", type: str = DISKS) -> Accepted:
    return await house.write(lambda tx, ctx: disks.patch(tx, ctx, at(type, name), None, sku))


async def prepared(house: House) -> None:
    house.settings = MAPPED
    await house.disk("disk", DiskSpec("Empty", size_gib=1))
    await house.settle()
    await house.snapshot("snap", "disk")
    await house.settle()


def file_of(resource: Resource) -> str:
    return disk_state(resource.inner).recipe.name


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = open_house(tmp_path)
    await made.group()
    await prepared(made)
    yield made
    await made.close()


async def test_the_bytes_move_and_the_old_file_goes(tmp_path: Path) -> None:
    house = open_house(tmp_path)
    fast = tmp_path / "fast"
    fast.mkdir()
    house.images = RawImagePlane(tmp_path / "plane", classes={FAST: fast})
    await house.rebuild()
    await house.group()
    await prepared(house)
    for type, name in ((DISKS, "disk"), (SNAPSHOTS, "snap")):
        before = await house.get(type, name)
        if type == DISKS:
            house.images.write(file_of(before), 4 << 20, b"kept")
        changed = await convert(house, FAST, name, type)
        assert changed.resource.state is ResourceState.UPDATING
        await house.rebuild()  # a restart in between
        await house.settle()
        assert (await house.operation(changed)).status == "Succeeded"
        after = await house.get(type, name)
        info = house.images.get(file_of(after))
        assert (after.sku, after.state, info.frozen) == (FAST, ResourceState.SUCCEEDED, type == SNAPSHOTS)
        assert info.path.is_relative_to(fast)
        if type == DISKS:
            assert house.images.read(info.name, 4 << 20, 4) == b"kept"
        assert file_of(before) not in {info.name for info in house.images.list()}
        assert await house.loop.collect() == []
    await house.close()


async def test_a_type_without_a_directory_of_its_own_is_a_word(house: House) -> None:
    before = await house.get(DISKS, "disk")
    changed = await convert(house, "StandardSSD_LRS")
    assert changed.operation is None
    assert (changed.resource.sku, file_of(changed.resource)) == ("StandardSSD_LRS", file_of(before))


async def test_a_disk_that_cannot_move_stays_what_and_where_it_was(house: House) -> None:
    before = await house.get(DISKS, "disk")
    house.images.fail_next("clone", NoSpace("cloning", Path("/fast")))
    changed = await convert(house, FAST)
    await house.settle()
    operation = await house.operation(changed)
    assert operation.error is not None
    assert operation.error[0] == "InsufficientStorage"
    after = await house.get(DISKS, "disk")
    assert (after.state, after.sku, file_of(after)) == (
        ResourceState.SUCCEEDED,
        before.sku,
        file_of(before),
    )
    assert house.images.get(file_of(after))
    await no_leftovers(house)
    await convert(house, FAST)
    await house.settle()
    assert (await house.get(DISKS, "disk")).sku == FAST
    await no_leftovers(house)


async def test_an_old_file_that_stays_in_use_does_not_cost_the_new_one(house: House) -> None:
    old = file_of(await house.get(DISKS, "disk"))
    for _ in range(12):
        house.images.fail_next("delete", DiskBusy(old, "being read"))
    await convert(house, FAST)
    await house.settle()
    after = await house.get(DISKS, "disk")
    assert (after.state, after.sku) == (ResourceState.SUCCEEDED, FAST)
    assert file_of(after) != old
    await house.loop.collect()
    assert old not in {info.name for info in house.images.list()}
    await no_leftovers(house)


async def test_bytes_in_use_do_not_move(house: House) -> None:
    await house.write(lambda tx, ctx: disk_access.grant(tx, ctx, at(DISKS, "disk"), "Read", 60))
    with pytest.raises(
        ManagementError, match=r"Cannot change its type to Premium_LRS, which moves it: .* open for"
    ):
        await convert(house, FAST)
    assert (await house.get(DISKS, "disk")).sku != FAST


async def test_killed_while_a_disk_moves(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await convert(house, FAST)

    async def check(house: House) -> None:
        disk = await house.get(DISKS, "disk")
        assert (disk.state, disk.sku) == (ResourceState.SUCCEEDED, FAST)
        assert json.loads(disk.inner)["recipe"]["storage"] == FAST
        assert house.images.get(file_of(disk))

    assert await run_with_kills(tmp_path, prepared, work, check) >= 6
