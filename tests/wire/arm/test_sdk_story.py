"""The management story through the official clients, as users have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import EnvironmentCredential
from azure.mgmt.batch import BatchManagementClient
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient
from azure.mgmt.storage import StorageManagementClient

from poolwright.domain.resource_id import IMAGES
from poolwright.images.fake import FakeImagePlane
from tests.unit.identity.parts import TENANT
from tests.unit.resources.house import SUBSCRIPTION, at
from tests.unit.resources.pools import pool_of
from tests.wire.arm.conftest import LiveArm

GROUP = "Studio"
DEBIAN = {"publisher": "debian", "offer": "debian-12", "sku": "12", "version": "latest"}


@dataclass(slots=True)
class Clients:
    live: LiveArm
    # Loosely typed: the clients' signatures do not admit the plain dictionaries they accept.
    compute: Any
    batch: Any
    resource: Any
    subscription: Any
    storage: Any


@pytest.fixture
def clients(trusted: LiveArm) -> Iterator[Clients]:
    credential = EnvironmentCredential()
    options: dict[str, Any] = {
        "base_url": trusted.url,
        "credential_scopes": [f"{trusted.url}/.default"],
        "polling_interval": 1,
    }
    made = Clients(
        trusted,
        ComputeManagementClient(credential, SUBSCRIPTION, **options),
        BatchManagementClient(credential, SUBSCRIPTION, **options),
        ResourceManagementClient(credential, SUBSCRIPTION, **options),
        SubscriptionClient(credential, **options),
        StorageManagementClient(credential, SUBSCRIPTION, **options),
    )
    yield made
    for client in (made.compute, made.batch, made.resource, made.subscription, made.storage):
        client.close()
    credential.close()


def code_of(error: HttpResponseError) -> str | None:
    return error.error.code if error.error is not None else None


def machine(**more: Any) -> dict[str, Any]:
    return {
        "location": "local",
        "tags": {"made": "by a test"},
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D2s_v3"},
            "storageProfile": {
                "imageReference": dict(DEBIAN),
                "osDisk": {
                    "name": "system",
                    "createOption": "FromImage",
                    "managedDisk": {"storageAccountType": "Premium_LRS"},
                },
                "dataDisks": [{"lun": 3, "name": "scratch", "createOption": "Empty", "diskSizeGB": 2}],
            },
            "osProfile": {
                "computerName": "builder",
                "adminUsername": "tester",
                "adminPassword": "Sup3r-Secret-Password",
            },
            "networkProfile": {"networkInterfaces": [{"id": "/subscriptions/x/networkInterfaces/nic"}]},
            **more,
        },
    }


def test_the_whole_story(clients: Clients) -> None:
    """Group, machine, script, stop, snapshots, image, guard rails, and nothing left."""
    make_group(clients)
    machine_id = make_machine(clients)
    run_script(clients)
    stop_and_generalize(clients)
    image_id = make_image(clients, machine_id)
    delete_image(clients, image_id)
    delete_group(clients)


def make_group(clients: Clients) -> None:
    resource = clients.resource
    assert not resource.resource_groups.check_existence(GROUP)
    group = resource.resource_groups.create_or_update(GROUP, {"location": "Local", "tags": {"a": "b"}})
    assert (group.name, group.location, group.properties.provisioning_state) == (GROUP, "local", "Succeeded")
    assert resource.resource_groups.check_existence(GROUP.upper())


def make_machine(clients: Clients) -> str:
    compute = clients.compute
    made = compute.virtual_machines.begin_create_or_update(GROUP, "builder", machine()).result()
    assert made.provisioning_state == "Succeeded"
    assert made.os_profile.admin_password is None
    assert made.storage_profile.image_reference.publisher == "debian"
    assert made.storage_profile.os_disk.managed_disk.storage_account_type == "Premium_LRS"
    assert made.storage_profile.data_disks[0].lun == 3
    assert made.network_profile.network_interfaces[0].id.endswith("nic")
    assert b"Sup3r" not in everything_stored(clients.live)
    again = compute.virtual_machines.begin_create_or_update(GROUP, "builder", made).result()
    assert (again.vm_id, again.provisioning_state) == (made.vm_id, "Succeeded"), "an answer may be sent back"

    view = compute.virtual_machines.get("STUDIO", "BUILDER", expand="instanceView").instance_view
    assert [status.code for status in view.statuses] == ["ProvisioningState/succeeded", "PowerState/running"]
    return str(made.id)


def run_script(clients: Clients) -> None:
    compute = clients.compute
    done = compute.virtual_machines.begin_run_command(
        GROUP,
        "builder",
        {
            "commandId": "RunShellScript",
            "script": ["echo hello"],
            "parameters": [{"name": "SCENE", "value": "a b'c"}],
        },
    ).result()
    assert done.value[0].code == "ProvisioningState/succeeded"
    assert done.value[0].message == "Enable succeeded: \n[stdout]\nhello\n\n[stderr]\n"
    assert clients.live.commander.ran[-1][1] == ("""export SCENE='a b'"'"'c'""", "echo hello")


def stop_and_generalize(clients: Clients) -> None:
    compute = clients.compute
    with pytest.raises(HttpResponseError) as refused:
        compute.virtual_machines.generalize(GROUP, "builder")
    assert (refused.value.status_code, code_of(refused.value)) == (409, "OperationNotAllowed")
    compute.virtual_machines.begin_deallocate(GROUP, "builder").result()
    compute.virtual_machines.generalize(GROUP, "builder")
    view = compute.virtual_machines.instance_view(GROUP, "builder")
    assert [status.code for status in view.statuses][1:] == ["OSState/generalized", "PowerState/deallocated"]


def make_image(clients: Clients, machine_id: str) -> str:
    compute = clients.compute
    for name, disk in (("snap-os", "system"), ("snap-data", "scratch")):
        source = compute.disks.get(GROUP, disk)
        assert (source.disk_state, source.managed_by) == ("Attached", machine_id)
        snapshot = compute.snapshots.begin_create_or_update(
            GROUP,
            name,
            {
                "location": "local",
                "sku": {"name": "Standard_LRS"},
                "properties": {
                    "creationData": {"createOption": "Copy", "sourceResourceId": source.id.lower()}
                },
            },
        ).result()
        assert (snapshot.name, snapshot.provisioning_state) == (name, "Succeeded")
        assert snapshot.disk_size_bytes == source.disk_size_bytes

    image = compute.images.begin_create_or_update(GROUP, "golden", image_body()).result()
    assert image.provisioning_state == "Succeeded"
    assert image.storage_profile.os_disk.disk_size_gb == 8
    assert [
        (disk.lun, disk.disk_size_gb, disk.storage_account_type) for disk in image.storage_profile.data_disks
    ] == [(5, 2, "StandardSSD_LRS")]
    return str(image.id)


def delete_image(clients: Clients, image_id: str) -> None:
    compute = clients.compute
    use_image(clients.live, image_id)
    with pytest.raises(HttpResponseError, match="render1/pool-1") as refused:
        compute.images.begin_delete(GROUP, "golden")
    assert refused.value.status_code == 409
    free_image(clients.live)
    compute.images.begin_delete(GROUP, "golden").result()
    with pytest.raises(ResourceNotFoundError):
        compute.images.get(GROUP, "golden")


def delete_group(clients: Clients) -> None:
    resource = clients.resource
    resource.resource_groups.begin_delete(GROUP).result()
    assert not resource.resource_groups.check_existence(GROUP)
    assert list(resource.resources.list()) == []
    assert clients.live.images.list() == ()
    assert clients.live.engine.stored == set()


def image_body() -> dict[str, Any]:
    prefix = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/providers/microsoft.compute/snapshots"
    return {
        "location": "local",
        "properties": {
            "hyperVGeneration": "V1",
            "storageProfile": {
                "osDisk": {
                    "osType": "Linux",
                    "osState": "Generalized",
                    "caching": "ReadWrite",
                    "snapshot": {"id": f"{prefix}/snap-os"},
                },
                "dataDisks": [
                    {
                        "lun": 5,
                        "snapshot": {"id": f"{prefix}/snap-data"},
                        "storageAccountType": "StandardSSD_LRS",
                    }
                ],
            },
        },
    }


def everything_stored(live: LiveArm) -> bytes:
    """All bytes of the store's files."""
    return b"".join(file.read_bytes() for file in (live.directory / "store").iterdir() if file.is_file())


