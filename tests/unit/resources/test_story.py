"""The whole life of an image, in commands and passes of the loop."""

from __future__ import annotations

import pytest

from poolwright.commands import vm_actions
from poolwright.domain.compute import disk_state, image_state, machine_state
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource_id import DISKS, IMAGES, MACHINES, SNAPSHOTS
from poolwright.domain.states import ResourceState
from tests.unit.resources.house import House, at

pytestmark = pytest.mark.parametrize("house", ["fake", "raw"], indirect=True)


async def prepared(house: House) -> None:
    """A machine that was set up, stopped and generalized."""
    await house.machine()
    await house.settle()
    await house.script("apt-get install povray")
    await house.settle()
    await house.power("deallocate")
    await house.settle()
    await house.write(lambda tx, ctx: vm_actions.generalize(tx, ctx, at(MACHINES, "builder")))


async def frozen(house: House) -> None:
    """An image of such a machine, from two snapshots."""
    await prepared(house)
    await house.snapshot("snap-os", "system")
    await house.snapshot("snap-data", "scratch")
    await house.settle()
    await house.image("golden", "snap-os", (7, "snap-data"))
    await house.settle()


async def test_a_machine_boots_on_its_own_disks(house: House) -> None:
    made = await house.machine()
    assert made.created
    assert (await house.operation(made)).status == "InProgress"
    await house.settle()
    machine = await house.get(MACHINES, "builder")
    state = machine_state(machine.inner)
    assert (machine.state, state.power, state.made) == (ResourceState.SUCCEEDED, "running", True)
    assert (await house.operation(made)).status == "Succeeded"
    (request,) = house.engine.requests
    assert request.kind == "vm"
    assert [(mount.lun, mount.writable_in_place) for mount in request.data_disks] == [(3, True)]
    assert (request.cores, request.memory_mib) == (2.0, 8192)
    for name, purpose in (("system", "os"), ("scratch", "data")):
        disk = await house.get(DISKS, name)
        inner = disk_state(disk.inner)
        assert inner.attached_to == machine.id
        (row,) = await house.store.read(lambda tx, key=disk.key: tx.resources.disks_of(key))  # type: ignore[misc]
        assert (row.purpose, row.state, row.name) == (purpose, "ready", inner.recipe.name)
        assert not house.images.get(row.name).frozen
    scratch = disk_state((await house.get(DISKS, "scratch")).inner)
    assert house.images.inspect(scratch.recipe.name).filesystem == "ext4"


async def test_a_machine_becomes_an_image(house: House) -> None:
    await frozen(house)
    assert house.engine.held == {}
    assert house.commander.ran == [(house.engine.requests[0].name, ("apt-get install povray",))]
    image = await house.get(IMAGES, "golden")
    state = image_state(image.inner)
    assert image.state is ResourceState.SUCCEEDED
    assert state.agent_sku == "batch.node.debian 12"
    assert state.os == {"id": "debian", "version": "12", "pretty": house.images.catalogue()[-1].pretty_name}
    assert [(disk.lun, disk.size) for disk in state.data_disks] == [(7, 1024**3)]
    assert state.digest is not None
    for name in (state.os_disk, state.data_disks[0].name):
        assert house.images.get(name).frozen
    parents = await house.store.read(lambda tx: tx.resources.parents(image.key))
    assert {(edge.kind, edge.parent) for edge in parents} == {
        ("image-of", at(SNAPSHOTS, "snap-os").key),
        ("image-of", at(SNAPSHOTS, "snap-data").key),
    }


async def test_the_same_contents_have_the_same_digest(house: House) -> None:
    await frozen(house)
    await house.image("twin", "snap-os", (7, "snap-data"))
    await house.image("other", "snap-os", (8, "snap-data"))
    await house.settle()
    digests = [
        image_state((await house.get(IMAGES, name)).inner).digest for name in ("golden", "twin", "other")
    ]
    assert digests[0] == digests[1] != digests[2]


