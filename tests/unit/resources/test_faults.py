"""Whatever fails in a plane: it passes, or the creation is undone and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.domain.compute import machine_state
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource_id import DISKS, MACHINES, SNAPSHOTS
from poolwright.domain.states import ResourceState
from poolwright.engines.base import EngineError, Machine, NoCapacity, Rejected, Transient
from poolwright.images.base import DiskBusy, ImagePlaneError, NoSpace
from poolwright.reconcile import resources as loop_module
from tests.unit.resources.house import House, at
from tests.unit.resources.settled import no_leftovers
from tests.unit.resources.test_story import prepared

FATAL_IMAGES = [
    ("ensure_base", NoSpace("building", Path("/x")), "InsufficientStorage"),
    ("clone", NoSpace("cloning", Path("/x")), "InsufficientStorage"),
    ("create_empty", NoSpace("making", Path("/x")), "InsufficientStorage"),
    ("format_empty", NoSpace("formatting", Path("/x")), "InsufficientStorage"),
]


@pytest.mark.parametrize(("op", "error", "code"), FATAL_IMAGES)
@pytest.mark.parametrize("after", [False, True])
async def test_a_machine_that_cannot_be_made_leaves_nothing(
    house: House, op: str, error: ImagePlaneError, code: str, after: bool
) -> None:
    house.images.fail_next(op, error, after=after)
    made = await house.machine()
    await house.settle()
    machine = await house.get(MACHINES, "builder")
    assert machine.state is ResourceState.FAILED
    assert machine.error is not None
    assert machine.error[0] == code
    assert (await house.operation(made)).error == machine.error
    await no_leftovers(house)
    assert house.images.list() == ()
    assert await house.find(DISKS, "system") is None
    # And it can be made again under the same name.
    await house.machine()
    await house.settle()
    assert (await house.get(MACHINES, "builder")).state is ResourceState.SUCCEEDED
    await no_leftovers(house)


@pytest.mark.parametrize("after", [False, True])
async def test_a_rejected_machine_leaves_nothing(house: House, after: bool) -> None:
    house.engine.fail_next("create", Rejected("the kernel lacks overlay"), after=after)
    await house.machine()
    await house.settle()
    machine = await house.get(MACHINES, "builder")
    assert machine.error == ("VMStartRejected", "the kernel lacks overlay")
    assert (house.engine.held, house.engine.stored) == ({}, set())
    await no_leftovers(house)


@pytest.mark.parametrize(
    "error",
    [Transient("no answer"), NoCapacity("full"), EngineError("odd")],
    ids=["transient", "full", "other"],
)
@pytest.mark.parametrize("op", ["create", "machines", "delete"])
@pytest.mark.parametrize("after", [False, True])
async def test_passing_faults_of_the_engine_pass(
    house: House, error: EngineError, op: str, after: bool
) -> None:
    await house.machine()
    house.engine.fail_next(op, error, after=after)
    await house.settle()
    await house.power("deallocate")
    await house.settle()
    assert machine_state((await house.get(MACHINES, "builder")).inner).power == "deallocated"
    await house.delete(MACHINES, "builder")
    await house.settle()
    assert await house.find(MACHINES, "builder") is None
    assert house.engine.stored == set()
    await no_leftovers(house)


async def test_a_busy_disk_is_tried_again(house: House) -> None:
    await prepared(house)
    house.images.fail_next("snapshot", DiskBusy("d-1", "being read"))
    await house.snapshot("snap-os", "system")
    await house.settle()
    assert (await house.get(SNAPSHOTS, "snap-os")).state is ResourceState.SUCCEEDED


async def test_an_engine_that_stays_full_is_given_up(house: House) -> None:
    for _ in range(loop_module._TRIES_MAX):
        house.engine.fail_next("create", NoCapacity("no memory left"))
    await house.machine()
    await house.settle()
    machine = await house.get(MACHINES, "builder")
    assert machine.error == ("AllocationFailed", "no memory left")
    await no_leftovers(house)


async def test_a_broken_machine_fails_its_creation(house: House) -> None:
    house.engine.born = "broken"
    await house.machine()
    await house.settle()
    machine = await house.get(MACHINES, "builder")
    assert machine.error is not None
    assert machine.error[0] == "VMStartFailed"
    assert house.engine.held == {}
    await no_leftovers(house)


async def test_an_image_whose_second_disk_fails_leaves_nothing(house: House) -> None:
    await prepared(house)
    await house.snapshot("snap-os", "system")
    await house.snapshot("snap-data", "scratch")
    await house.settle()
    snapshot = house.images.snapshot

    def second_fails(source: str, name: str) -> object:
        if name.endswith("lun7"):
            raise NoSpace("freezing", Path("/x"))
        return snapshot(source, name)

    house.images.snapshot = second_fails
    made = await house.image("golden", "snap-os", (7, "snap-data"))
    await house.settle()
    assert (await house.operation(made)).error is not None
    await no_leftovers(house)
    assert not [info.name for info in house.images.list() if info.name.startswith("i-")]


async def test_the_collector_removes_what_nobody_owns(house: House) -> None:
    await house.machine()
    await house.settle()
    house.images.create_empty("d-stray", 1024**2)
    house.engine.held["vm-stray"] = Machine("vm-stray", 1, "vm", "running")
    house.engine.held["tvm-1"] = Machine("tvm-1", 1, "node", "running")
    found = await house.loop.collect()
    assert len(found) == 2
    assert "d-stray" not in {info.name for info in house.images.list()}
    assert set(house.engine.held) == {house.engine.requests[0].name, "tvm-1"}  # nodes are not ours
    assert await house.loop.collect() == []


async def test_a_file_that_disappeared_is_told(house: House) -> None:
    await prepared(house)
    await house.snapshot("snap-os", "system")
    await house.settle()
    (row,) = await house.store.read(lambda tx: tx.resources.disks_of(at(SNAPSHOTS, "snap-os").key))
    house.images.delete(row.name)
    assert len(await house.loop.collect()) == 1
    lost = await house.get(SNAPSHOTS, "snap-os")
    assert lost.state is ResourceState.FAILED
    with pytest.raises(ManagementError, match="Failed"):
        await house.image("golden", "snap-os")
