"""Applications and packages through the official clients: management for the rows, storage for the bytes."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobBlock, BlobClient

from poolwright.commands import applications
from poolwright.domain.limits import APPLICATIONS_MAX, PACKAGES_PER_APPLICATION_MAX
from tests.wire.arm.test_sdk_story import GROUP, Clients, clients, code_of

__all__ = ["clients"]
ACCOUNT = "packages"
LOCATION = {"location": "local"}


def archive(name: str = "tool", content: bytes = b"x") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr(name, content)
    return data.getvalue()


@pytest.fixture
def desk(clients: Clients) -> Any:
    clients.resource.resource_groups.create_or_update(GROUP, LOCATION)
    clients.batch.batch_account.begin_create(GROUP, ACCOUNT, LOCATION).result()
    return clients.batch


def refusal(call: Callable[..., Any], *arguments: Any) -> tuple[int | None, str | None]:
    with pytest.raises(HttpResponseError) as refused:
        call(*arguments)
    return refused.value.status_code, code_of(refused.value)


def upload(url: str, data: bytes, **more: Any) -> None:
    with BlobClient.from_blob_url(url, **more) as blob:
        blob.upload_blob(data)
        assert blob.download_blob().readall() == data
        with pytest.raises(ResourceExistsError):
            blob.upload_blob(data)
        blob.upload_blob(data, overwrite=True)


def test_a_package_from_nothing_to_active_and_gone(desk: Any) -> None:
    app, package = desk.application, desk.application_package
    made = app.create(GROUP, ACCOUNT, "Render", {"properties": {"displayName": "Farm"}})
    assert (made.name, made.display_name, made.allow_updates) == ("Render", "Farm", True)
    assert refusal(package.create, GROUP, ACCOUNT, "none", "1", {}) == (404, "ApplicationNotFound")
    assert refusal(package.get, GROUP, ACCOUNT, "render", "1") == (404, "ApplicationPackageNotFound")
    pending = package.create(GROUP, ACCOUNT, "render", "1.0", {})
    assert (pending.state, pending.format) == ("Pending", None)
    assert pending.storage_url_expiry is not None
    there = (GROUP, ACCOUNT, "render", "1.0")
    zip_ = {"format": "zip"}
    assert refusal(package.activate, *there, {"format": "tar"}) == (400, "InvalidParameter")
    assert refusal(package.activate, *there, zip_) == (409, "ApplicationPackageBlobNotFound")
    upload(pending.storage_url, b"not an archive")
    assert refusal(package.activate, *there, zip_) == (409, "ApplicationPackageFormatInvalid")
    with BlobClient.from_blob_url(pending.storage_url) as blob:
        blob.upload_blob(archive("../escape"), overwrite=True)
    assert refusal(package.activate, *there, zip_) == (409, "ApplicationPackageFormatInvalid")
    with BlobClient.from_blob_url(package.create(*there, {}).storage_url) as blob:
        blob.upload_blob(archive(), overwrite=True)
    active = package.activate(*there, zip_)
    assert (active.state, active.format) == ("Active", "zip")
    assert package.activate(*there, zip_).last_activation_time >= active.last_activation_time, (
        "a repeat is fine"
    )
    assert [one.name for one in package.list(GROUP, ACCOUNT, "render")] == ["1.0"]

    app.update(GROUP, ACCOUNT, "render", {"properties": {"defaultVersion": "1.0", "allowUpdates": False}})
    kept = app.get(GROUP, ACCOUNT, "render")
    assert (kept.display_name, kept.default_version, kept.allow_updates) == ("Farm", "1.0", False)
    assert refusal(package.create, *there, {}) == (409, "ApplicationPackageUpdateNotAllowed")
    bad = {"properties": {"defaultVersion": "9"}}
    assert refusal(app.update, GROUP, ACCOUNT, "render", bad) == (400, "InvalidParameter")
    assert refusal(package.delete, *there) == (409, "ApplicationPackageIsDefault")
    assert refusal(app.delete, GROUP, ACCOUNT, "render") == (409, "ApplicationHasPackages")
    app.update(GROUP, ACCOUNT, "render", {"properties": {"defaultVersion": None}})
    app.create(GROUP, ACCOUNT, "render", {"properties": {}})
    for _ in range(2):
        package.delete(*there)
    for _ in range(2):
        app.delete(GROUP, ACCOUNT, "render")
    assert list(app.list(GROUP, ACCOUNT)) == []


def test_an_upload_in_blocks_and_who_may_write_it(desk: Any, clients: Clients) -> None:
    desk.application.create(GROUP, ACCOUNT, "big", {})
    there = (GROUP, ACCOUNT, "big", "1")
    url = desk.application_package.create(*there, {}).storage_url
    data = archive(content=os.urandom(5_000_000))
    upload(url, data, max_single_put_size=1_000_000, max_block_size=1_500_000)
    with BlobClient.from_blob_url(url.replace("sp=rw", "sp=rwd")) as blob, pytest.raises(HttpResponseError):
        blob.get_blob_properties()
    with BlobClient.from_blob_url(url) as blob:
        assert blob.get_blob_properties().size == len(data)
        with pytest.raises(HttpResponseError, match="not uploaded"):
            blob.commit_block_list([BlobBlock("none")])
    assert desk.application_package.activate(*there, {"format": "zip"}).state == "Active"
    package = clients.live.read(lambda tx: applications.get_package(tx, ACCOUNT, "big", "1"))
    assert (clients.live.directory / "packages" / "content" / str(package.digest)).read_bytes() == data
    fresh = desk.application_package.create(*there, {}).storage_url
    with BlobClient.from_blob_url(url) as blob, pytest.raises(HttpResponseError):
        blob.upload_blob(data)  # the former address is no longer good
    with BlobClient.from_blob_url(fresh) as blob:
        blob.upload_blob(archive())


def test_names_and_numbers_are_limited(desk: Any) -> None:
    app = desk.application
    for name in ("a.b", "x" * 65):
        assert refusal(app.create, GROUP, ACCOUNT, name, {}) == (400, "InvalidParameter")
    room = APPLICATIONS_MAX - len(list(app.list(GROUP, ACCOUNT)))
    for number in range(room):
        app.create(GROUP, ACCOUNT, f"a{number}", {})
    create = desk.application_package.create
    for number in range(PACKAGES_PER_APPLICATION_MAX):
        create(GROUP, ACCOUNT, "a0", f"1.{number}", {})
    assert refusal(create, GROUP, ACCOUNT, "a0", "2.0", {}) == (409, "ApplicationPackageQuotaReached")
    assert refusal(app.create, GROUP, ACCOUNT, "more", {}) == (409, "ApplicationQuotaReached")
    assert refusal(desk.application_package.create, GROUP, ACCOUNT, "a0", "a b", {}) == (
        400,
        "InvalidParameter",
    )
