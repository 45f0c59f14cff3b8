"""Images from snapshots (way A) and from a generalized machine (way B), both with their data disk; a gallery of both;
what protects an image, and what becomes of pools whose image was taken away. Way C is test_imported_images.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError

from demo.machine import POLL, newest_base_image
from tests.e2e.service.live import Live

GROUP = "ways"
SAY = "cat /mnt/disks/lun3/data /srv/words"


class Workshop:
    """A machine with a data disk, stopped, and what is made of it."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.compute: Any = live.clients.compute  # its signatures do not admit the dictionaries it accepts
        live.clients.resources.resource_groups.create_or_update(GROUP, {"location": "local"})
        reference = newest_base_image(live.clients, "local")
        data = {"lun": 3, "name": "data", "createOption": "Empty", "diskSizeGB": 1}
        profile = {
            "imageReference": reference.as_dict(),
            "osDisk": {"name": "os", "createOption": "FromImage"},
            "dataDisks": [data | {"managedDisk": {"storageAccountType": "Premium_LRS"}}],
        }
        body: dict[str, Any] = {
            "location": "local",
            "properties": {
                "hardwareProfile": {"vmSize": "Standard_D2s_v3"},
                "storageProfile": profile,
                "osProfile": {"computerName": "source", "adminUsername": "builder"},
            },
        }
        machines: Any = self.compute.virtual_machines
        self.machine = machines.begin_create_or_update(GROUP, "source", body, **POLL).result().id
        script = ["echo reference > /mnt/disks/lun3/data", "echo prepared > /srv/words"]
        command: Any = {"commandId": "RunShellScript", "script": script}
        machines.begin_run_command(GROUP, "source", command, **POLL).result()
        machines.begin_deallocate(GROUP, "source", **POLL).result()

    def snapshot(self, disk: str) -> str:
        creation = {"createOption": "Copy", "sourceResourceId": self.compute.disks.get(GROUP, disk).id}
        body = {"location": "local", "properties": {"creationData": creation}}
        made = self.compute.snapshots.begin_create_or_update(GROUP, f"{disk}-frozen", body, **POLL)
        return str(made.result().id)

    def image(self, name: str, properties: dict[str, Any]) -> Any:
        body = {"location": "local", "properties": properties}
        return self.compute.images.begin_create_or_update(GROUP, name, body, **POLL).result()

    def version(self, number: str, storage: dict[str, Any]) -> Any:
        body = {"location": "local", "properties": {"storageProfile": storage}}
        versions = self.compute.gallery_image_versions
        return versions.begin_create_or_update(GROUP, "shelf", "film", number, body, **POLL).result()

    def gallery(self) -> str:
        self.compute.galleries.begin_create_or_update(GROUP, "shelf", {"location": "local"}, **POLL).result()
        identifier = {"publisher": "p", "offer": "o", "sku": "s"}
        about = {"osType": "Linux", "osState": "Generalized", "identifier": identifier}
        body = {"location": "local", "properties": about}
        made = self.compute.gallery_images.begin_create_or_update(GROUP, "shelf", "film", body, **POLL)
        return str(made.result().id)

    def pool(self, id: str, image: str, sku: str) -> None:
        machine = batch.VirtualMachineConfiguration(
            image_reference=batch.BatchVmImageReference(virtual_machine_image_id=image),
            node_agent_sku_id=sku,
        )
        self.live.batch.create_pool(
            batch.BatchPoolCreateOptions(
                id=id,
                vm_size="standard_d2s_v3",
                virtual_machine_configuration=machine,
                target_dedicated_nodes=1,
            )
        )

    def says(self, pool: str, task: str) -> str:
        self.live.task(task, SAY, job=pool)
        self.live.wait_task(task, "completed", job=pool)
        return self.live.output(task, job=pool)

    def version_of(self, pool: str) -> str | None:
        (node,) = list(self.live.batch.list_nodes(pool))
        image = node["virtualMachineInfo"]["imageReference"]
        return image.get("exactVersion") and str(image["exactVersion"])


