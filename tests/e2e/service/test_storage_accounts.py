"""Storage accounts in use: files of tasks in this service's own blob storage, linked to the batch account."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import AzureError
from azure.identity import ClientSecretCredential
from azure.mgmt.storage import StorageManagementClient
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from tests.e2e.service.live import Live
from tests.e2e.service.test_multi_instance import MPI, open_mpi
from tests.e2e.service.test_packages import RUN, Desk, archive, ends, reference
from tests.e2e.service.test_storage import mount
from tests.e2e.service.test_transfers import output
from tests.support.storage import Storage
from tests.support.waiting import wait_until

NEW = {"location": "local", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}


@contextmanager
def management(live: Live) -> Iterator[Any]:
    """The storage management client of a service."""
    known = live.ready
    credential = ClientSecretCredential(
        known.tenant_id,
        known.client_id,
        known.client_secret,
        authority=known.endpoint,
        disable_instance_discovery=True,
    )
    client = StorageManagementClient(
        credential,
        known.subscription_id,
        base_url=known.endpoint,
        credential_scopes=[f"{known.endpoint}/.default"],
    )
    with client, credential:
        yield client.storage_accounts


@contextmanager
def blobs_of(live: Live, name: str, **more: Any) -> Iterator[BlobServiceClient]:
    """A client of an account of this service's own storage."""
    with management(live) as accounts:
        key = accounts.list_keys(Desk(live).group, name).keys_property[0].value
    with BlobServiceClient(
        f"{live.ready.endpoint}/{name}", {"account_name": name, "account_key": key}, **more
    ) as made:
        yield made


def signed(service: BlobServiceClient, container: str, allow: str = "rlwc") -> str:
    told = generate_container_sas(
        str(service.account_name),
        container,
        account_key=service.credential.account_key,
        permission=ContainerSasPermissions.from_string(allow),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"{service.url.rstrip('/')}/{container}?{told}"


def linked(live: Live, name: str) -> Desk:
    """Make a storage account and link the service's account to it."""
    desk = Desk(live)
    with management(live) as accounts:
        made = accounts.begin_create(desk.group, name, NEW).result()
    link = {"properties": {"autoStorage": {"storageAccountId": made.id}}}
    desk.client.batch_account.update(desk.group, desk.account, link)
    return desk


def test_files_and_packages_lie_in_the_services_own_storage(live: Live) -> None:
    live.idle_pool(dedicated=1)
    live.job()
    unlinked = batch.BatchTaskCreateOptions(
        id="early",
        command_line="true",
        resource_files=[batch.ResourceFile(auto_storage_container_name="inputs")],
    )
    with pytest.raises(AzureError, match="autoStorage"):
        live.batch.create_task("job", unlinked)
    desk = linked(live, "ownstore")
    with blobs_of(live, "ownstore") as service:
        inputs, results = service.create_container("inputs"), service.create_container("results")
        for name, data in (("a/one", b"one\n"), ("a/two", b"two\n"), ("b/three", b"three\n")):
            inputs.upload_blob(name, data)
        desk.application("tool")
        desk.upload("tool", "1", archive("packed"))
        given = [
            batch.ResourceFile(auto_storage_container_name="inputs", blob_prefix="a/", file_path="in"),
            batch.ResourceFile(storage_container_url=signed(service, "inputs", "rl"), blob_prefix="b"),
            batch.ResourceFile(
                http_url=signed(service, "inputs", "r").replace("inputs?", "inputs/a/one?"),
                file_path="direct",
            ),
        ]
        live.task(
            "reads",
            f"/bin/sh -c 'cat in/a/one in/a/two b/three direct && {RUN % 'tool_1'}'",
            resource_files=given,
            output_files=[output("../stdout.txt", signed(service, "results"), path="said")],
            application_package_references=[reference("tool", "1")],
        )
        said = "one\ntwo\nthree\none\npacked packed\n"
        assert ends(live, "reads") == [said]
        assert results.download_blob("said").readall() == said.encode()

        # The key that the account was linked with is no longer good until the keys are synchronized.
        with management(live) as accounts:
            accounts.regenerate_key(desk.group, "ownstore", {"keyName": "key1"})
        live.task("stale", "cat in/a/one", resource_files=[given[0]])
        live.wait_completed(2)
        info = live.batch.get_task("job", "stale")["executionInfo"]["failureInfo"]
        assert (info["category"], info["code"]) == ("usererror", "ResourceContainerAccessDenied")
        desk.client.batch_account.synchronize_auto_storage_keys(desk.group, desk.account)
        live.task("fresh", "cat in/a/one", resource_files=[given[0]])
        live.wait_completed(3)
        assert live.output("fresh") == "one\n"
    with management(live) as accounts:
        accounts.delete(desk.group, "ownstore")
    live.task("gone", "true", resource_files=[given[0]])
    live.wait_completed(4)
    info = live.batch.get_task("job", "gone")["executionInfo"]["failureInfo"]
    assert (info["code"], "was deleted" in info["message"]) == ("ResourceContainerNotFound", True)


def test_storage_of_the_operator_by_its_name(live: Live, storage: Storage) -> None:
    file = live.data_dir.parent / "outside"
    file.write_text(storage.connection_string)
    file.chmod(0o600)
    live.start_again("--storage-account", str(file))
    container = storage.container(made=b"outside\n")
    linked(live, "devstoreaccount1")
    live.idle_pool(dedicated=1)
    live.job()
    live.task("reads", "cat made", resource_files=[batch.ResourceFile(auto_storage_container_name=container)])
    live.wait_completed(1)
    assert live.output("reads") == "outside\n"


class Writers:
    """Threads that write the same few names again and again until their service is gone. `done` counts what was
    acknowledged; `known` has what a name was last acknowledged to hold, unless a write of it was cut off."""

    def __init__(self, service: BlobServiceClient, known: dict[str, bytes]) -> None:
        self._container = service.get_container_client("cont")
        self._known = known
        self.done = 0
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(4)]
        for thread in self._threads:
            thread.start()

    def _write(self, writer: int) -> None:
        for number in range(100_000):
            name, data = f"{writer}/{number % 20}", os.urandom(1000 + 20_000 * (number % 5))
            self._known.pop(name, None)
            try:
                self._container.upload_blob(name, data, overwrite=True)
            except AzureError:
                return
            self._known[name] = data
            self.done += 1

    def join(self) -> None:
        """Wait for their ends."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def test_no_acknowledged_blob_is_lost(live: Live) -> None:
    linked(live, "durable")
    with blobs_of(live, "durable") as service:
        service.create_container("cont")
    known: dict[str, bytes] = {}
    blocks: dict[str, Any] = {"retry_total": 0, "max_single_put_size": 50_000, "max_block_size": 30_000}
    for _ in range(3):
        with blobs_of(live, "durable", **blocks) as service:
            writers = Writers(service, known)
            wait_until(lambda: writers.done >= 60, 60, lambda: writers.done)  # noqa: B023
            live.kill_service()
            writers.join()
        live.start()
        with blobs_of(live, "durable") as service:
            container = service.get_container_client("cont")
            for name, data in known.items():
                assert container.download_blob(name).readall() == data, name
        assert not list((live.data_dir / "blobs" / "data").glob("??/*.part"))


READ_AND_WRITE = """
import os, ssl, urllib.request

