"""Tokens: what is accepted, what is refused and how, and what the cache saves."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from poolwright.api.auth import AuthError, Plane
from poolwright.api.auth import bearer as bearer_module
from tests.unit.identity.parts import OBJECT, START_S, TENANT, IdentityParts

BATCH = "https://batch.core.windows.net/"
ARM = "https://management.azure.com"


@pytest.fixture
def parts(tmp_path: Path) -> IdentityParts:
    return IdentityParts(tmp_path)


def granted(parts: IdentityParts, resource: str = BATCH) -> str:
    return parts.issuer.issue(parts.principal, resource).value


def refusal(parts: IdentityParts, token: str, plane: Plane = Plane.BATCH) -> AuthError:
    with pytest.raises(AuthError) as refused:
        parts.verifier.verify(token, plane, "localhost:8443", parts.clock.now())
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
    assert token not in str(refused.value)
    return refused.value


def forged(
    parts: IdentityParts, key: Any = None, header: dict[str, Any] | None = None, **changes: Any
) -> str:
    """A token like the issuer's, with some claims changed (None: removed), signed with any key."""
    claims = jwt.decode(granted(parts), parts.ring.key_set()).claims | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    key = key or parts.ring.signing_key()
    header = header or {"alg": "RS256", "kid": parts.ring.signing_key().kid}
    return jwt.encode(header, claims, key, algorithms=[header["alg"]])


@pytest.mark.parametrize("audience", [BATCH, BATCH.rstrip("/")])
def test_batch_accepts_its_audience_with_and_without_slash(parts: IdentityParts, audience: str) -> None:
    who = parts.verifier.verify(granted(parts, audience), Plane.BATCH, None, parts.clock.now())
    assert (who.kind, who.account, who.object_id, who.roles) == (
        "token",
        None,
        OBJECT,
        frozenset({"contributor"}),
    )


@pytest.mark.parametrize(
    "audience",
    [
        ARM,
        ARM + "/",
        "https://management.core.windows.net/",
        "https://localhost:8443",
        "https://127.0.0.1:8443/",
        "https://[::1]:8443",
        "https://render1.localhost:8443",
    ],
)
def test_management_accepts_its_audiences(parts: IdentityParts, audience: str) -> None:
    token = granted(parts, audience)
    assert parts.verifier.verify(token, Plane.ARM, None, parts.clock.now()).object_id == OBJECT
    assert refusal(parts, token, Plane.BATCH).code == "AuthenticationFailed"


@pytest.mark.parametrize(
    "audience",
    [
        "https://storage.azure.com",
        BATCH,
        "https://localhost:9999",
        "https://localhost.evil:8443",
        "http://localhost:8443",
    ],
)
def test_management_refuses_other_audiences(parts: IdentityParts, audience: str) -> None:
    assert refusal(parts, granted(parts, audience), Plane.ARM).code == "InvalidAuthenticationTokenAudience"


def test_an_expired_token_is_refused_also_when_cached(parts: IdentityParts) -> None:
    token = granted(parts, ARM)
    parts.clock.seconds = START_S + 3600 + 59
    assert parts.verifier.verify(token, Plane.ARM, None, parts.clock.now()).object_id == OBJECT
    parts.clock.seconds = START_S + 3600 + 60
    assert refusal(parts, token, Plane.ARM).code == "ExpiredAuthenticationToken"
    parts.verifier._cache.clear()
    assert refusal(parts, token, Plane.ARM).code == "ExpiredAuthenticationToken"


def test_a_token_of_the_future_is_refused(parts: IdentityParts) -> None:
    token = granted(parts, ARM)
    parts.clock.seconds = START_S - 61
    assert refusal(parts, token, Plane.ARM).code == "InvalidAuthenticationToken"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://sts.windows.net/elsewhere/"}, "InvalidAuthenticationTokenTenant"),
        ({"tid": "00000000-0000-0000-0000-000000000000"}, "InvalidAuthenticationTokenTenant"),
        ({"aud": None}, "InvalidAuthenticationToken"),
        ({"aud": [ARM, BATCH]}, "InvalidAuthenticationToken"),
        ({"exp": None}, "InvalidAuthenticationToken"),
        ({"exp": "never"}, "InvalidAuthenticationToken"),
        ({"nbf": None}, "InvalidAuthenticationToken"),
        ({"appid": "nobody"}, "InvalidAuthenticationToken"),
        ({"appid": 7}, "InvalidAuthenticationToken"),
        ({"oid": "another"}, "InvalidAuthenticationToken"),
    ],
)
def test_wrong_claims_are_refused_even_with_a_good_signature(
    parts: IdentityParts, changes: dict[str, Any], code: str
) -> None:
    assert refusal(parts, forged(parts, **changes), Plane.ARM).code == code


