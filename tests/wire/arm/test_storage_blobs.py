"""This service's own blob storage through the official storage client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    AccountSasPermissions,
    BlobBlock,
    BlobSasPermissions,
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    ContentSettings,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

from poolwright.commands import storage_accounts
from poolwright.commands.batch_accounts import KeyPair
from poolwright.commands.context import Caller, Context
from poolwright.commands.resources import Outline
from poolwright.domain.limits import Settings
from poolwright.domain.resource_id import STORAGE_ACCOUNTS, ResourceId
from poolwright.serve.blob_files import ALL
from tests.unit.resources.house import SUBSCRIPTION
from tests.wire.arm.test_sdk_story import GROUP, Clients, clients

__all__ = ["clients"]
ACCOUNT = "shelf"
LOCATION = {"location": "local"}


def service_of(clients: Clients, name: str = ACCOUNT, **more: Any) -> BlobServiceClient:
    """A client with the account's key, made as anyone makes it from what management tells."""
    storage = clients.storage.storage_accounts
    endpoint = storage.get_properties(GROUP, name).primary_endpoints.blob
    key = storage.list_keys(GROUP, name).keys_property[0].value
    return BlobServiceClient(
        endpoint.rstrip("/"), {"account_name": name, "account_key": key}, retry_total=0, **more
    )