context = ssl.create_default_context(cafile=os.environ["POOLWRIGHT_CA_FILE"])
container, _, signature = os.environ["SHELF"].partition("?")
with urllib.request.urlopen(f"{container}/given?{signature}", context=context) as answer:
    text = answer.read().decode()
put = urllib.request.Request(f"{container}/made?{signature}", text.upper().encode(), method="PUT")
put.add_header("x-ms-blob-type", "BlockBlob")
print(urllib.request.urlopen(put, context=context).status, container.split("/")[2].split(":")[0])
"""


def test_programs_of_tasks_reach_the_services_own_storage_by_signed_addresses(live: Live) -> None:
    live.start_again("--export", f"mpi={open_mpi()}")  # for its Python
    live.idle_pool(dedicated=1, mount_configuration=[mount("poolwright:mpi", "mpi")])
    live.job()
    linked(live, "ownstore")
    with blobs_of(live, "ownstore") as service:
        container = service.create_container("shelf")
        container.upload_blob("given", b"from outside")
        # As the documentation says: the name by which nodes know the host.
        url = signed(service, "shelf").replace("//localhost:", "//service.poolwright.internal:")
        live.batch.create_task(
            "job",
            batch.BatchTaskCreateOptions(
                id="t",
                command_line=f"{MPI}/python3 -c '{READ_AND_WRITE}'",
                environment_settings=[batch.EnvironmentSetting(name="SHELF", value=url)],
            ),
        )
        done = live.wait_task("t", "completed")
        said = live.output("t")
        assert done["executionInfo"]["exitCode"] == 0, live.output("t", name="stderr.txt")
        assert said == "201 service.poolwright.internal\n"
        assert container.download_blob("made").readall() == b"FROM OUTSIDE"