def test_a_token_signed_with_another_key_is_refused(parts: IdentityParts) -> None:
    other = RSAKey.generate_key(2048)
    own_kid = {"alg": "RS256", "kid": parts.ring.signing_key().kid}
    assert refusal(parts, forged(parts, other, own_kid), Plane.ARM).code == "InvalidAuthenticationToken"
    assert (
        refusal(parts, forged(parts, other, {"alg": "RS256"}), Plane.ARM).code == "InvalidAuthenticationToken"
    )
    assert (
        refusal(parts, forged(parts, other, {"alg": "RS256", "kid": "x"}), Plane.ARM).code
        == "InvalidAuthenticationToken"
    )


def test_the_public_key_is_no_shared_secret(parts: IdentityParts) -> None:
    """The old trick of signing with HMAC and the public key, and the one of no algorithm at all."""
    public = parts.ring.signing_key().as_pem(private=False)
    confused = forged(
        parts,
        OctKey.import_key(base64.b64encode(public).decode()),
        {"alg": "HS256", "kid": parts.ring.signing_key().kid},
    )
    assert refusal(parts, confused, Plane.ARM).code == "InvalidAuthenticationToken"
    _, payload, _ = granted(parts, ARM).split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).decode().rstrip("=")
    assert refusal(parts, f"{head}.{payload}.", Plane.ARM).code == "InvalidAuthenticationToken"


@given(
    st.text(max_size=200) | st.binary(max_size=60).map(lambda raw: f"{base64.b64encode(raw).decode()}.a.b")
)
def test_garbage_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    parts = _shared(tmp_path_factory)
    with pytest.raises(AuthError) as refused:
        parts.verifier.verify(text, Plane.ARM, None, parts.clock.now())
    assert refused.value.status == 401


_SHARED: list[IdentityParts] = []


def _shared(factory: pytest.TempPathFactory) -> IdentityParts:
    if not _SHARED:
        _SHARED.append(IdentityParts(factory.mktemp("bearer")))
    return _SHARED[0]


def test_a_cached_token_is_not_verified_again(parts: IdentityParts, monkeypatch: pytest.MonkeyPatch) -> None:
    token = granted(parts)
    parts.verifier.verify(token, Plane.BATCH, None, parts.clock.now())
    monkeypatch.setattr(jwt, "decode", lambda *_a, **_k: pytest.fail("verified again"))
    before = parts.directory.lookups
    for _ in range(100):
        assert parts.verifier.verify(token, Plane.BATCH, None, parts.clock.now()).object_id == OBJECT
    assert parts.directory.lookups == before


def test_changed_roles_and_removed_principals_take_effect(parts: IdentityParts) -> None:
    token = granted(parts, ARM)
    assert parts.verifier.verify(token, Plane.ARM, None, parts.clock.now()).roles == {"contributor"}
    key = parts.principal.client_id
    parts.directory.by_id[key] = dataclasses.replace(parts.principal, roles=frozenset({"reader"}))
    parts.clock.seconds += bearer_module.RECHECK_S
    assert parts.verifier.verify(token, Plane.ARM, None, parts.clock.now()).roles == {"reader"}
    for gone in (dataclasses.replace(parts.principal, enabled=False), None):
        if gone is None:
            del parts.directory.by_id[key]
        else:
            parts.directory.by_id[key] = gone
        parts.clock.seconds += bearer_module.RECHECK_S
        assert refusal(parts, token, Plane.ARM).code == "InvalidAuthenticationToken"


def test_the_cache_is_bounded(parts: IdentityParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bearer_module, "MAX_CACHED_TOKENS", 3)
    tokens = [granted(parts) for _ in range(5)]
    assert len(set(tokens)) == 5
    for token in tokens:
        parts.verifier.verify(token, Plane.BATCH, None, parts.clock.now())
    assert len(parts.verifier._cache) == 3


def test_tokens_live_through_a_rotation_and_a_restart(parts: IdentityParts, tmp_path: Path) -> None:
    old = granted(parts)
    parts.ring.rotate()
    new = granted(parts)
    again = IdentityParts(tmp_path, clock=parts.clock)
    for token in (old, new):
        assert again.verifier.verify(token, Plane.BATCH, None, parts.clock.now()).object_id == OBJECT


def test_tokens_are_not_logged(parts: IdentityParts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = granted(parts)
    parts.verifier.verify(token, Plane.BATCH, None, parts.clock.now())
    refusal(parts, token, Plane.ARM)
    assert token not in caplog.text


def test_the_challenge_names_the_authority_the_client_used(parts: IdentityParts) -> None:
    error = parts.verifier.challenge(Plane.ARM, "example.test:1")
    assert error.headers["WWW-Authenticate"] == (
        f'Bearer authorization_uri="https://example.test:1/{TENANT}", resource_id="https://management.azure.com/"'
    )
    assert "localhost:8443" in parts.verifier.challenge(Plane.BATCH, None).headers["WWW-Authenticate"]