def use_image(live: LiveArm, image_id: str) -> None:
    """A pool that was made from the image."""
    live.write(lambda tx: tx.pools.insert(pool_of(image_id)))


def free_image(live: LiveArm) -> None:
    live.write(lambda tx: tx.pools.delete("render1", "pool-1"))


def test_discovery(clients: Clients) -> None:
    assert [tenant.tenant_id for tenant in clients.subscription.tenants.list()] == [TENANT]
    (subscription,) = clients.subscription.subscriptions.list()
    assert (subscription.subscription_id, subscription.state) == (SUBSCRIPTION, "Enabled")
    assert clients.subscription.subscriptions.get(SUBSCRIPTION.upper()).id == subscription.id
    assert [place.name for place in clients.subscription.subscriptions.list_locations(SUBSCRIPTION)] == [
        "local"
    ]
    assert clients.resource.providers.get("microsoft.compute").registration_state == "Registered"
    assert clients.resource.providers.register("Microsoft.Batch").namespace == "Microsoft.Batch"
    assert len(list(clients.resource.providers.list())) == 4


def test_marketplace(clients: Clients) -> None:
    images = clients.compute.virtual_machine_images
    assert [entry.name for entry in images.list_publishers("local")] == ["debian"]
    assert [entry.name for entry in images.list_offers("local", "Debian")] == ["debian-12"]
    assert [entry.name for entry in images.list_skus("local", "debian", "debian-12")] == ["12"]
    versions = images.list("local", "debian", "debian-12", "12", top=1, orderby="name desc")
    assert [entry.name for entry in versions] == ["12.0.1"]
    one = images.get("local", "debian", "debian-12", "12", "12.0.1")
    assert one.os_disk_image.operating_system == "Linux"
    with pytest.raises(ResourceNotFoundError):
        images.list_offers("local", "nobody")
    sizes = {size.name: size for size in clients.compute.virtual_machine_sizes.list("local")}
    assert sizes["Standard_D2s_v3"].memory_in_mb == 8192
    assert any(sku.name == "Standard_D2s_v3" for sku in clients.compute.resource_skus.list())
    assert {usage.name.value for usage in clients.compute.usage.list("local")} >= {"virtualMachines"}


