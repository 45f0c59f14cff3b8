"""Rules of the loop beside the plain story: scripts, accounts, repeated requests, slow work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from poolwright.commands import batch_accounts, groups, images, jobs, schedules, vm_actions
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.auto_pool import AutoPoolRow
from poolwright.domain.compute import DiskSpec, ImageChoice, image_state, machine_state
from poolwright.domain.errors import ManagementError
from poolwright.domain.job import JobSpec
from poolwright.domain.job_schedule import ScheduleSpec, Timing
from poolwright.domain.resource_id import ACCOUNTS, DISKS, IMAGES, MACHINES, SNAPSHOTS, group_id
from poolwright.domain.states import JobState, PoolState, ResourceState
from poolwright.images.base import DiskBusy
from poolwright.wire.arm.operations import status as operation_status
from tests.support.waiting import wait_until_async
from tests.unit.resources.house import GROUP, KEYS, SUBSCRIPTION, House, at
from tests.unit.resources.pools import pool_of
from tests.unit.resources.settled import no_leftovers
from tests.unit.resources.test_story import frozen, prepared


async def test_deleting_a_machine_ends_its_script(house: House) -> None:
    house.commander.gate = asyncio.Event()
    await house.machine()
    await house.settle()
    asked = await house.script("sleep 1000")
    await house.loop.run_key(at(MACHINES, "builder").key)
    await house.delete(MACHINES, "builder")
    await house.settle()
    assert (await house.operation(asked)).status == "Canceled"


async def test_a_second_script_waits_its_turn(house: House) -> None:
    house.commander.gate = asyncio.Event()
    await house.machine()
    await house.settle()
    await house.script("one")
    with pytest.raises(ManagementError, match="in progress"):
        await house.script("two")


async def test_deallocating_ends_a_running_script(house: House) -> None:
    house.commander.gate = asyncio.Event()
    await house.machine()
    await house.settle()
    asked = await house.script("sleep 1000")
    await house.loop.run_key(at(MACHINES, "builder").key)
    await house.power("deallocate")
    await house.settle()
    ended = await house.operation(asked)
    assert (ended.status, ended.error and ended.error[0]) == ("Failed", "RunCommandOutcomeUnknown")
    assert len(house.commander.ran) == 1


async def test_an_account_goes_with_its_group(house: House) -> None:
    put = lambda tx, ctx: batch_accounts.put(tx, ctx, at(ACCOUNTS, "render1"), Outline("local"), KEYS)  # noqa: E731
    made: Accepted = await house.write(put)
    assert made.created
    await house.write(lambda tx, ctx: groups.delete(tx, ctx, SUBSCRIPTION, GROUP))
    await house.settle()
    assert await house.store.read(lambda tx: tx.accounts.get("render1")) is None
    assert await house.store.read(lambda tx: tx.resources.get(group_id(SUBSCRIPTION, GROUP).key)) is None


async def test_an_account_waits_for_its_pools_and_jobs(house: House) -> None:
    id = at(ACCOUNTS, "render1")
    await house.write(lambda tx, ctx: batch_accounts.put(tx, ctx, id, Outline("local"), KEYS))
    await house.store.write(lambda tx: tx.pools.insert(pool_of(at(IMAGES, "golden").text)))
    spec = JobSpec(pool="pool-1")
    await house.write(lambda tx, ctx: jobs.create(tx, ctx, "render1", "job-1", spec, b"{}"))
    owned = AutoPoolRow("render1", "pool-1", "job", "job-1", keep_alive=False, made_at=1)
    await house.store.write(lambda tx: tx.auto_pools.insert(owned))
    timed = ScheduleSpec(Timing(), spec, b"{}")
    await house.write(lambda tx, ctx: schedules.create(tx, ctx, "render1", "timed", timed, b"{}"))
    gone = await house.write(lambda tx, ctx: batch_accounts.delete(tx, ctx, id))
    assert gone is not None
    await house.loop.pass_all()
    assert (await house.operation(gone)).status == "InProgress"
    with pytest.raises(ManagementError, match="being deleted"):
        await house.write(lambda tx, ctx: batch_accounts.put(tx, ctx, id, Outline("local"), KEYS))
    pool = await house.store.read(lambda tx: tx.pools.get("render1", "pool-1"))
    job = await house.store.read(lambda tx: tx.jobs.get("render1", "job-1"))
    assert pool is not None
    assert job is not None
    assert (pool.state, job.state) == (PoolState.DELETING, JobState.DELETING)
    # What the loops of pools and jobs do in the end:
    await house.store.write(lambda tx: tx.jobs.delete("render1", "job-1"))
    await house.store.write(lambda tx: tx.pools.delete("render1", "pool-1"))
    await house.loop.pass_all()
    assert (await house.operation(gone)).status == "InProgress", "its schedule is there yet"
    await house.store.write(lambda tx: tx.schedules.delete("render1", "timed"))
    await house.settle()
    assert (await house.operation(gone)).status == "Succeeded"
    assert await house.find(ACCOUNTS, "render1") is None


async def test_a_forced_image_goes_although_pools_use_it(house: House) -> None:
    await frozen(house)
    await house.store.write(lambda tx: tx.pools.insert(pool_of(at(IMAGES, "golden").text)))
    with pytest.raises(ManagementError, match="render1/pool-1"):
        await house.delete(IMAGES, "golden")
    with pytest.raises(ManagementError, match="render1/pool-1"):
        await house.write(lambda tx, ctx: groups.delete(tx, ctx, SUBSCRIPTION, GROUP))
    inner = image_state((await house.get(IMAGES, "golden")).inner)
    with house.images.attached(inner.os_disk, writable=False):  # a node still runs from it
        await house.write(lambda tx, ctx: images.delete(tx, ctx, at(IMAGES, "golden"), force=True))
        await house.settle()
        assert await house.find(IMAGES, "golden") is None
        await house.loop.collect()
        assert [info.name for info in house.images.list() if info.name.startswith("i-")] == [inner.os_disk]
        # The name can be used again meanwhile.
        await house.image("golden", "snap-os")
        await house.settle()
        assert (await house.get(IMAGES, "golden")).state is ResourceState.SUCCEEDED
    await house.loop.collect()
    await no_leftovers(house)
    assert inner.os_disk not in {info.name for info in house.images.list()}


async def test_a_stopped_machine_keeps_its_name_when_generalized_twice(house: House) -> None:
    await prepared(house)
    again = await house.write(lambda tx, ctx: vm_actions.generalize(tx, ctx, at(MACHINES, "builder")))
    assert machine_state(again.inner).generalized


async def test_a_repeated_put_joins_the_creation_under_way(house: House) -> None:
    first = await house.machine()
    again = await house.machine()
    assert again.created
    assert again.operation == first.operation
    await house.settle()
    assert len(house.engine.requests) == 1
    stop = await house.power("deallocate")
    assert (await house.power("deallocate")).operation == stop.operation
    with pytest.raises(ManagementError, match="in progress"):
        await house.power("start")
    await house.settle()
    copy = await house.snapshot("snap-os", "system")
    assert (await house.snapshot("snap-os", "system")).operation == copy.operation
    await house.settle()
    await no_leftovers(house)


async def test_slow_image_work_holds_nobody_up(house: House) -> None:
    """A copy that takes minutes goes on beside its caller, is started once, and others are served meanwhile."""
    await prepared(house)
    gate = threading.Event()
    calls: list[str] = []
    snapshot = house.images.snapshot

    def slow(source: str, name: str) -> object:
        calls.append(name)
        assert gate.wait(20)
        return snapshot(source, name)

    house.images.snapshot = slow
    await house.snapshot("snap-os", "system")
    key = at(SNAPSHOTS, "snap-os").key
    await house.loop.run_key(key)
    await house.loop.run_key(key)
    await house.loop.pass_all()
    assert (await house.get(SNAPSHOTS, "snap-os")).state is ResourceState.CREATING
    assert len(calls) == 1
    await house.disk("other", DiskSpec("Empty", size_gib=1))
    await wait_until_async(lambda: served(house, DISKS, "other"), 10, "the other disk was not served")
    gate.set()
    await wait_until_async(lambda: served(house, SNAPSHOTS, "snap-os"), 10, "the snapshot was not served")
    assert len(calls) == 1


async def served(house: House, type: str, name: str) -> bool:
    await house.loop.run_key(at(type, name).key)
    return (await house.get(type, name)).state is ResourceState.SUCCEEDED


async def test_a_passing_fault_is_tried_again_unasked(house: House) -> None:
    await prepared(house)
    house.images.fail_next("snapshot", DiskBusy("d-1", "being read"))
    await house.snapshot("snap-os", "system")
    await house.loop.run_key(at(SNAPSHOTS, "snap-os").key)

    async def done() -> bool:
        return (await house.get(SNAPSHOTS, "snap-os")).state is ResourceState.SUCCEEDED

    await wait_until_async(done, 10, "the snapshot was not tried again")


async def test_the_machines_operation_tells_how_far_the_base_image_is(house: House) -> None:
    gate = threading.Event()
    ensure = house.images.ensure_base

    def slow(image: object, progress: Callable[[str, float], None]) -> object:
        progress("unpacking packages", 0.4)
        assert gate.wait(20)
        return ensure(image, progress)

    house.images.ensure_base = slow
    made = await house.machine()
    await house.loop.pass_all()

    async def told() -> bool:
        return (await house.operation(made)).result is not None

    await wait_until_async(told, 10, "no progress was written")
    answer = operation_status(await house.operation(made))
    assert (answer["percentComplete"], answer["properties"]) == (40.0, {"progress": "unpacking packages"})
    gate.set()
    await house.settle()
    assert "percentComplete" not in operation_status(await house.operation(made))


async def test_every_wait_says_why(house: House) -> None:
    await prepared(house)
    house.images.fail_next("snapshot", DiskBusy("d-1", "being read"))
    copy = await house.snapshot("snap-os", "system")
    await house.loop.run_key(at(SNAPSHOTS, "snap-os").key)
    told = operation_status(await house.operation(copy))["properties"]["progress"]
    assert told == "disk 'd-1' is in use: being read (try 1, again in 0.2 s)"
    await house.settle()
    gone = await house.write(lambda tx, ctx: groups.delete(tx, ctx, SUBSCRIPTION, GROUP))
    await house.loop.run_key(group_id(SUBSCRIPTION, GROUP).key)
    told = operation_status(await house.operation(gone))["properties"]["progress"]
    assert told == "4 resources of the group are still being deleted"
    await house.settle()
    assert "properties" not in operation_status(await house.operation(gone))


async def test_a_disk_from_a_marketplace_image_can_be_frozen(house: House) -> None:
    debian = house.images.catalogue()[-1].image
    choice = ImageChoice(None, debian.publisher, debian.offer, debian.sku, "latest")
    await house.disk("os", DiskSpec("FromImage", image=choice))
    await house.settle()
    await house.snapshot("os-snap", "os")
    await house.settle()
    await house.image("made", "os-snap")
    await house.settle()
    assert (await house.get(IMAGES, "made")).state is ResourceState.SUCCEEDED


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            DiskSpec("FromImage", image=ImageChoice(None, "be", "beos", "5")),
            "'be:beos:5:latest' is not available",
        ),
        (DiskSpec("FromImage"), "imageReference.id"),
    ],
)
async def test_disks_from_images_that_are_not_there(house: House, spec: DiskSpec, said: str) -> None:
    with pytest.raises(ManagementError, match=said):
        await house.disk("os", spec)


async def test_a_marketplace_image_has_no_data_disk(house: House) -> None:
    debian = house.images.catalogue()[-1].image
    choice = ImageChoice(None, debian.publisher, debian.offer, debian.sku, debian.version)
    with pytest.raises(ManagementError, match="OS disk only"):
        await house.disk("os", DiskSpec("FromImage", image=choice, image_lun=0))
    with pytest.raises(ManagementError, match="diskSizeGB"):
        await house.disk("os", DiskSpec("FromImage", image=choice, size_gib=1))
