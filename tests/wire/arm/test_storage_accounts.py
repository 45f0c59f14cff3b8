"""Storage accounts through the official management client, and batch accounts that are linked to them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient

from poolwright.commands import applications
from poolwright.domain.storage_account import ExternalStorage
from tests.support.storage import ACCOUNT as AZURITE
from tests.support.storage import KEY, Storage
from tests.wire.arm.test_sdk_story import GROUP, Clients, clients, code_of

__all__ = ["clients"]
LOCATION = {"location": "local"}
NEW = {"location": "local", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}


def archive(content: bytes = b"x") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("tool", content)
    return data.getvalue()


def refusal(call: Callable[..., Any], *arguments: Any) -> tuple[int | None, str | None]:
    with pytest.raises(HttpResponseError) as refused:
        call(*arguments)
    return refused.value.status_code, code_of(refused.value)


@pytest.fixture
def desk(clients: Clients) -> Any:
    clients.resource.resource_groups.create_or_update(GROUP, LOCATION)
    return clients.storage.storage_accounts


def made(desk: Any, name: str, **more: Any) -> Any:
    return desk.begin_create(GROUP, name, {**NEW, **more}).result()


def test_an_account_from_its_name_to_its_end(desk: Any, clients: Clients) -> None:
    def free(name: str) -> tuple[bool, str | None]:
        told = desk.check_name_availability({"name": name, "type": "Microsoft.Storage/storageAccounts"})
        return told.name_available, told.reason

    assert free("first") == (True, None)
    assert free("No-Name") == (False, "AccountNameInvalid")
    assert free("metrics") == (False, "AlreadyExists"), "a first segment of this service's own"
    account = made(desk, "first", tags={"a": "b"})
    assert (account.name, account.kind, account.sku.name, account.sku.tier) == (
        "first",
        "StorageV2",
        "Standard_LRS",
        "Standard",
    )
    assert account.primary_endpoints.blob == f"{clients.live.url}/first/"
    assert (account.primary_endpoints.queue, account.encryption) == (None, None), (
        "there is nothing of the sort"
    )
    assert (account.provisioning_state, account.allow_blob_public_access) == ("Succeeded", False)
    assert free("first") == (False, "AlreadyExists")
    assert [one.name for one in desk.list_by_resource_group(GROUP)] == ["first"]
    assert "first" in [one.name for one in desk.list()]
    assert "first" in [one.name for one in clients.resource.resources.list()]
    assert desk.update(GROUP, "first", {"tags": {"c": "d"}}).tags == {"c": "d"}
    assert refusal(desk.update, GROUP, "first", {"sku": {"name": "Premium_LRS"}}) == (400, "InvalidParameter")

    before = {key.key_name: key.value for key in desk.list_keys(GROUP, "first").keys_property}
    assert set(before) == {"key1", "key2"}
    changed = desk.regenerate_key(GROUP, "first", {"keyName": "key1"})
    after = {key.key_name: key.value for key in changed.keys_property}
    assert after["key1"] != before["key1"]
    assert after["key2"] == before["key2"]
    assert refusal(desk.regenerate_key, GROUP, "first", {"keyName": "kerb1"}) == (400, "InvalidParameter")
    shown = str(desk.get_properties(GROUP, "first").as_dict())
    assert after["key1"] not in shown

    desk.delete(GROUP, "first")
    desk.delete(GROUP, "first")
    with pytest.raises(ResourceNotFoundError):
        desk.get_properties(GROUP, "first")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kind": "FileStorage"}, "kind"),
        ({"sku": {"name": "Golden"}}, "sku.name"),
        ({"identity": {"type": "SystemAssigned"}}, "identity.type"),
        ({"zones": ["1"]}, "zones"),
        ({"properties": {"isHnsEnabled": True}}, "properties.isHnsEnabled"),
        ({"properties": {"allowBlobPublicAccess": True}}, "properties.allowBlobPublicAccess"),
        ({"properties": {"accessTier": "Cool"}}, "properties.accessTier"),
        ({"properties": {"supportsHttpsTrafficOnly": False}}, "properties.supportsHttpsTrafficOnly"),
        ({"properties": {"networkAcls": {"defaultAction": "Deny"}}}, "properties.networkAcls.defaultAction"),
        ({"properties": {"encryption": {"keySource": "Microsoft.Keyvault"}}}, "properties.encryption"),
        ({"properties": {"customDomain": {"name": "x"}}}, "properties.customDomain"),
        ({"properties": {"keyPolicy": {"keyExpirationPeriodInDays": 5}}}, "properties.keyPolicy"),
    ],
)
def test_what_is_not_in_force_is_refused_by_name(desk: Any, change: dict[str, Any], named: str) -> None:
    with pytest.raises(HttpResponseError) as refused:
        made(desk, "second", **change)
    assert refused.value.status_code == 400
    assert named in str(refused.value)
    with pytest.raises(ResourceNotFoundError):
        desk.get_properties(GROUP, "second")


def test_names_are_one_namespace(desk: Any, clients: Clients) -> None:
    made(desk, "third")
    clients.resource.resource_groups.create_or_update("other", LOCATION)
    assert refusal(desk.begin_create, "other", "third", NEW) == (409, "StorageAccountAlreadyTaken")
    assert refusal(desk.begin_create, GROUP, "adfs", NEW) == (409, "StorageAccountAlreadyTaken")
    assert refusal(desk.begin_create, GROUP, "ab", NEW) == (400, "AccountNameInvalid")
    made(desk, "third", tags={"again": "yes"})
    clients.resource.resource_groups.begin_delete("other").result()
    desk.delete(GROUP, "third")


def test_a_batch_account_is_linked_and_its_packages_lie_there(desk: Any, clients: Clients) -> None:
    store = made(desk, "linked")
    accounts, package = clients.batch.batch_account, clients.batch.application_package
    with_link = {"location": "local", "properties": {"autoStorage": {"storageAccountId": store.id}}}
    account = accounts.begin_create(GROUP, "farm", with_link).result()
    link = account.auto_storage
    assert (link.storage_account_id, link.authentication_mode) == (store.id, "StorageKeys")
    first_sync = link.last_key_sync
    assert first_sync is not None
    bad = {"properties": {"autoStorage": {"storageAccountId": f"{store.id}x"}}}
    assert refusal(accounts.update, GROUP, "farm", bad) == (404, "ResourceNotFound")
    bad = {"properties": {"autoStorage": {"storageAccountId": account.id}}}
    assert refusal(accounts.update, GROUP, "farm", bad) == (400, "InvalidParameter")
    managed = {"storageAccountId": store.id, "authenticationMode": "BatchAccountManagedIdentity"}
    bad = {"properties": {"autoStorage": managed}}
    assert refusal(accounts.update, GROUP, "farm", bad) == (400, "InvalidParameter")

    clients.batch.application.create(GROUP, "farm", "Render_Tool", {})
    there = (GROUP, "farm", "render_tool", "1.0")
    pending = package.create(*there, {})
    assert pending.storage_url.startswith(f"{clients.live.url}/linked/app-render-tool-")
    assert refusal(package.activate, *there, {"format": "zip"}) == (409, "ApplicationPackageBlobNotFound")
    data = archive()
    with BlobClient.from_blob_url(pending.storage_url) as blob:
        blob.upload_blob(data)
        where = (blob.container_name, blob.blob_name)
    assert package.activate(*there, {"format": "zip"}).state == "Active"
    kept = clients.live.read(lambda tx: applications.get_package(tx, "farm", "render_tool", "1.0"))
    assert (clients.live.directory / "packages" / "content" / str(kept.digest)).read_bytes() == data

    # The copy of the key that the link has is good until the key changes, and again once keys are synchronized.
    desk.regenerate_key(GROUP, "linked", {"keyName": "key1"})
    with BlobClient.from_blob_url(package.get(*there).storage_url) as blob, pytest.raises(HttpResponseError):
        blob.get_blob_properties()
    accounts.synchronize_auto_storage_keys(GROUP, "farm")
    assert accounts.get(GROUP, "farm").auto_storage.last_key_sync > first_sync
    with BlobClient.from_blob_url(package.get(*there).storage_url) as blob:
        assert blob.get_blob_properties().size == len(data)
    package.delete(*there)
    key = desk.list_keys(GROUP, "linked").keys_property[0].value
    service = BlobServiceClient(f"{clients.live.url}/linked", {"account_name": "linked", "account_key": key})
    with service, pytest.raises(ResourceNotFoundError):
        service.get_blob_client(*where).get_blob_properties()

    accounts.begin_create(GROUP, "farm", LOCATION).result()
    assert accounts.get(GROUP, "farm").auto_storage is None
    assert refusal(accounts.synchronize_auto_storage_keys, GROUP, "farm") == (
        409,
        "AutoStorageAccountNotConfigured",
    )
    accounts.update(GROUP, "farm", {"properties": {"autoStorage": {"storageAccountId": store.id}}})
    package.create(*there, {})
    desk.delete(GROUP, "linked")
    assert refusal(accounts.synchronize_auto_storage_keys, GROUP, "farm") == (
        409,
        "AutoStorageAccountNotFound",
    )
    assert refusal(package.activate, *there, {"format": "zip"}) == (409, "AutoStorageAccountNotFound")
    assert package.get(*there).storage_url is None
    clients.batch.batch_account.begin_delete(GROUP, "farm").result()


def test_a_null_takes_the_link_of_a_batch_account_away(desk: Any, clients: Clients) -> None:
    store = made(desk, "merged")
    accounts = clients.batch.batch_account
    with_link = {"location": "local", "properties": {"autoStorage": {"storageAccountId": store.id}}}
    accounts.begin_create(GROUP, "merge", with_link).result()
    others: tuple[Any, ...] = (
        {"tags": {"a": "b"}},
        {"properties": {}},
        {"properties": {"publicNetworkAccess": "Enabled"}},
    )
    for silent in others:
        assert accounts.update(GROUP, "merge", silent).auto_storage.storage_account_id == store.id
    null: Any = {"properties": {"autoStorage": None}}
    assert accounts.update(GROUP, "merge", null).auto_storage is None
    assert accounts.get(GROUP, "merge").auto_storage is None
    assert accounts.update(GROUP, "merge", null).auto_storage is None, "nothing to take away is no mistake"
    accounts.begin_delete(GROUP, "merge").result()
    desk.delete(GROUP, "merged")


def test_storage_of_the_operator_stands_behind_an_account(
    desk: Any, clients: Clients, storage: Storage
) -> None:
    clients.live.know(ExternalStorage(AZURITE, KEY, storage.url))
    account = made(desk, AZURITE)
    assert account.primary_endpoints.blob == f"{storage.url}/"
    keys = desk.list_keys(GROUP, AZURITE).keys_property
    assert [(key.key_name, key.value) for key in keys] == [("key1", KEY)]
    assert refusal(desk.regenerate_key, GROUP, AZURITE, {"keyName": "key1"}) == (409, "KeysNotManagedHere")
    accounts, package = clients.batch.batch_account, clients.batch.application_package
    link = {"location": "local", "properties": {"autoStorage": {"storageAccountId": account.id}}}
    accounts.begin_create(GROUP, "outside", link).result()
    clients.batch.application.create(GROUP, "outside", "tool", {})
    there = (GROUP, "outside", "tool", "2")
    pending = package.create(*there, {})
    assert pending.storage_url.startswith(storage.url)
    data = archive(b"y" * 9_000_000)
    with BlobClient.from_blob_url(pending.storage_url) as blob:
        blob.upload_blob(data)
        where = blob.container_name
    assert package.activate(*there, {"format": "zip"}).state == "Active"
    kept = clients.live.read(lambda tx: applications.get_package(tx, "outside", "tool", "2"))
    assert (clients.live.directory / "packages" / "content" / str(kept.digest)).read_bytes() == data
    assert len(storage.blobs(where)) == 1
    package.delete(*there)
    assert storage.blobs(where) == {}
    clients.batch.batch_account.begin_delete(GROUP, "outside").result()
    desk.delete(GROUP, AZURITE)
