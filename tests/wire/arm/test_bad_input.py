"""Bad requests of every kind get the documented error, name what is wrong, and leave no trace."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from poolwright.domain.limits import REQUEST_BODY_BYTES_MAX
from tests.unit.identity.parts import CLIENT
from tests.unit.resources.house import SUBSCRIPTION
from tests.wire.arm.bad_bodies import BASE, CASES, COMPUTE, GROUP, V, vm
from tests.wire.arm.bad_gallery_bodies import GALLERY_CASES
from tests.wire.arm.bad_machines import MACHINE_CASES
from tests.wire.arm.conftest import LiveArm


def stranger(live: LiveArm) -> httpx.Client:
    """A client that knows the CA and has no token."""
    trust = ssl.create_default_context(cafile=str(live.tls.ca_file))
    return httpx.Client(base_url=live.url, verify=trust, trust_env=False)


def token(live: LiveArm, scope: str = "https://management.azure.com/.default") -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": live.secret,
        "scope": scope,
    }
    with stranger(live) as client:
        answer = client.post("/adfs/oauth2/v2.0/token", data=form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def http(live: LiveArm) -> Iterator[httpx.Client]:
    with stranger(live) as client:
        client.headers["Authorization"] = f"Bearer {token(live)}"
        made = client.put(f"{GROUP}{V}", json={"location": "local"})
        assert made.status_code in (200, 201)
        yield client


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "words"), [*CASES, *MACHINE_CASES, *GALLERY_CASES]
)
def test_refused(
    live: LiveArm, http: httpx.Client, method: str, path: str, body: Any, status: int, code: str, words: str
) -> None:
    before = trace(live)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = path if "?" in path else path + V
    got = http.request(method, url, content=content, headers={"Content-Type": "application/json"})
    assert (got.status_code, got.json()["error"]["code"]) == (status, code), got.text
    assert words in got.json()["error"]["message"] + got.json()["error"].get("target", "")
    assert "x-ms-request-id" in got.headers
    assert trace(live) == before


def trace(live: LiveArm) -> tuple[object, ...]:
    """Everything a refused request could leave."""
    return live.read(
        lambda tx: (
            [resource.key for resource in tx.resources.select(SUBSCRIPTION, None, None)],
            [row.name for row in tx.resources.all_disks()],
            tx.resources.operations_in_progress(),
            [account.name for account in tx.accounts.all()],
        )
    )


def test_a_body_that_is_too_long(http: httpx.Client) -> None:
    got = http.put(f"{COMPUTE}/disks/d{V}", content=b" " * (REQUEST_BODY_BYTES_MAX + 1))
    assert (got.status_code, got.json()["error"]["code"]) == (413, "RequestEntityTooLarge")


def test_passwords_are_not_told_back(http: httpx.Client) -> None:
    body = vm({"properties.osProfile": {"adminPassword": "Sup3r-Secret", "computerName": 5}})
    got = http.put(f"{COMPUTE}/virtualMachines/v{V}", json=body)
    assert got.status_code == 400
    assert "computerName" in got.text
    assert "Sup3r" not in got.text


@pytest.mark.parametrize("credential", ["", "Bearer x.y.z", "Basic abc", "SharedKey render1:abc"])
def test_no_caller_no_answer(live: LiveArm, credential: str) -> None:
    headers = {"Authorization": credential} if credential else {}
    with stranger(live) as client:
        got = client.get(f"{GROUP}{V}", headers=headers)
        nowhere = client.get(f"{BASE}/no/such/thing/at/all{V}", headers=headers)
    assert got.status_code == nowhere.status_code == 401
    assert got.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "error" in got.json()


def test_cloud_metadata_needs_no_caller(live: LiveArm) -> None:
    with stranger(live) as client:
        shapes = {
            version: client.get("/metadata/endpoints", params={"api-version": version}).json()
            for version in ("2015-01-01", "2019-05-01", "2022-09-01")
        }
    assert shapes["2015-01-01"]["authentication"]["loginEndpoint"] == f"{live.url}/adfs"
    (listed,) = shapes["2019-05-01"]
    assert listed == shapes["2022-09-01"]
    assert listed["resourceManager"] == live.url
    assert listed["batch"] == "https://batch.core.windows.net/"


def test_readers_cannot_write(live: LiveArm, http: httpx.Client) -> None:
    known = live.parts.principal
    # A token of another audience spelling, so that the verifier has not seen it with the other roles.
    live.parts.directory.by_id[CLIENT] = replace(known, roles=frozenset({"reader"}))
    try:
        headers = {"Authorization": f"Bearer {token(live, 'https://management.core.windows.net//.default')}"}
        assert http.get(f"{GROUP}{V}", headers=headers).status_code == 200
        refused = http.put(f"{GROUP}{V}", headers=headers, json={"location": "local"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "AuthorizationFailed")
        keys = f"{GROUP}/providers/Microsoft.Batch/batchAccounts/none/listKeys{V}"
        assert http.post(keys, headers=headers).status_code == 403
    finally:
        live.parts.directory.by_id[CLIENT] = known


def test_every_answer_is_metered_under_a_bounded_name(live: LiveArm, http: httpx.Client) -> None:
    before = len(live.metered)
    http.get(f"{GROUP}/providers/Microsoft.Compute/disks/none{V}")
    http.get(f"/subscriptions/other/resourceGroups/x{V}")
    http.get(f"/providers/Nobody.Here/things/{'x' * 99}{V}")
    with stranger(live) as nobody:
        nobody.get(f"{GROUP}{V}")
    assert live.metered[before:] == [
        ("GET Microsoft.Compute/disks/{name}", 404),
        ("GET subscriptions/{subscription}/resourceGroups/{group}", 404),
        ("unknown", 404),
        ("GET subscriptions/{subscription}/resourceGroups/{group}", 401),
    ]
