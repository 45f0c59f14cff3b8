"""Unmodified azure-identity against the live issuer, with nothing but the trust variables set."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from poolwright.api.auth import AuthError, Plane
from tests.unit.identity.parts import CLIENT, OBJECT, TENANT
from tests.wire.identity.conftest import LiveIdentity

PROGRAM = Path(__file__).with_name("token_client.py")
BATCH = "https://batch.core.windows.net//.default"
ARM = "https://management.azure.com/.default"


def ask(
    live: LiveIdentity, style: str, tenant: str, *scopes: str, secret: str | None = None
) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {
        **kept,
        "REQUESTS_CA_BUNDLE": str(live.tls.ca_file),
        "SSL_CERT_FILE": str(live.tls.ca_file),
        "TEST_CLIENT_SECRET": secret or live.parts.secret,
        # Whatever is asked of any other host fails at once.
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "localhost,127.0.0.1",
    }
    command = [sys.executable, str(PROGRAM), style, live.url, tenant, CLIENT, *scopes]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize("tenant", ["adfs", TENANT])
def test_tokens_are_granted_and_accepted(live: LiveIdentity, style: str, tenant: str) -> None:
    own = f"{live.url}/.default"
    done = ask(live, style, tenant, BATCH, ARM, own)
    assert done.returncode == 0, done.stderr
    batch, arm, own_url = [token for token, _ in json.loads(done.stdout)]
    expires = json.loads(done.stdout)[0][1]
    assert abs(expires - time.time() - 3600) < 120
    now = live.parts.clock.now()
    assert live.parts.verifier.verify(batch, Plane.BATCH, None, now).object_id == OBJECT
    assert live.parts.verifier.verify(arm, Plane.ARM, None, now).roles == {"contributor"}
    assert live.parts.verifier.verify(own_url, Plane.ARM, None, now).kind == "token"
    with pytest.raises(AuthError) as refused:
        live.parts.verifier.verify(batch, Plane.ARM, None, now)
    assert refused.value.code == "InvalidAuthenticationTokenAudience"


@pytest.mark.parametrize("style", ["sync", "async"])
def test_a_wrong_secret_is_refused(live: LiveIdentity, style: str) -> None:
    done = ask(live, style, "adfs", BATCH, secret="x" * 43)
    assert done.returncode != 0
    assert "ClientAuthenticationError" in done.stderr
    assert "AADSTS7000215" in done.stderr


def test_a_live_request_with_and_without_a_token(live: LiveIdentity) -> None:
    token = live.parts.issuer.issue(live.parts.principal, "https://management.azure.com").value
    context = ssl.create_default_context(cafile=str(live.tls.ca_file))
    with httpx.Client(verify=context, base_url=live.url, trust_env=False) as client:
        good = client.get("/subscriptions", headers={"Authorization": f"Bearer {token}"})
        none = client.get("/subscriptions")
        forged = client.get("/subscriptions", headers={"Authorization": f"Bearer {token[:-6]}AAAAAA"})
    assert (good.status_code, good.json()["object_id"]) == (200, OBJECT)
    assert none.status_code == forged.status_code == 401
    assert none.headers["WWW-Authenticate"].startswith(f'Bearer authorization_uri="{live.url}/{TENANT}"')
    assert forged.json()["code"] == "InvalidAuthenticationToken"
    assert 'error="invalid_token"' in forged.headers["WWW-Authenticate"]
