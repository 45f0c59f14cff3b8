"""The first half of the story: a virtual machine is prepared, frozen, and becomes an image."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from azure.mgmt.compute import models as compute

from demo import scene
from demo.clients import Clients
from demo.display import Display, StepLog

GROUP = "studio"
VM = "render-template"
IMAGE = "render-image"
IMAGE_TWIN = "render-image-twin"
SIZE = "Standard_D2s_v3"
POLL: dict[str, Any] = {"polling_interval": 1}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the first half leaves for the second."""

    location: str
    image_id: str
    twin_id: str


class _Progress:
    """Shows what the operation's status says of the base image, and how long it was being built."""

    def __init__(self, log: StepLog) -> None:
        self._log = log
        self._first = self._last = 0.0

    def __call__(self, answer: Any) -> None:
        """Look at one answer of the poller."""
        answer.http_response.read()
        try:
            progress = answer.http_response.json()["properties"]["progress"]
        except (ValueError, KeyError, TypeError):
            return
        self._log.say(str(progress))
        self._last = time.monotonic()
        self._first = self._first or self._last

    def told(self) -> str:
        """One sentence for the table."""
        if self._last == self._first:
            return "base image: from the cache"
        return f"base image: built in {self._last - self._first:.0f} s, kept for next time"


def newest_base_image(clients: Clients, location: str) -> compute.ImageReference:
    """The marketplace image this host can build: the first publisher, offer and SKU listed, newest version."""
    images = clients.compute.virtual_machine_images
    publisher = images.list_publishers(location)[0].name
    offer = images.list_offers(location, publisher)[0].name
    sku = images.list_skus(location, publisher, offer)[0].name
    version = images.list(location, publisher, offer, sku, top=1, orderby="name desc")[0].name
    return compute.ImageReference(publisher=publisher, offer=offer, sku=sku, version=version)


def create_machine(display: Display, clients: Clients) -> str:
    """Steps 1 and 2: the base image (built once, cached) and the machine made from it."""
    subscription = next(iter(clients.subscriptions.subscriptions.list()))
    location = next(
        iter(clients.subscriptions.subscriptions.list_locations(subscription.subscription_id))
    ).name
    clients.resources.resource_groups.create_or_update(GROUP, {"location": location})
    reference = newest_base_image(clients, location)
    with display.step("Build the base image and create a virtual machine from it") as log:
        machine = compute.VirtualMachine(
            location=location,
            hardware_profile=compute.HardwareProfile(vm_size=SIZE),
            storage_profile=compute.StorageProfile(
                image_reference=reference,
                os_disk=compute.OSDisk(
                    name=f"{VM}-os",
                    create_option="FromImage",
                    managed_disk=compute.ManagedDiskParameters(storage_account_type="Premium_LRS"),
                ),
                data_disks=[
                    compute.DataDisk(
                        lun=0,
                        name=f"{VM}-data",
                        create_option="Empty",
                        disk_size_gb=2,
                        managed_disk=compute.ManagedDiskParameters(storage_account_type="Standard_LRS"),
                    )
                ],
            ),
            os_profile=compute.OSProfile(computer_name=VM, admin_username="builder"),
        )
        building = _Progress(log)
        poller = clients.compute.virtual_machines.begin_create_or_update(
            GROUP, VM, machine, raw_response_hook=building, **POLL
        )
        made = poller.result()
        log.expect(made.provisioning_state == "Succeeded", f"the machine is {made.provisioning_state}")
        log.note(building.told())
        log.note(f"{reference.publisher}/{reference.offer}/{reference.sku}/{reference.version}, {SIZE}")
        disks = sorted(disk.name for disk in clients.compute.disks.list_by_resource_group(GROUP))
        log.expect(disks == [f"{VM}-data", f"{VM}-os"], f"expected an OS disk and a data disk, found {disks}")
        log.note(f"managed disks: {', '.join(disks)}")
    return location


def _run(clients: Clients, log: StepLog, script: list[str]) -> str:
    request = compute.RunCommandInput(command_id="RunShellScript", script=script)
    result = clients.compute.virtual_machines.begin_run_command(GROUP, VM, request, **POLL).result()
    message = result.value[0].message
    log.expect("succeeded" in (result.value[0].code or ""), f"the script failed:\n{message}")
    return str(message)


