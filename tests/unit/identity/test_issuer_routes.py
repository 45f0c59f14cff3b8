"""The token issuer over HTTP, without a network: documents, grants, and every kind of refusal."""

from __future__ import annotations

import base64
import dataclasses
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from starlette.applications import Starlette

from poolwright.api.auth import PUBLIC, declared
from poolwright.api.identity import identity_routes
from poolwright.api.identity import throttle as throttle_module
from tests.unit.identity.parts import CLIENT, OBJECT, START_S, TENANT, IdentityParts

BATCH = "https://batch.core.windows.net//.default"


@pytest.fixture
def parts(tmp_path: Path) -> IdentityParts:
    return IdentityParts(tmp_path)


@pytest.fixture
async def client(parts: IdentityParts) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=identity_routes(parts.issuer))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://login.test:8443") as made:
        yield made


def form(parts: IdentityParts, **changes: str | None) -> dict[str, str]:
    fields: dict[str, str | None] = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": parts.secret,
        "scope": BATCH,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize("tenant", [TENANT, TENANT.upper(), "adfs", "organizations", "common", "lab.example"])
@pytest.mark.parametrize("version", ["/v2.0", ""])
async def test_discovery_leads_to_token_and_keys(
    parts: IdentityParts, client: httpx.AsyncClient, tenant: str, version: str
) -> None:
    found = (await client.get(f"/{tenant}{version}/.well-known/openid-configuration")).json()
    assert found["issuer"] == f"https://sts.windows.net/{TENANT}/"
    for name in ("token_endpoint", "authorization_endpoint", "device_authorization_endpoint", "jwks_uri"):
        assert found[name].startswith(f"https://login.test:8443/{tenant}/")
    answer = (await client.post(found["token_endpoint"], data=form(parts))).json()
    keys = KeySet.import_key_set((await client.get(found["jwks_uri"])).json())
    assert not any(key.is_private for key in keys)
    decoded = jwt.decode(answer["access_token"], keys, algorithms=["RS256"])
    assert decoded.header["kid"] == parts.ring.signing_key().kid


async def test_a_tenant_beneath_adfs_resolves_to_its_guid(client: httpx.AsyncClient) -> None:
    """az asks `{authority}/{tenant}/v2.0/...`; its authority here ends with `/adfs`."""
    found = (await client.get("/adfs/adfs/v2.0/.well-known/openid-configuration")).json()
    assert found["issuer"].split("/")[3] == TENANT
    assert found["token_endpoint"] == "https://login.test:8443/adfs/oauth2/v2.0/token"


async def test_a_version_2_token(parts: IdentityParts, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/{TENANT}/oauth2/v2.0/token", data=form(parts))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert {name: body[name] for name in ("token_type", "expires_in", "ext_expires_in")} == {
        "token_type": "Bearer",
        "expires_in": 3599,
        "ext_expires_in": 3599,
    }
    claims = jwt.decode(body["access_token"], parts.ring.key_set()).claims
    expected = {
        "aud": "https://batch.core.windows.net/",
        "iss": f"https://sts.windows.net/{TENANT}/",
        "tid": TENANT,
        "oid": OBJECT,
        "appid": CLIENT,
        "iat": START_S,
        "nbf": START_S,
        "exp": START_S + 3600,
    }
    assert {name: claims[name] for name in expected} == expected


async def test_a_version_1_token(parts: IdentityParts, client: httpx.AsyncClient) -> None:
    fields = form(parts, scope=None, resource="https://management.core.windows.net/")
    body = (await client.post(f"/{TENANT}/oauth2/token", data=fields)).json()
    assert (body["expires_on"], body["not_before"]) == (str(START_S + 3600), str(START_S))
    assert (body["resource"], body["expires_in"]) == ("https://management.core.windows.net/", "3599")


