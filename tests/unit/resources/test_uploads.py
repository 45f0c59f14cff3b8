"""Uploaded disks in a house with real files: what the loop makes of them, and what is left when it cannot."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from poolwright.commands import disk_access
from poolwright.commands.disk_access import Granted
from poolwright.domain.clock import SECOND
from poolwright.domain.compute import DiskSpec, disk_state
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource_id import DISKS
from poolwright.domain.states import ResourceState
from poolwright.images.vhd import fixed_footer
from tests.unit.resources.house import House, at, open_house

SIZE = 20 * 1024**2
FOOTER = fixed_footer(SIZE, UUID(int=1), 0)
ID = at(DISKS, "disk")


async def opened(house: House) -> Granted:
    await house.group()
    await house.disk("disk", DiskSpec("Upload", upload_bytes=SIZE + 512))
    await house.settle()
    return await house.write(lambda tx, ctx: disk_access.grant(tx, ctx, ID, "Write", 60))


async def test_what_was_uploaded_becomes_the_disk(tmp_path: Path) -> None:
    house = open_house(tmp_path, "raw")
    try:
        granted = await opened(house)
        house.images.write(granted.file, 4096, b"kept")
        house.images.write(granted.file, SIZE, FOOTER)
        ended = await house.write(lambda tx, ctx: disk_access.revoke(tx, ctx, ID))
        await house.rebuild()  # a restart in between
        await house.settle()
        assert (await house.operation(ended)).status == "Succeeded"
        state = disk_state((await house.get(DISKS, "disk")).inner)
        assert (state.size_bytes, state.upload_bytes, state.access) == (SIZE, 0, None)
        assert house.images.read(state.recipe.name, 4096, 5) == b"kept\0"
        assert [info.name for info in house.images.list()] == [state.recipe.name]
        assert await house.loop.collect() == []
    finally:
        await house.close()


async def test_a_damaged_upload_fails_and_leaves_nothing(tmp_path: Path) -> None:
    house = open_house(tmp_path, "raw")
    try:
        granted = await opened(house)
        house.images.write(granted.file, SIZE, FOOTER[:-1] + b"\1")
        house.images.write(granted.file, SIZE + 80, b"\xff")
        ended = await house.write(lambda tx, ctx: disk_access.revoke(tx, ctx, ID))
        await house.settle()
        operation = await house.operation(ended)
        assert operation.error is not None
        assert "its footer has a wrong checksum" in operation.error[1]
        assert (await house.get(DISKS, "disk")).state is ResourceState.FAILED
        assert house.images.list() == ()
    finally:
        await house.close()


async def test_access_ends_by_itself(tmp_path: Path) -> None:
    house = open_house(tmp_path)
    try:
        granted = await opened(house)
        until = granted.access.until
        for now, there in ((until - SECOND, True), (until, False)):
            found = await house.store.read(lambda tx, at=now: disk_access.granted(tx, ID.key, at))  # type: ignore[misc]
            assert (found is not None) is there
        assert granted.access.secret not in repr(granted.state)
        await house.disk("empty", DiskSpec("Empty", size_gib=1))
        await house.settle()
        with pytest.raises(ManagementError, match="only a disk made with createOption Upload"):
            await house.write(lambda tx, ctx: disk_access.grant(tx, ctx, at(DISKS, "empty"), "Write", 60))
    finally:
        await house.close()