def test_batch_accounts(clients: Clients) -> None:
    clients.resource.resource_groups.create_or_update("accounts", {"location": "local"})
    batch = clients.batch
    made = batch.batch_account.begin_create(
        "accounts", "render2", {"location": "local", "tags": {"x": "y"}}
    ).result()
    assert made.account_endpoint == f"localhost:{clients.live.port}"
    assert (made.provisioning_state, made.pool_quota, made.pool_allocation_mode) == (
        "Succeeded",
        500,
        "BatchService",
    )
    before = batch.batch_account.get_keys("accounts", "render2")
    after = batch.batch_account.regenerate_key("accounts", "render2", {"keyName": "Secondary"})
    assert before.primary == after.primary
    assert before.secondary != after.secondary
    changed = batch.batch_account.update("accounts", "render2", {"tags": {"x": "z"}})
    assert changed.tags == {"x": "z"}
    assert [account.name for account in batch.batch_account.list()] == ["render2"]
    assert [account.name for account in batch.batch_account.list_by_resource_group("ACCOUNTS")] == ["render2"]
    assert batch.location.get_quotas("local").account_quota == 50
    asked = {"name": "render2", "type": "Microsoft.Batch/batchAccounts"}
    assert not batch.location.check_name_availability("local", asked).name_available
    with pytest.raises(HttpResponseError) as refused:
        batch.batch_account.begin_create("accounts", "Bad-Name", {"location": "local"})
    assert refused.value.status_code == 400
    batch.batch_account.begin_delete("accounts", "render2").result()
    assert clients.live.read(lambda tx: tx.accounts.get("render2")) is None
    batch.batch_account.begin_delete("accounts", "render2").result()  # 204
    with pytest.raises(ResourceNotFoundError):
        batch.batch_account.get("accounts", "render2")


