"""Client secrets: made by us with 256 random bits, kept as a hash.

A plain SHA-256 is enough for a secret of that entropy (there is nothing to guess that is cheaper than the
whole space), and checking one costs a microsecond, so wrong secrets cannot be used to load the server.
Secrets chosen by people would need a slow hash; therefore they are not taken.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_PREFIX = "sha256:"
_NOBODY = (_PREFIX + "0" * 64,)


def new_client_secret() -> str:
    """A fresh secret: 43 characters of the URL-safe alphabet, 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_client_secret(secret: str) -> str:
    """What to store of a secret made by `new_client_secret`; ValueError, without the secret, for others."""
    if not _SECRET.match(secret):
        raise ValueError("client secrets are 43 URL-safe characters made by the server, not chosen by people")
    return _PREFIX + hashlib.sha256(secret.encode("ascii")).hexdigest()


def secret_matches(secret: str, hashes: tuple[str, ...]) -> bool:
    """Whether the secret is the one behind any of the stored hashes; the time taken tells nothing.

    An empty tuple (nobody of that name) does the same work and never matches.
    """
    digest = _PREFIX + hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
    # Evaluated in full, so that the position of a match does not show.
    matches = [hmac.compare_digest(digest, stored) for stored in (hashes or _NOBODY)]
    return bool(hashes) and any(matches)
