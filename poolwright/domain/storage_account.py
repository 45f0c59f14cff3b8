"""Storage accounts, and the one that is linked to a batch account (auto-storage)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from poolwright.domain.clock import Instant

KEY_NAMES = ("key1", "key2")

#: First segments of addresses of this service, which accounts of its own storage may therefore not be named.
RESERVED = frozenset(
    {"adfs", "common", "metadata", "metrics", "organizations", "providers", "subscriptions", "tenants"}
)

_APART = re.compile(r"[^a-z0-9]+")
_PREFIX_MAX = 16


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """A storage account. Keys are 64 random bytes in base64; they never leave through logs or errors.

    `room` names what is kept of it here, so that another account of the same name begins empty. `endpoint` is the
    address of its blobs where the operator's storage stands behind the account; None: this service's own storage.
    """

    name: str
    resource_id: str
    room: str
    key1: str = field(repr=False)
    key2: str = field(repr=False)
    key1_at: Instant
    key2_at: Instant
    created_at: Instant
    endpoint: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Those there are: of the operator's storage there is one."""
        return tuple(key for key in (self.key1, self.key2) if key)


@dataclass(frozen=True, slots=True)
class ExternalStorage:
    """Storage that the operator named: a storage account of this name stands for it. `endpoint` is a URL."""

    name: str
    key: str = field(repr=False)
    endpoint: str


@dataclass(frozen=True, slots=True)
class StorageLink:
    """The storage of a batch account. `key` is the storage account's as it was when it was last asked for, as in the
    public service: after a change of keys it is good again once the keys are synchronized."""

    account: str
    storage_id: str
    key: str = field(repr=False)
    synced_at: Instant


def container_of(application: str, digest: str) -> str:
    """The container of an application's packages. `digest` (hex) tells applications apart that read alike."""
    readable = _APART.sub("-", application.lower()).strip("-")[:_PREFIX_MAX].strip("-") or "x"
    return f"app-{readable}-{digest[:32]}"
