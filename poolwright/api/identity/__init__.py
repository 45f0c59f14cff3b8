"""The server's own identity: its certificates and its token issuer."""

from __future__ import annotations

from poolwright.api.identity.certificates import CertificateError, TlsFiles, ensure_tls
from poolwright.api.identity.client_secrets import hash_client_secret, new_client_secret
from poolwright.api.identity.issuer import OAuthError, TokenIssuer
from poolwright.api.identity.routes import identity_routes
from poolwright.api.identity.signing_keys import KeyRing, SigningKeyError

__all__ = [
    "CertificateError",
    "KeyRing",
    "OAuthError",
    "SigningKeyError",
    "TlsFiles",
    "TokenIssuer",
    "ensure_tls",
    "hash_client_secret",
    "identity_routes",
    "new_client_secret",
]