def prepare_machine(display: Display, clients: Clients) -> None:
    """Step 3: software on the OS disk, reference data on the data disk."""
    with display.step("Install POV-Ray in the machine (run-command)") as log:
        log.say("apt-get install povray")
        output = _run(clients, log, scene.INSTALL)
        version = [line for line in output.splitlines() if "POV-Ray" in line]
        log.expect(bool(version), f"no POV-Ray version in the output:\n{output}")
        log.note(version[-1].strip())
    with display.step("Write the scene and its includes to the data disk") as log:
        output = _run(clients, log, scene.write_reference_data())
        log.expect("orbit.pov" in output, f"the scene is not on the data disk:\n{output}")
        log.note(f"3 files below {scene.DATA_DISK}/scene")


def freeze_machine(display: Display, clients: Clients, location: str) -> Prepared:
    """Step 4: deallocate, generalize, snapshot both disks, make a managed image from the two snapshots."""
    with display.step("Deallocate and generalize the machine") as log:
        clients.compute.virtual_machines.begin_deallocate(GROUP, VM, **POLL).result()
        clients.compute.virtual_machines.generalize(GROUP, VM)
        view = clients.compute.virtual_machines.instance_view(GROUP, VM)
        log.note(", ".join(status.code for status in view.statuses))
    with display.step("Snapshot both disks") as log:
        ids = {}
        for disk in clients.compute.disks.list_by_resource_group(GROUP):
            creation = compute.CreationData(create_option="Copy", source_resource_id=disk.id)
            wanted = compute.Snapshot(location=location, creation_data=creation)
            made = clients.compute.snapshots.begin_create_or_update(
                GROUP, f"{disk.name}-snap", wanted, **POLL
            ).result()
            log.expect(
                made.provisioning_state == "Succeeded", f"snapshot {made.name} is {made.provisioning_state}"
            )
            ids[disk.name] = made.id
            log.note(f"{made.name}: {made.disk_size_gb} GB")
    os_snapshot, data_snapshot = ids[f"{VM}-os"], ids[f"{VM}-data"]
    with display.step("Make a managed image from the two snapshots") as log:
        image = make_image(clients, location, IMAGE, os_snapshot, data_snapshot)
        twin = make_image(clients, location, IMAGE_TWIN, os_snapshot, data_snapshot)
        log.note(image.id)
        luns = [disk.lun for disk in image.storage_profile.data_disks]
        log.expect(luns == [0], f"the image should hold a data disk at LUN 0, it holds {luns}")
        log.note(
            "OS disk (Premium_LRS) and a data disk at LUN 0 (Standard_LRS); a twin from the same snapshots"
        )
    with display.step("Delete the machine (the image no longer needs it)") as log:
        clients.compute.virtual_machines.begin_delete(GROUP, VM, **POLL).result()
        log.note("its disks and snapshots stay until the end")
    return Prepared(location, image.id, twin.id)


def make_image(
    clients: Clients, location: str, name: str, os_snapshot: str, data_snapshot: str
) -> compute.Image:
    """A managed image from snapshots, with the disk types recorded."""
    wanted = compute.Image(
        location=location,
        hyper_v_generation="V2",
        storage_profile=compute.ImageStorageProfile(
            os_disk=compute.ImageOSDisk(
                os_type="Linux",
                os_state="Generalized",
                snapshot=compute.SubResource(id=os_snapshot),
                storage_account_type="Premium_LRS",
            ),
            data_disks=[
                compute.ImageDataDisk(
                    lun=0, snapshot=compute.SubResource(id=data_snapshot), storage_account_type="Standard_LRS"
                )
            ],
        ),
    )
    return clients.compute.images.begin_create_or_update(GROUP, name, wanted, **POLL).result()


def discard(display: Display, clients: Clients) -> None:
    """The end: images, snapshots, disks and the resource group go."""
    with display.step("Delete the images, snapshots, disks and the resource group") as log:
        for name in (IMAGE, IMAGE_TWIN):
            clients.compute.images.begin_delete(GROUP, name, **POLL).result()
        for snapshot in list(clients.compute.snapshots.list_by_resource_group(GROUP)):
            clients.compute.snapshots.begin_delete(GROUP, snapshot.name, **POLL).result()
        for disk in list(clients.compute.disks.list_by_resource_group(GROUP)):
            clients.compute.disks.begin_delete(GROUP, disk.name, **POLL).result()
        clients.resources.resource_groups.begin_delete(GROUP, **POLL).result()
        log.expect(
            not clients.resources.resource_groups.check_existence(GROUP), "the resource group is still there"
        )