def test_disks_by_themselves(clients: Clients) -> None:
    clients.resource.resource_groups.create_or_update("disks", {"location": "local"})
    disks = clients.compute.disks
    body = {"location": "local", "properties": {"creationData": {"createOption": "empty"}, "diskSizeGB": "3"}}
    made = disks.begin_create_or_update("disks", "one", body).result()
    assert (made.disk_size_gb, made.disk_state, made.creation_data.create_option) == (
        3,
        "Unattached",
        "empty",
    )
    copy = {"createOption": "Copy", "sourceResourceId": made.id}
    second = disks.begin_create_or_update(
        "disks", "two", {"location": "local", "properties": {"creationData": copy, "diskSizeGB": 4}}
    ).result()
    assert second.disk_size_bytes == 4 * 1024**3
    assert disks.begin_update("disks", "two", {"tags": {"k": "v"}}).result().tags == {"k": "v"}
    assert {disk.name for disk in disks.list_by_resource_group("disks")} == {"one", "two"}
    assert {disk.name for disk in disks.list()} >= {"one", "two"}
    found = clients.resource.resources.list_by_resource_group(
        "disks", filter="resourceType eq 'Microsoft.Compute/disks' and name eq 'two'"
    )
    assert [entry.name for entry in found] == ["two"]
    assert clients.resource.resources.check_existence_by_id(made.id, api_version="2025-01-02")
    for name in ("one", "two"):
        disks.begin_delete("disks", name).result()
    assert list(disks.list_by_resource_group("disks")) == []


def test_what_describes_a_disk_comes_back_and_may_be_sent_again(clients: Clients) -> None:
    clients.resource.resource_groups.create_or_update("described", {"location": "local"})
    disks = clients.compute.disks
    described = {
        "creationData": {"createOption": "Empty"},
        "diskSizeGB": 1,
        "purchasePlan": {"name": "n", "publisher": "p", "product": "q"},
        "supportedCapabilities": {"acceleratedNetwork": True, "architecture": "x64"},
        "networkAccessPolicy": "AllowAll",
        "maxShares": 1,
    }
    body = {"location": "local", "properties": described}
    made: Any = disks.begin_create_or_update("described", "one", body).result()
    assert (made.purchase_plan.name, made.max_shares, made.network_access_policy) == ("n", 1, "AllowAll")
    assert made.supported_capabilities.accelerated_network
    made.tags = {"seen": "twice"}
    again = disks.begin_create_or_update("described", "one", made).result()
    assert (again.tags, again.unique_id) == ({"seen": "twice"}, made.unique_id)
    clients.resource.resource_groups.begin_delete("described").result()


def test_a_failed_creation_tells_why_and_leaves_nothing(clients: Clients) -> None:
    from poolwright.images.base import BuildFailed

    live: LiveArm = clients.live
    plane: FakeImagePlane = live.images
    clients.resource.resource_groups.create_or_update("failing", {"location": "local"})
    plane.fail_next("ensure_base", BuildFailed("unpacking", "disk quota exceeded"))
    poller = clients.compute.virtual_machines.begin_create_or_update("failing", "builder", machine())
    with pytest.raises(HttpResponseError, match="unpacking failed") as failed:
        poller.result()
    assert code_of(failed.value) == "ImageBuildFailed"
    assert clients.compute.virtual_machines.get("failing", "builder").provisioning_state == "Failed"
    clients.resource.resource_groups.begin_delete("failing").result()
    assert plane.list() == ()


def test_conditions(clients: Clients) -> None:
    clients.resource.resource_groups.create_or_update("conditions", {"location": "local"})
    body = {"location": "local", "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}}
    clients.compute.disks.begin_create_or_update("conditions", "one", body).result()
    with pytest.raises((ResourceExistsError, HttpResponseError)) as refused:
        clients.compute.disks.begin_create_or_update(
            "conditions", "one", body, headers={"If-None-Match": "*"}
        )
    assert refused.value.status_code == 412
    clients.resource.resource_groups.begin_delete("conditions").result()


def test_ids_are_canonical(clients: Clients) -> None:
    clients.resource.resource_groups.create_or_update("Canon", {"location": "local"})
    body = {"location": "local", "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}}
    clients.compute.disks.begin_create_or_update("cANON", "MyDisk", body).result()
    found = clients.compute.disks.get("canon", "mydisk")
    assert found.id == at(IMAGES, "MyDisk", "Canon").text.replace("images", "disks")
    clients.resource.resource_groups.begin_delete("CANON").result()
