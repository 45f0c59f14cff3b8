"""The one entry point: which scheme, which refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.api.auth import AuthError, Plane, Principal, authenticate
from tests.unit.identity.parts import ACCOUNT, PRIMARY, IdentityParts, asgi_scope
from tests.unit.identity.test_sharedkey_variants import DATE, signature, text_to_sign


@pytest.fixture
def parts(tmp_path: Path) -> IdentityParts:
    return IdentityParts(tmp_path)


def call(
    parts: IdentityParts,
    headers: list[tuple[str, str]],
    plane: Plane = Plane.BATCH,
    account: str | None = None,
) -> Principal:
    scope = asgi_scope("GET", "/jobs", [("Host", "localhost:8443"), ("ocp-date", DATE), *headers])
    return authenticate(
        scope, plane=plane, keys=parts.keys, tokens=parts.verifier, now=parts.clock.now(), account=account
    )


def signed() -> tuple[str, str]:
    text = text_to_sign("GET", {}, f"ocp-date:{DATE}\n", f"/{ACCOUNT}/jobs")
    return ("Authorization", f"SharedKey {ACCOUNT}:{signature(text, PRIMARY)}")


def test_both_schemes_on_the_data_plane(parts: IdentityParts) -> None:
    token = parts.issuer.issue(parts.principal, "https://batch.core.windows.net/").value
    assert call(parts, [signed()]).kind == "sharedkey"
    assert call(parts, [signed()], account="RENDER1").account == ACCOUNT
    assert call(parts, [("Authorization", f"bearer  {token}")]).kind == "token"


def test_a_key_of_another_account_than_the_addressed_one(parts: IdentityParts) -> None:
    with pytest.raises(AuthError) as refused:
        call(parts, [signed()], account="other1")
    assert (refused.value.status, refused.value.code) == (403, "AuthenticationFailed")


@pytest.mark.parametrize("plane", [Plane.BATCH, Plane.ARM])
def test_no_credentials_are_challenged(parts: IdentityParts, plane: Plane) -> None:
    with pytest.raises(AuthError) as refused:
        call(parts, [], plane)
    assert (refused.value.status, refused.value.code) == (401, "AuthenticationFailed")
    assert "https://localhost:8443/" in refused.value.headers["WWW-Authenticate"]


def test_management_knows_no_shared_keys(parts: IdentityParts) -> None:
    with pytest.raises(AuthError) as refused:
        call(parts, [signed()], Plane.ARM)
    assert refused.value.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Basic eDp5")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer   ")],
        [("Authorization", "")],
        [("Authorization", "Bearer " + "a" * 16384)],
        [signed(), signed()],
    ],
)
def test_unreadable_credentials_are_a_bad_request(
    parts: IdentityParts, headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(AuthError) as refused:
        call(parts, headers)
    assert (refused.value.status, refused.value.code) == (400, "InvalidAuthenticationInfo")


def test_a_forged_host_does_not_reach_the_challenge(parts: IdentityParts) -> None:
    scope = asgi_scope("GET", "/jobs", [("Host", 'evil"/x')])
    with pytest.raises(AuthError) as refused:
        authenticate(scope, plane=Plane.ARM, keys=parts.keys, tokens=parts.verifier, now=parts.clock.now())
    assert "evil" not in refused.value.headers["WWW-Authenticate"]
