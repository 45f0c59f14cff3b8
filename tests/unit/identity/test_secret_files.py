"""Client secrets and the file of signing keys."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from poolwright.api.identity import KeyRing, SigningKeyError, hash_client_secret, new_client_secret
from poolwright.api.identity import signing_keys as signing_keys_module
from poolwright.api.identity.client_secrets import secret_matches
from tests.unit.identity.parts import HandClock


def test_a_secret_matches_its_own_hash_only() -> None:
    one, two = new_client_secret(), new_client_secret()
    hashes = (hash_client_secret(one), hash_client_secret(two))
    assert secret_matches(one, hashes)
    assert secret_matches(two, hashes)
    assert not secret_matches(new_client_secret(), hashes)
    assert not secret_matches(one, ())
    assert not secret_matches("", hashes)
    assert not secret_matches("é\udcff", hashes)
    assert one not in "".join(hashes)


@pytest.mark.parametrize("secret", ["", "hunter2", "x" * 42, "x" * 44, "é" * 43])
def test_chosen_secrets_are_not_taken(secret: str) -> None:
    with pytest.raises(ValueError, match="made by the server") as refused:
        hash_client_secret(secret)
    assert not secret or secret not in str(refused.value)


def test_the_ring_is_private_and_kept(tmp_path: Path) -> None:
    first = KeyRing.open(tmp_path, HandClock())
    path = tmp_path / "identity/signing-keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    second = KeyRing.open(tmp_path, HandClock())
    assert second.signing_key().kid == first.signing_key().kid
    assert second.signing_key().is_private
    (public,) = second.public_jwks()["keys"]
    assert {"kty", "n", "e", "kid", "use", "alg"} == set(public)


def test_rotation_keeps_old_keys_for_a_while(tmp_path: Path) -> None:
    clock = HandClock()
    ring = KeyRing.open(tmp_path, clock)
    old = ring.signing_key().kid
    ring.rotate()
    assert ring.signing_key().kid != old
    assert [key["kid"] for key in ring.public_jwks()["keys"]] == [ring.signing_key().kid, old]
    assert KeyRing.open(tmp_path, clock).public_jwks() == ring.public_jwks()
    clock.seconds += signing_keys_module.RETIRE_AFTER_S
    ring.rotate()
    assert old not in {key["kid"] for key in ring.public_jwks()["keys"]}


def test_rotation_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys_module, "MAX_KEYS", 3)
    ring = KeyRing.open(tmp_path, HandClock())
    ring.rotate()
    ring.rotate()
    before = ring.public_jwks()
    with pytest.raises(SigningKeyError, match="rotate again later"):
        ring.rotate()
    assert ring.public_jwks() == before


@pytest.mark.parametrize(
    "content", ["", "{}", '{"keys": []}', '{"keys": [{"key": {"kty": "oct", "k": "c2VjcmV0"}}]}', "[1]"]
)
def test_a_damaged_ring_is_named_without_its_content(tmp_path: Path, content: str) -> None:
    KeyRing.open(tmp_path, HandClock())
    path = tmp_path / "identity/signing-keys.json"
    path.write_text(content)
    with pytest.raises(SigningKeyError, match=r"signing-keys\.json") as refused:
        KeyRing.open(tmp_path, HandClock())
    assert "c2VjcmV0" not in str(refused.value)


def test_a_public_half_alone_cannot_sign(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, HandClock())
    path = tmp_path / "identity/signing-keys.json"
    public = ring.signing_key().as_dict(private=False)
    path.write_text(json.dumps({"keys": [{"key": public, "replaced_s": None}]}))
    with pytest.raises(SigningKeyError, match="no private key"):
        KeyRing.open(tmp_path, HandClock())
