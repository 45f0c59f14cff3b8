"""Uploading and downloading disks with the official clients: management for the access, storage for the bytes."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError
from azure.identity import EnvironmentCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.storage.blob import BlobClient

from poolwright.images.vhd import FIXED, Footer, fixed_footer, parse_footer
from tests.unit.resources.house import SUBSCRIPTION, at
from tests.wire.arm.conftest import LiveArm

GROUP = "Uploads"
SIZE = 20 * 1024**2
CONTENT = os.urandom(4096) + bytes(SIZE - 8192) + os.urandom(4096)
VHD = CONTENT + fixed_footer(SIZE, UUID(int=1), 1_700_000_000)


@pytest.fixture
def compute(trusted: LiveArm) -> Iterator[Any]:
    credential = EnvironmentCredential()
    options: dict[str, Any] = {"base_url": trusted.url, "credential_scopes": [f"{trusted.url}/.default"]}
    with ComputeManagementClient(credential, SUBSCRIPTION, polling_interval=1, **options) as made:
        token = credential.get_token(f"{trusted.url}/.default").token
        group = f"{trusted.url}/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}?api-version=2021-04-01"
        headers = {"Authorization": f"Bearer {token}"}
        tls = ssl.create_default_context(cafile=str(trusted.tls.ca_file))
        httpx.put(group, headers=headers, json={"location": "local"}, verify=tls).raise_for_status()
        yield made
    credential.close()


def begin(compute: Any, name: str, size: int = len(VHD)) -> None:
    creation = {"createOption": "Upload", "uploadSizeBytes": size}
    body = {"location": "local", "properties": {"creationData": creation, "osType": "Linux"}}
    assert compute.disks.begin_create_or_update(GROUP, name, body).result().disk_state == "ReadyToUpload"


def grant(group: Any, name: str, access: str, seconds: int = 600) -> str:
    wanted = {"access": access, "durationInSeconds": seconds}
    return str(group.begin_grant_access(GROUP, name, wanted).result().access_sas)


def fill(url: str, data: bytes) -> None:
    """Only what is not zero, as every uploader does."""
    with BlobClient.from_blob_url(url) as blob:
        assert blob.get_blob_properties().size == len(data)
        for start in range(0, len(data), 4 * 1024**2):
            piece = data[start : start + 4 * 1024**2]
            if any(piece):
                blob.upload_page(piece, offset=start, length=len(piece))


def uploaded(compute: Any, name: str, data: bytes = VHD) -> None:
    begin(compute, name, len(data))
    fill(grant(compute.disks, name, "Write"), data)
    assert compute.disks.get(GROUP, name).disk_state == "ActiveUpload"
    compute.disks.begin_revoke_access(GROUP, name).result()


def test_up_and_down_again(compute: Any, trusted: LiveArm) -> None:
    uploaded(compute, "disk")
    disk = compute.disks.get(GROUP, "disk")
    assert (disk.disk_state, disk.disk_size_bytes, disk.provisioning_state) == (
        "Unattached",
        SIZE,
        "Succeeded",
    )
    assert not [info.name for info in trusted.images.list() if info.name.startswith("u-")]
    snapshot = {"location": "local", "properties": {"creationData": {
        "createOption": "Copy", "sourceResourceId": disk.id}}}  # fmt: skip
    compute.snapshots.begin_create_or_update(GROUP, "shot", snapshot).result()
    for group, name in ((compute.disks, "disk"), (compute.snapshots, "shot")):
        with BlobClient.from_blob_url(grant(group, name, "Read")) as blob:
            got = blob.download_blob().readall()
            assert blob.download_blob(offset=SIZE - 10, length=30).readall() == got[SIZE - 10 : SIZE + 20]
            with pytest.raises(HttpResponseError):
                blob.upload_page(bytes(512), offset=0, length=512)
        assert got[:SIZE] == CONTENT
        assert parse_footer(got[SIZE:]) == Footer(FIXED, SIZE)
        assert group.get(GROUP, name).disk_state == "ActiveSAS"
        group.begin_revoke_access(GROUP, name).result()
        assert group.get(GROUP, name).disk_state == "Unattached"


def test_addresses_end(compute: Any) -> None:
    uploaded(compute, "ends")
    url = grant(compute.disks, "ends", "Read")
    for wrong in (url.replace("sp=r", "sp=rw"), url[:-6] + "AAAAAA", url.replace("sig=", "was=")):
        with BlobClient.from_blob_url(wrong) as blob, pytest.raises(HttpResponseError) as refused:
            blob.get_blob_properties()
        assert refused.value.status_code == 403
    with pytest.raises(HttpResponseError, match="open for read access"):
        compute.disks.begin_delete(GROUP, "ends").result()
    renewed = grant(compute.disks, "ends", "Read")
    compute.disks.begin_revoke_access(GROUP, "ends").result()
    for ended in (url, renewed):
        with BlobClient.from_blob_url(ended) as blob, pytest.raises(ClientAuthenticationError):
            blob.download_blob()
    compute.disks.begin_delete(GROUP, "ends").result()


def test_nothing_uses_a_disk_that_waits_for_its_upload(compute: Any, trusted: LiveArm) -> None:
    begin(compute, "waits")
    disk = compute.disks.get(GROUP, "waits")
    body = {"location": "local", "properties": {"creationData": {
        "createOption": "Copy", "sourceResourceId": disk.id}}}  # fmt: skip
    with pytest.raises(ResourceExistsError, match="waits for its upload"):
        compute.snapshots.begin_create_or_update(GROUP, "early", body)
    with pytest.raises(ResourceExistsError, match="nothing to read yet"):
        grant(compute.disks, "waits", "Read")
    compute.disks.begin_delete(GROUP, "waits").result()
    assert (
        trusted.read(lambda tx: tx.resources.disks_of(at("Microsoft.Compute/disks", "waits", GROUP).key))
        == []
    )


def test_bad_sizes_ranges_and_levels(compute: Any) -> None:
    for size in (None, 512, len(VHD) + 1, 2**60):
        with pytest.raises(HttpResponseError, match="uploadSizeBytes") as refused:
            begin(compute, "bad", size)  # type: ignore[arg-type]
        assert refused.value.status_code == 400
    begin(compute, "good")
    for access, seconds in (("None", 60), ("Write", 0), ("Erase", 60)):
        with pytest.raises(HttpResponseError) as refused:
            grant(compute.disks, "good", access, seconds)
        assert refused.value.status_code == 400
    url = grant(compute.disks, "good", "Write")
    with BlobClient.from_blob_url(url) as blob:
        with pytest.raises(HttpResponseError):
            blob.upload_page(bytes(1024), offset=len(VHD) - 512, length=1024)
        blob.upload_page(b"\1" * 1024, offset=0, length=1024)
        blob.clear_page(offset=0, length=512)
        assert blob.download_blob(offset=0, length=1024).readall() == bytes(512) + b"\1" * 512