@pytest.fixture
def service(clients: Clients) -> Iterator[BlobServiceClient]:
    clients.resource.resource_groups.create_or_update(GROUP, LOCATION)
    new = {"location": "local", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    clients.storage.storage_accounts.begin_create(GROUP, ACCOUNT, new).result()
    with service_of(clients) as made:
        yield made
    clients.storage.storage_accounts.delete(GROUP, ACCOUNT)


def key_of(clients: Clients) -> str:
    return str(clients.storage.storage_accounts.list_keys(GROUP, ACCOUNT).keys_property[1].value)


def soon(seconds: int = 600) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def code(raised: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str]:
    found = getattr(raised.value, "error_code", None)
    return raised.value.status_code, str(getattr(found, "value", found))


def test_containers(service: BlobServiceClient) -> None:
    assert service.get_account_information()["account_kind"] == "StorageV2"
    for name in ("aa-one", "aa-two", "bbb"):
        service.create_container(name, metadata={"of": name})
    with pytest.raises(ResourceExistsError) as raised:
        service.create_container("bbb")
    assert code(raised) == (409, "ContainerAlreadyExists")
    for bad in ("ab", "Upper", "two--dashes", "x" * 64):
        with pytest.raises(HttpResponseError) as refused:
            service.create_container(bad)
        assert code(refused) == (400, "InvalidResourceName")
    pages = list(service.list_containers(results_per_page=1, include_metadata=True).by_page())
    assert [[one.name for one in page] for page in pages] == [["aa-one"], ["aa-two"], ["bbb"]]
    found = {one.name: one.metadata for one in service.list_containers("aa-", include_metadata=True)}
    assert found == {"aa-one": {"of": "aa-one"}, "aa-two": {"of": "aa-two"}}
    container = service.get_container_client("bbb")
    assert container.exists()
    before = container.get_container_properties()
    container.set_container_metadata({"now": "other"})
    after = container.get_container_properties()
    assert (before.metadata, after.metadata) == ({"of": "bbb"}, {"now": "other"})
    assert before.etag != after.etag
    for name in ("aa-one", "aa-two", "bbb"):
        service.delete_container(name)
    with pytest.raises(ResourceNotFoundError):
        service.delete_container("bbb")
    with pytest.raises(ResourceNotFoundError) as gone:
        list(container.list_blobs())
    assert code(gone) == (404, "ContainerNotFound")


def test_a_blob_at_once_and_in_blocks(clients: Clients) -> None:
    data = os.urandom(5_000_000)
    clients.resource.resource_groups.create_or_update(GROUP, LOCATION)
    new = {"location": "local", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    clients.storage.storage_accounts.begin_create(GROUP, ACCOUNT, new).result()
    small: dict[str, Any] = {"max_single_put_size": 1_000_000, "max_block_size": 700_000}
    chunks: dict[str, Any] = {"max_single_get_size": 900_000, "max_chunk_get_size": 800_000}
    with service_of(clients, **small, **chunks) as service:
        container = service.create_container("data")
        for name, content in (("deep/in blocks é+%2F.bin", data), ("once", data[:999_999]), ("none", b"")):
            blob = container.upload_blob(name, content, validate_content=True, max_concurrency=2)
            assert blob.download_blob(validate_content=True, max_concurrency=2).readall() == content
            assert blob.get_blob_properties().size == len(content)
            with pytest.raises(ResourceExistsError) as raised:
                container.upload_blob(name, content)
            assert code(raised) == (409, "BlobAlreadyExists")
        blob = container.get_blob_client("deep/in blocks é+%2F.bin")
        assert blob.download_blob(offset=4_999_990, length=100).readall() == data[4_999_990:]
        assert blob.download_blob(offset=699_990, length=20).readall() == data[699_990:700_010]
        with pytest.raises(HttpResponseError) as refused:
            blob.download_blob(offset=5_000_000, length=1)
        assert code(refused) == (416, "InvalidRange")
        committed, _ = blob.get_block_list("committed")
        assert [block.size for block in committed] == [700_000] * 7 + [100_000]

        blob.upload_blob(data, overwrite=True)  # what the refused one left of blocks goes
        committed, waiting = blob.get_block_list("all")
        assert waiting == []
        blob.stage_block("new", b"front")
        assert [block.id for block in blob.get_block_list("uncommitted")[1]] == ["new"]
        kept = [BlobBlock("new"), BlobBlock(committed[7].id)]
        blob.commit_block_list(kept, metadata={"made": "of both"})
        assert blob.download_blob().readall() == b"front" + data[4_900_000:]
        with pytest.raises(HttpResponseError) as bad:
            blob.commit_block_list([BlobBlock("none")])
        assert code(bad) == (400, "InvalidBlockList")
        files = list((clients.live.directory / "blobs" / "data").glob("??/*"))
        assert sum(path.stat().st_size for path in files) == 5 + 100_000 + 999_999, (
            "what was replaced is gone"
        )
        assert list(files[0].parent.glob("*.part")) == []
    clients.storage.storage_accounts.delete(GROUP, ACCOUNT)


def test_what_is_said_of_a_blob_and_conditions(service: BlobServiceClient) -> None:
    container = service.create_container("said")
    settings = ContentSettings("text/plain", "identity", "en", 'inline; filename="x"', "no-store")
    blob = container.upload_blob("b", b"one", metadata={"k": "v"}, content_settings=settings)
    first = blob.get_blob_properties()
    told = first.content_settings
    assert (told.content_type, told.content_language, told.cache_control) == ("text/plain", "en", "no-store")
    assert (first.metadata, first.blob_type, first.server_encrypted) == ({"k": "v"}, "BlockBlob", False)
    assert first.content_settings.content_md5 is not None
    blob.set_blob_metadata({"other": "1"})
    blob.set_http_headers(ContentSettings("text/html"))
    second = blob.get_blob_properties()
    assert (second.metadata, second.content_settings.content_type) == ({"other": "1"}, "text/html")
    assert second.creation_time == first.creation_time
    with pytest.raises(ResourceModifiedError) as stale:
        blob.upload_blob(
            b"two", overwrite=True, etag=first.etag, match_condition=MatchConditions.IfNotModified
        )
    assert code(stale) == (412, "ConditionNotMet")
    blob.upload_blob(b"two", overwrite=True, etag=second.etag, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        blob.delete_blob(etag=second.etag, match_condition=MatchConditions.IfNotModified)
    blob.delete_blob()
    with pytest.raises(ResourceNotFoundError) as gone:
        blob.download_blob()
    assert code(gone) == (404, "BlobNotFound")
    service.delete_container("said")


def test_lists(service: BlobServiceClient) -> None:
    container = service.create_container("listed")
    names = ["a.txt", "dir/1", "dir/2", "dir/sub/3", "dir0", "z <&>\x01", "é"]
    for name in names:
        container.upload_blob(name, b"x", metadata={"n": "1"})
    assert [one.name for one in container.list_blobs()] == names
    assert [one.name for one in container.list_blobs("dir")] == names[1:5]
    pages = list(container.list_blobs(results_per_page=3).by_page())
    assert [len(list(page)) for page in pages] == [3, 3, 1]
    top = [one.name for page in container.walk_blobs(results_per_page=2).by_page() for one in page]
    assert sorted(top) == ["a.txt", "dir/", "dir0", "z <&>\x01", "é"]
    assert sorted(one.name for one in container.walk_blobs("dir/")) == ["dir/1", "dir/2", "dir/sub/"]
    told = next(iter(container.list_blobs(include=["metadata"])))
    assert (told.metadata, told.size, told.etag is not None) == ({"n": "1"}, 1, True)
    with pytest.raises(HttpResponseError) as refused:
        list(container.list_blobs(include=["snapshots"]))
    assert code(refused) == (400, "UnsupportedQueryParameter")
    service.delete_container("listed")


def test_signatures_let_do_what_they_say(clients: Clients, service: BlobServiceClient) -> None:
    key, container = key_of(clients), service.create_container("signed")
    container.upload_blob("one", b"content")
    url = f"{clients.live.url}/{ACCOUNT}/signed"

    def of_container(**may: bool) -> ContainerClient:
        leave = ContainerSasPermissions(**may)
        told = generate_container_sas(ACCOUNT, "signed", account_key=key, permission=leave, expiry=soon())
        return ContainerClient.from_container_url(f"{url}?{told}", retry_total=0)

    with of_container(read=True) as reads:
        assert reads.download_blob("one").readall() == b"content"
        for call in (lambda: list(reads.list_blobs()), lambda: reads.upload_blob("two", b"")):
            with pytest.raises(HttpResponseError) as refused:
                call()
            assert code(refused) == (403, "AuthorizationPermissionMismatch")
    with of_container(list=True, create=True, delete=True) as makes:
        assert [one.name for one in makes.list_blobs()] == ["one"]
        makes.upload_blob("two", b"2")
        with pytest.raises(HttpResponseError) as refused:
            makes.upload_blob("two", b"3", overwrite=True)
        assert code(refused) == (403, "AuthorizationPermissionMismatch"), "create is not write"
        makes.delete_blob("two")

    def get(query: str, blob: str = "one") -> requests.Response:
        return requests.get(f"{url}/{blob}?{query}", timeout=30)

    def of_blob(**more: Any) -> str:
        asked = {"account_key": key, "permission": BlobSasPermissions(read=True), "expiry": soon(), **more}
        return generate_blob_sas(ACCOUNT, "signed", "one", **asked)

    good = of_blob(content_type="text/x-own", start=soon(-60))
    assert (get(good).content, get(good).headers["Content-Type"]) == (b"content", "text/x-own")
    for bad in (
        of_blob(expiry=soon(-1)),
        of_blob(start=soon(60)),
        good.replace("sp=r", "sp=rw"),
        good.replace("sig=", "sig=A"),
        of_blob(account_key="c2VjcmV0"),
        of_blob(policy_id="none"),
    ):
        refusal = get(bad)
        assert (refusal.status_code, refusal.headers["x-ms-error-code"]) == (403, "AuthenticationFailed"), bad
        assert key not in refusal.text
    assert get(good, "other").status_code == 403
    assert get(of_blob(ip="10.1.2.3")).headers["x-ms-error-code"] == "AuthorizationSourceIPMismatch"
    assert get(of_blob(ip="127.0.0.0-127.0.0.9")).status_code == 200
    assert get("").status_code == 401
    assert requests.get(f"{url}/one", headers={"Authorization": "Bearer x"}, timeout=30).status_code == 401

    kinds, leave = ResourceTypes(container=True), AccountSasPermissions(list=True)
    told = generate_account_sas(ACCOUNT, key, kinds, leave, soon())
    with BlobServiceClient(f"{clients.live.url}/{ACCOUNT}", told, retry_total=0) as lists:
        assert [one.name for one in lists.get_container_client("signed").list_blobs()] == ["one"]
        with pytest.raises(HttpResponseError) as mismatch:
            list(lists.list_containers())
        assert code(mismatch) == (403, "AuthorizationResourceTypeMismatch")
    service.delete_container("signed")


def test_another_key_or_clock_is_refused(clients: Clients, service: BlobServiceClient) -> None:
    url = f"{clients.live.url}/{ACCOUNT}"
    for name, key in ((ACCOUNT, "bm8="), ("stranger", key_of(clients))):
        with BlobServiceClient(url, {"account_name": name, "account_key": key}, retry_total=0) as other:
            with pytest.raises(ClientAuthenticationError) as refused:
                other.create_container("mine")
            assert code(refused) == (403, "AuthenticationFailed")
    assert list(service.list_containers()) == []


def test_what_is_not_offered_is_refused_by_name(service: BlobServiceClient) -> None:
    container = service.create_container("plain")
    blob = container.upload_blob("b", b"x")
    calls: dict[str, Any] = {
        "comp=snapshot": blob.create_snapshot,
        "comp=lease": blob.acquire_lease,
        "x-ms-tags": lambda: blob.upload_blob(b"y", overwrite=True, tags={"a": "b"}),
        "comp=tier": lambda: blob.set_standard_blob_tier("Cool"),
        "BlockBlob": lambda: container.get_blob_client("p").create_page_blob(512),
        "x-ms-copy-source": lambda: container.get_blob_client("c").upload_blob_from_url(blob.url),
        "x-ms-blob-public-access": lambda: service.create_container("open", public_access="blob"),
        "comp=acl": container.get_container_access_policy,
    }
    for named, call in calls.items():
        with pytest.raises(HttpResponseError) as refused:
            call()
        assert refused.value.status_code == 400, named
        assert named in str(refused.value)
    assert blob.download_blob().readall() == b"x"
    assert [one.name for one in service.list_containers()] == ["plain"]
    service.delete_container("plain")


def test_a_full_disk_takes_nothing_in(clients: Clients, service: BlobServiceClient) -> None:
    container = service.create_container("full")
    blob = container.upload_blob("b", b"x")
    clients.live.full = "too little room"
    try:
        calls: list[Any] = [
            lambda: blob.upload_blob(b"y", overwrite=True),
            lambda: blob.stage_block("a", b"z"),
        ]
        for call in calls:
            with pytest.raises(HttpResponseError) as refused:
                call()
            assert code(refused) == (409, "HostDiskFull")
        assert blob.download_blob().readall() == b"x"
        blob.delete_blob()
    finally:
        clients.live.full = None
    service.delete_container("full")


def test_an_account_of_the_same_name_begins_empty(clients: Clients, service: BlobServiceClient) -> None:
    service.create_container("old").upload_blob("b", b"x")
    clients.storage.storage_accounts.delete(GROUP, ACCOUNT)
    live = clients.live
    id = ResourceId(SUBSCRIPTION, GROUP, STORAGE_ACCOUNTS, ACCOUNT)
    ctx = Context(live.parts.clock, live.ids, Settings(), Caller("system", "test"))
    keys = KeyPair("bmV3", "bmV3ZXI=")
    live.write(lambda tx: storage_accounts.put(tx, ctx, id, Outline("local"), keys, None))
    assert live.storage is not None
    blobs, storage = live.blobs, live.storage
    assert blobs is not None

    async def settle(_: object) -> None:
        await storage.refresh()
        await blobs.collect(ALL)

    live.run(settle)
    with service_of(clients) as fresh:
        assert list(fresh.list_containers()) == []
    assert list((live.directory / "blobs" / "data").glob("??/*")) == []
