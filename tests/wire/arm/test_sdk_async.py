"""The same story through the asynchronous clients, shorter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity.aio import EnvironmentCredential
from azure.mgmt.batch.aio import BatchManagementClient
from azure.mgmt.compute import models as typed_models
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient

from tests.unit.resources.house import SUBSCRIPTION
from tests.wire.arm.conftest import LiveArm
from tests.wire.arm.test_sdk_story import DEBIAN

GROUP = "Async"
# Loosely typed: the stubs know only the nested form of the flattened attributes that users write.
models: Any = typed_models


@pytest_asyncio.fixture
async def clients(trusted: LiveArm) -> AsyncIterator[tuple[Any, Any, Any]]:
    # aiohttp reads the trust variables once a process, when it is first imported: here they are given by hand.
    verify = str(trusted.tls.ca_file)
    options: dict[str, Any] = {
        "base_url": trusted.url,
        "credential_scopes": [f"{trusted.url}/.default"],
        "connection_verify": verify,
        "polling_interval": 1,
    }
    async with (
        EnvironmentCredential(connection_verify=verify) as credential,
        ComputeManagementClient(credential, SUBSCRIPTION, **options) as compute,
        BatchManagementClient(credential, SUBSCRIPTION, **options) as batch,
        ResourceManagementClient(credential, SUBSCRIPTION, **options) as resource,
    ):
        yield compute, batch, resource


async def test_machine_to_image(clients: tuple[Any, Any, Any]) -> None:
    compute, batch, resource = clients
    await resource.resource_groups.create_or_update(GROUP, {"location": "local"})
    body = {
        "location": "local",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B2s"},
            "storageProfile": {
                "imageReference": DEBIAN,
                "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"},
                "dataDisks": [{"lun": 0, "createOption": "Empty", "diskSizeGB": 1}],
            },
        },
    }
    machines = compute.virtual_machines
    made = await (await machines.begin_create_or_update(GROUP, "vm1", body)).result()
    assert made.storage_profile.os_disk.name.startswith("vm1_OsDisk_1_")
    ran = await (
        await machines.begin_run_command(GROUP, "vm1", {"commandId": "RunShellScript", "script": ["true"]})
    ).result()
    assert ran.value[0].level == "Info"
    await (await machines.begin_restart(GROUP, "vm1")).result()
    await (await machines.begin_power_off(GROUP, "vm1")).result()
    await (await machines.begin_start(GROUP, "vm1")).result()
    await (await machines.begin_deallocate(GROUP, "vm1")).result()
    await machines.generalize(GROUP, "vm1")
    image = await (
        await compute.images.begin_create_or_update(
            GROUP, "img", {"location": "local", "properties": {"sourceVirtualMachine": {"id": made.id}}}
        )
    ).result()
    assert [disk.lun for disk in image.storage_profile.data_disks] == [0]
    assert image.source_virtual_machine.id == made.id
    again = await (
        await compute.images.begin_create_or_update(
            GROUP,
            "img",
            {
                "location": "local",
                "tags": {"a": "b"},
                "properties": {"sourceVirtualMachine": {"id": made.id}},
            },
        )
    ).result()
    assert again.tags == {"a": "b"}
    await (await machines.begin_delete(GROUP, "vm1")).result()
    with pytest.raises(ResourceNotFoundError):
        await machines.get(GROUP, "vm1")
    await (await machines.begin_delete(GROUP, "vm1")).result()  # 204
    account = await (await batch.batch_account.begin_create(GROUP, "render3", {"location": "local"})).result()
    assert account.name == "render3"
    await (await resource.resource_groups.begin_delete(GROUP)).result()
    assert not await resource.resource_groups.check_existence(GROUP)


async def test_model_objects(clients: tuple[Any, Any, Any]) -> None:
    """As users write it: typed models with flattened attributes."""
    compute, _, resource = clients
    await resource.resource_groups.create_or_update("models", {"location": "local"})
    disk = models.Disk(
        location="local",
        sku=models.DiskSku(name="StandardSSD_LRS"),
        creation_data=models.CreationData(create_option=models.DiskCreateOption.EMPTY),
        disk_size_gb=1,
        tags={"a": "b"},
    )
    made = await (await compute.disks.begin_create_or_update("models", "typed", disk)).result()
    assert (made.sku.name, made.disk_size_gb, made.tags) == ("StandardSSD_LRS", 1, {"a": "b"})
    assert made.time_created.year >= 2025
    copy = models.CreationData(create_option=models.DiskCreateOption.COPY, source_resource_id=made.id)
    snapshot = models.Snapshot(location="local", creation_data=copy, incremental=True)
    frozen = await (await compute.snapshots.begin_create_or_update("models", "typed", snapshot)).result()
    assert (frozen.incremental, frozen.provisioning_state) == (True, "Succeeded")
    image = models.Image(
        location="local",
        hyper_v_generation=models.HyperVGenerationTypes.V1,
        storage_profile=models.ImageStorageProfile(
            os_disk=models.ImageOSDisk(
                os_type=models.OperatingSystemTypes.LINUX,
                os_state=models.OperatingSystemStateTypes.GENERALIZED,
                snapshot=models.SubResource(id=frozen.id),
            )
        ),
    )
    done = await (await compute.images.begin_create_or_update("models", "typed", image)).result()
    assert done.storage_profile.os_disk.snapshot.id == frozen.id
    await (await resource.resource_groups.begin_delete("models")).result()


async def test_errors_have_codes(clients: tuple[Any, Any, Any]) -> None:
    compute, _, _ = clients
    with pytest.raises(ResourceNotFoundError) as missing:
        await compute.disks.get("nowhere", "x")
    assert str(missing.value.error and missing.value.error.code) == "ResourceGroupNotFound"
    with pytest.raises(HttpResponseError) as refused:
        await compute.disks.begin_create_or_update("nowhere", "x", {"location": "local", "properties": {}})
    assert str(refused.value.error and refused.value.error.code) == "InvalidParameter"