@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        ("https://management.azure.com/.default", "https://management.azure.com"),
        ("https://management.azure.com//.default", "https://management.azure.com/"),
        ("https://management.core.windows.net//.default", "https://management.core.windows.net/"),
        ("https://storage.azure.com/.default", "https://storage.azure.com"),
        ("https://graph.microsoft.com/.default", "https://graph.microsoft.com"),
        ("https://localhost:8443/.default", "https://localhost:8443"),
        ("https://batch.core.windows.net/", "https://batch.core.windows.net/"),
        ("openid https://batch.core.windows.net//.default offline_access", "https://batch.core.windows.net/"),
    ],
)
async def test_scopes_become_audiences(
    parts: IdentityParts, client: httpx.AsyncClient, scope: str, audience: str
) -> None:
    body = (await client.post("/adfs/oauth2/v2.0/token", data=form(parts, scope=scope))).json()
    assert jwt.decode(body["access_token"], parts.ring.key_set()).claims["aud"] == audience


async def test_secret_in_a_basic_header(parts: IdentityParts, client: httpx.AsyncClient) -> None:
    fields = form(parts, client_id=None, client_secret=None)
    good = await client.post("/adfs/oauth2/v2.0/token", data=fields, auth=(CLIENT, parts.secret))
    bad = await client.post("/adfs/oauth2/v2.0/token", data=fields, auth=(CLIENT, "wrong"))
    both = await client.post("/adfs/oauth2/v2.0/token", data=form(parts), auth=(CLIENT, parts.secret))
    assert (good.status_code, bad.status_code, both.status_code) == (200, 401, 400)
    assert bad.headers["WWW-Authenticate"].startswith("Basic")


REFUSED: dict[str, tuple[dict[str, str | None], int, str, int]] = {
    "wrong secret": ({"client_secret": "x" * 43}, 401, "invalid_client", 7000215),
    "unknown client": ({"client_id": "nobody"}, 401, "invalid_client", 7000215),
    "no secret": ({"client_secret": None}, 401, "invalid_client", 7000218),
    "assertion": ({"client_secret": None, "client_assertion": "a.b.c"}, 401, "invalid_client", 7000218),
    "no client": ({"client_id": None}, 400, "invalid_request", 900144),
    "no grant": ({"grant_type": None}, 400, "invalid_request", 900144),
    "other grant": ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    "no scope": ({"scope": None}, 400, "invalid_request", 900144),
    "unknown scope": ({"scope": "https://vault.azure.net/.default"}, 400, "invalid_scope", 500011),
    "unknown resource": ({"scope": None, "resource": "urn:x"}, 400, "invalid_resource", 500011),
    "foreign port": ({"scope": "https://localhost:1/.default"}, 400, "invalid_scope", 500011),
    "two scopes": ({"scope": f"{BATCH} https://management.azure.com/.default"}, 400, "invalid_scope", 70011),
    "only openid": ({"scope": "openid"}, 400, "invalid_scope", 70011),
    "long client": ({"client_id": "x" * 2049}, 400, "invalid_request", 90023),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refusals(parts: IdentityParts, client: httpx.AsyncClient, case: str) -> None:
    changes, status, error, number = REFUSED[case]
    answer = await client.post("/adfs/oauth2/v2.0/token", data=form(parts, **changes))
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert parts.secret not in answer.text


async def test_a_disabled_principal_gets_no_token(parts: IdentityParts, client: httpx.AsyncClient) -> None:
    parts.directory.by_id[CLIENT] = dataclasses.replace(parts.principal, enabled=False)
    answer = await client.post("/adfs/oauth2/v2.0/token", data=form(parts))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_unknown_client_and_wrong_secret_look_alike(
    parts: IdentityParts, client: httpx.AsyncClient
) -> None:
    texts = []
    for changes in ({"client_secret": "x" * 43}, {"client_id": "nobody"}):
        body = (await client.post("/adfs/oauth2/v2.0/token", data=form(parts, **changes))).json()
        texts.append(body["error_description"].partition(" Trace")[0])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("path", ["/elsewhere/oauth2/v2.0/token", f"/{OBJECT}/oauth2/token"])
async def test_unknown_tenants(parts: IdentityParts, client: httpx.AsyncClient, path: str) -> None:
    body = (await client.post(path, data=form(parts))).json()
    assert (body["error"], body["error_codes"]) == ("invalid_request", [90002])
    assert (await client.get("/elsewhere/v2.0/.well-known/openid-configuration")).status_code == 400


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"a=" + b"x" * 65536, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"f%d=1" % number for number in range(40)), "application/x-www-form-urlencoded", 400),
        (b"client_id=a&client_id=b", "application/x-www-form-urlencoded", 400),
        (b"client_id=%ff", "application/x-www-form-urlencoded", 400),
        (b"client_id=\xff", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded; charset=utf-8", 400),
        (b'{"client_id": "a"}', "application/json", 400),
    ],
)
async def test_bad_forms(client: httpx.AsyncClient, content: bytes, kind: str, status: int) -> None:
    answer = await client.post("/adfs/oauth2/token", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Bearer abc", "Basic " + base64.b64encode(b"nocolon").decode()]
)
async def test_bad_basic_headers(parts: IdentityParts, client: httpx.AsyncClient, header: str) -> None:
    fields = form(parts, client_secret=None)
    answer = await client.post("/adfs/oauth2/token", data=fields, headers={"Authorization": header})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("host", ['x"y', "[", "a/b", "a@b", "x:port", "", "x" * 300])