def test_images_of_every_origin_serve_pools(live: Live) -> None:
    shop = Workshop(live)
    system, data = shop.snapshot("os"), shop.snapshot("data")
    os_disk = {"osType": "Linux", "osState": "Generalized", "snapshot": {"id": system}}
    frozen = shop.image(
        "frozen", {"storageProfile": {"osDisk": os_disk, "dataDisks": [{"lun": 3, "snapshot": {"id": data}}]}}
    )
    assert [disk.storage_account_type for disk in frozen.storage_profile.data_disks] == ["Standard_LRS"]
    shop.compute.virtual_machines.generalize(GROUP, "source")
    captured = shop.image("captured", {"sourceVirtualMachine": {"id": shop.machine}})
    assert [disk.storage_account_type for disk in captured.storage_profile.data_disks] == ["Premium_LRS"]
    with pytest.raises(HttpResponseError, match="generalized"):
        shop.compute.virtual_machines.begin_start(GROUP, "source")
    definition = shop.gallery()
    one = shop.version("1.0.0", {"source": {"id": captured.id}})

    sku = next(i for i in live.batch.list_supported_images() if i.verification_type == "verified")
    for pool, image in (("a", frozen.id), ("b", captured.id), ("pinned", one.id), ("latest", definition)):
        shop.pool(pool, image, str(sku.node_agent_sku_id))
        live.job(pool, pool)
    for pool in ("a", "b", "pinned", "latest"):
        live.wait_nodes(pool, {"idle": 1})
        assert shop.says(pool, "t") == "reference\nprepared\n"
    assert [shop.version_of(pool) for pool in ("a", "pinned", "latest")] == [None, "1.0.0", "1.0.0"]
    newer_versions_are_for_new_nodes(live, shop, system)
    images_are_protected(live, shop, str(frozen.id))
    the_operator_may_allow_another_agent(live, shop, str(one.id))


def newer_versions_are_for_new_nodes(live: Live, shop: Workshop, system: str) -> None:
    shop.version("1.1.0", {"osDiskImage": {"source": {"id": system}}})
    assert shop.version_of("latest") == "1.0.0"
    live.wait_steady("latest")
    live.batch.begin_resize_pool(
        "latest", batch.BatchPoolResizeOptions(target_dedicated_nodes=2), polling_interval=1
    ).result()
    live.wait_nodes("latest", {"idle": 2})
    found = [
        node["virtualMachineInfo"]["imageReference"]["exactVersion"]
        for node in live.batch.list_nodes("latest")
    ]
    assert sorted(found) == ["1.0.0", "1.1.0"]


def images_are_protected(live: Live, shop: Workshop, image: str) -> None:
    with pytest.raises(HttpResponseError) as used:
        shop.compute.images.begin_delete(GROUP, "frozen")
    assert used.value.error is not None
    told = [(detail.code, str(detail.target).rpartition("/")[2]) for detail in used.value.error.details]
    assert (used.value.status_code, told) == (409, [("PoolUsesImage", "a")])
    forced = {"params": {"forceDeletion": "true"}, **POLL}
    shop.compute.images.begin_delete(GROUP, "frozen", **forced).result()
    assert shop.says("a", "after") == "reference\nprepared\n", "what runs goes on"
    live.wait_steady("a")
    live.batch.begin_resize_pool(
        "a", batch.BatchPoolResizeOptions(target_dedicated_nodes=2), polling_interval=1
    ).result()
    (error,) = live.batch.get_pool("a")["resizeErrors"]
    values = {pair["name"]: pair["value"] for pair in error["values"]}
    assert error["code"] == "AllocationFailed"
    assert json.loads(values["ProviderErrorJson"])["image"] == image

    for pool in ("b", "a"):
        live.batch.begin_delete_pool(pool, polling_interval=1).result()
    shop.compute.images.begin_delete(GROUP, "captured", **POLL).result()


def the_operator_may_allow_another_agent(live: Live, shop: Workshop, image: str) -> None:
    with pytest.raises(HttpResponseError, match="InvalidPropertyValue"):
        shop.pool("foreign", image, "batch.node.opensuse 15.6")
    live.start_again("--allow-agent-mismatch")
    shop.pool("foreign", image, "batch.node.opensuse 15.6")
    live.job("foreign", "foreign")
    live.wait_nodes("foreign", {"idle": 1})
    assert shop.says("foreign", "t") == "reference\nprepared\n"
