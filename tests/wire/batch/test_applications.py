"""Applications and references to them on the data plane, through the official SDK."""

from __future__ import annotations

from dataclasses import replace

import pytest
from azure.batch import models as batch
from azure.core.exceptions import ResourceNotFoundError

from poolwright.domain.package import Application, Package, PackageReference
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.bad_bodies import POOL
from tests.wire.batch.conftest import OLD_VERSION, Live
from tests.wire.batch.raw import Caller

QUALIFIED = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/{}/applications/render"


@pytest.fixture
def call(live: Live) -> Caller:
    def fill(tx: Tx) -> None:
        package = Package(ACCOUNT, "render", "1.0", "blob", "secret", 9, 1, 2, "d" * 64, 5, 3)
        tx.applications.put(Application(ACCOUNT, "render", 1, 2, "Farm"))
        tx.applications.put_package(package)
        tx.applications.put_package(replace(package, version="2.0", blob="later", digest=None))
        tx.applications.put(Application(ACCOUNT, "waiting", 1, 2))

    live.write(fill)
    return Caller(live)


def test_applications_with_something_to_install_are_listed(live: Live, call: Caller) -> None:
    del call
    for version in (OLD_VERSION, "2025-06-01"):
        with live.client(api_version=version) as client:
            (found,) = client.list_applications()
            assert (found.id, found.display_name, list(found.versions)) == ("render", "Farm", ["1.0"])
            assert list(client.get_application("Render").versions) == ["1.0"]
            with pytest.raises(ResourceNotFoundError, match="ApplicationNotFound"):
                client.get_application("waiting")


def test_references_of_pools(live: Live, call: Caller) -> None:
    def refer(pool: str, *references: dict[str, str]) -> tuple[int, str | None]:
        reply = call("POST", "/pools", {**POOL, "id": pool, "applicationPackageReferences": list(references)})
        return reply.status, None if reply.status == 201 else reply.code

    refused = (409, "InvalidApplicationPackageReferences")
    for version in ({}, {"version": "2.0"}, {"version": "3.0"}):
        assert refer("refused", {"applicationId": "render", **version}) == refused
    assert refer("refused", {"applicationId": QUALIFIED.format("another"), "version": "1.0"}) == refused
    assert refer("refused", {"applicationId": "render", "version": "1/2"}) == (400, "InvalidPropertyValue")
    assert refer("plain", {"applicationId": "render", "version": "1.0"}) == (201, None)
    assert refer("full", {"applicationId": QUALIFIED.format(ACCOUNT), "version": "1.0"}) == (201, None)
    with live.client() as client:
        shown = client.get_pool("plain").application_package_references or []
        assert [(one.application_id, one.version) for one in shown] == [("render", "1.0")]
        client.update_pool("plain", batch.BatchPoolUpdateOptions(application_package_references=[]))
        pool = live.read(lambda tx: tx.pools.get(ACCOUNT, "full"))
        assert pool is not None
        assert pool.spec.packages == (PackageReference("render", "1.0", ACCOUNT),)
        assert not client.get_pool("plain").application_package_references
