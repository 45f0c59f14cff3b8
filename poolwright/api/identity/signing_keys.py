"""The keys tokens are signed with, in `<data>/identity/signing-keys.json`, newest first.

The first key signs, all of them verify: a new key may be put in front at any time, and an old one is dropped
when every token it signed has expired.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from poolwright.api.identity.private_files import make_directory, read_private, write_file
from poolwright.domain.clock import SECOND, Clock

KEY_BITS = 2048
MAX_KEYS = 8
RETIRE_AFTER_S = 2 * 3600
"""How long a replaced key still verifies: twice the lifetime of a token."""


class SigningKeyError(Exception):
    """The key file cannot be used; the text says why and what to do, never a key."""


@dataclass(frozen=True, slots=True)
class _Held:
    key: RSAKey
    replaced_s: float | None


class KeyRing:
    """Signing keys of one issuer. Create with `KeyRing.open`."""

    def __init__(self, path: Path, held: list[_Held], clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._held = held
        self._set = KeySet([entry.key for entry in held])

    @classmethod
    def open(cls, data_dir: Path, clock: Clock) -> KeyRing:
        """Read the ring of a data directory, or make its first key. Raises SigningKeyError."""
        path = data_dir / "identity" / "signing-keys.json"
        try:
            make_directory(path.parent, 0o700)
            content = read_private(path)
            if content is not None:
                return cls(path, _parse(path, content), clock)
            ring = cls(path, [_Held(_new_key(), None)], clock)
            ring._save()
        except OSError as error:
            raise SigningKeyError(f"cannot read or write the signing keys {path}: {error}") from error
        return ring

    def signing_key(self) -> RSAKey:
        """The key new tokens are signed with; its `kid` goes into their header."""
        return self._held[0].key

    def key_set(self) -> KeySet:
        """Every key a living token may be signed with."""
        return self._set

    def public_jwks(self) -> dict[str, Any]:
        """The public halves as a JSON Web Key Set (RFC 7517)."""
        return {"keys": [{**entry.key.as_dict(private=False), "use": "sig"} for entry in self._held]}

    def rotate(self) -> None:
        """Put a new key in front, on disk first; drop keys replaced long enough ago."""
        now = self._clock.now() / SECOND
        kept = []
        for entry in self._held:
            replaced_s = now if entry.replaced_s is None else entry.replaced_s
            if now - replaced_s < RETIRE_AFTER_S:
                kept.append(_Held(entry.key, replaced_s))
        if len(kept) >= MAX_KEYS:
            raise SigningKeyError(
                f"{MAX_KEYS} signing keys were made within {RETIRE_AFTER_S} seconds; rotate again later"
            )
        fresh = KeyRing(self._path, [_Held(_new_key(), None), *kept], self._clock)
        fresh._save()
        self._held, self._set = fresh._held, fresh._set

    def _save(self) -> None:
        entries = [
            {"key": entry.key.as_dict(private=True), "replaced_s": entry.replaced_s} for entry in self._held
        ]
        write_file(self._path, json.dumps({"keys": entries}, indent=1).encode("ascii"), 0o600)


def _new_key() -> RSAKey:
    return RSAKey.generate_key(
        KEY_BITS, parameters={"alg": "RS256", "use": "sig"}, private=True, auto_kid=True
    )


def _parse(path: Path, content: bytes) -> list[_Held]:
    try:
        entries = json.loads(content)["keys"]
        held = [_Held(RSAKey.import_key(entry["key"]), entry["replaced_s"]) for entry in entries]
    except (ValueError, TypeError, KeyError, JoseError):
        # Without the cause: its text could quote the key.
        raise SigningKeyError(
            f"{path} is not a list of RSA signing keys; restore it, or remove it to make a new key "
            "(tokens already given out then stop working)"
        ) from None
    if not held or not held[0].key.is_private:
        raise SigningKeyError(f"{path} holds no private key; restore it, or remove it to make a new key")
    return held