async def test_a_machine_from_the_image_gets_its_data_disks(house: House) -> None:
    from poolwright.domain.compute import ImageChoice, MachineDiskSpec, MachineSpec

    await frozen(house)
    spec = MachineSpec(
        "Standard_D2s_v3", ImageChoice(at(IMAGES, "golden").text), MachineDiskSpec(None, "FromImage")
    )
    await house.machine("second", spec)
    await house.settle()
    state = machine_state((await house.get(MACHINES, "second")).inner)
    assert [disk.lun for disk in state.disks] == [None, 7]
    assert state.power == "running"


async def test_everything_goes_without_leftovers(house: House) -> None:
    await frozen(house)
    await house.delete(MACHINES, "builder")
    await house.settle()
    assert (await house.get(DISKS, "system")).state is ResourceState.SUCCEEDED  # deleteOption Detach
    for type, names in (
        (DISKS, ("system", "scratch")),
        (SNAPSHOTS, ("snap-os", "snap-data")),
        (IMAGES, ("golden",)),
    ):
        for name in names:
            await house.delete(type, name)
    await house.settle()
    assert house.images.list() == ()
    assert await house.store.read(lambda tx: tx.resources.all_disks()) == []
    assert await house.store.read(lambda tx: tx.resources.children(at(SNAPSHOTS, "snap-os").key)) == []
    assert house.engine.stored == set()


async def test_power_off_start_and_restart(house: House) -> None:
    await house.machine()
    await house.settle()
    name = house.engine.requests[0].name
    await house.power("powerOff")
    await house.settle()
    assert house.engine.held == {}
    assert name in house.engine.stored  # its temporary disk stays
    await house.power("start")
    await house.settle()
    await house.power("restart")
    await house.settle()
    assert [request.fence for request in house.engine.requests] == [1, 2, 3]
    assert machine_state((await house.get(MACHINES, "builder")).inner).power == "running"


async def test_a_lost_machine_is_booted_again(house: House) -> None:
    await house.machine()
    await house.settle()
    house.engine.lose(house.engine.requests[0].name)
    await house.settle()
    assert [request.fence for request in house.engine.requests] == [1, 2]


async def test_a_disk_of_a_running_machine_cannot_be_copied(house: House) -> None:
    await house.machine()
    await house.settle()
    with pytest.raises(ManagementError, match="Deallocate it first") as caught:
        await house.snapshot("too-early", "system")
    assert caught.value.status == 409


async def test_a_machine_does_not_start_while_its_disk_is_copied(house: House) -> None:
    await house.machine()
    await house.settle()
    await house.power("deallocate")
    await house.settle()
    await house.snapshot("snap-os", "system")
    with pytest.raises(ManagementError, match="is being made from"):
        await house.power("start")
    await house.settle()
    await house.power("start")
    await house.settle()


async def test_a_generalized_machine_never_starts(house: House) -> None:
    await prepared(house)
    with pytest.raises(ManagementError, match="has been generalized"):
        await house.power("start")


async def test_generalize_needs_a_stopped_machine(house: House) -> None:
    await house.machine()
    await house.settle()
    with pytest.raises(ManagementError) as caught:
        await house.write(lambda tx, ctx: vm_actions.generalize(tx, ctx, at(MACHINES, "builder")))
    assert caught.value.status == 409


async def test_delete_option_delete_takes_the_disk_along(house: House) -> None:
    from dataclasses import replace

    from tests.unit.resources.house import machine_spec

    spec = machine_spec()
    spec = replace(spec, os_disk=replace(spec.os_disk, delete_option="Delete"))
    await house.machine(spec=spec)
    await house.settle()
    await house.delete(MACHINES, "builder")
    await house.settle()
    assert await house.find(DISKS, "system") is None
    assert await house.find(DISKS, "scratch") is not None


async def test_an_attached_disk_cannot_be_deleted(house: House) -> None:
    await house.machine()
    await house.settle()
    with pytest.raises(ManagementError, match="is attached to VM"):
        await house.delete(DISKS, "system")