async def test_a_malformed_host_is_refused(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/adfs/.well-known/openid-configuration", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_failures_are_throttled_per_caller(
    parts: IdentityParts, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle_module, "MAX_FAILURES", 3)
    wrong = form(parts, client_secret="x" * 43)
    statuses = [(await client.post("/adfs/oauth2/token", data=wrong)).status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    held = await client.post("/adfs/oauth2/token", data=wrong)
    assert (held.status_code, held.headers["Retry-After"]) == (429, "60")
    assert (await client.post("/adfs/oauth2/token", data=form(parts))).status_code == 200
    parts.clock.seconds += throttle_module.WINDOW_S
    assert (await client.post("/adfs/oauth2/token", data=wrong)).status_code == 401


def test_the_throttle_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle_module, "MAX_CALLERS", 10)
    throttle = throttle_module.FailureThrottle()
    for number in range(50):
        throttle.failed(("127.0.0.1", str(number)), 0.0)
    assert len(throttle) == 10


async def test_instance_discovery_knows_this_host_only(client: httpx.AsyncClient) -> None:
    asked = {
        "authorization_endpoint": f"https://login.test:8443/{TENANT}/oauth2/v2.0/authorize",
        "api-version": "1.1",
    }
    body: dict[str, Any] = (await client.get("/common/discovery/instance", params=asked)).json()
    assert body["tenant_discovery_endpoint"] == (
        f"https://login.test:8443/{TENANT}/v2.0/.well-known/openid-configuration"
    )
    assert body["metadata"][0]["aliases"] == ["login.test:8443"]
    for wrong in ("https://[", "https://login.test/elsewhere/oauth2/authorize"):
        refused = await client.get("/common/discovery/instance", params={"authorization_endpoint": wrong})
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


async def test_secrets_are_not_logged(
    parts: IdentityParts, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "w" * 43
    token = (await client.post("/adfs/oauth2/token", data=form(parts))).json()["access_token"]
    await client.post("/adfs/oauth2/token", data=form(parts, client_secret=wrong))
    assert "AADSTS7000215" in caplog.text
    for secret in (parts.secret, wrong, token):
        assert secret not in caplog.text


def test_every_route_declares_itself_public(parts: IdentityParts) -> None:
    assert {declared(route.endpoint) for route in identity_routes(parts.issuer)} == {PUBLIC}
