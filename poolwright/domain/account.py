"""A batch account and who may speak to it."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.clock import Instant


@dataclass(frozen=True, slots=True)
class Account:
    """A batch account. Keys are 64 random bytes in base64; they never leave through logs or errors."""

    name: str
    resource_id: str
    primary_key: str
    secondary_key: str
    created_at: Instant


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """A client that may get tokens. `secret_hash` is the issuer's own one-way form of the secret."""

    client_id: str
    object_id: str
    name: str
    secret_hash: str
    roles: frozenset[str]
