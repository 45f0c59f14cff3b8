"""What the management routes need from the rest of the house, given to them by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from poolwright.api.auth import Principal
from poolwright.api.auth.requests import Scope
from poolwright.api.blobs.bytes import PackageFiles
from poolwright.commands.batch_accounts import KeyPair
from poolwright.domain.clock import Clock, Ids
from poolwright.domain.limits import Settings
from poolwright.domain.marketplace import Catalogue
from poolwright.domain.package import Package
from poolwright.domain.storage_account import ExternalStorage
from poolwright.store.base import Store

Authenticator = Callable[[Scope], Principal]
"""The caller of a management request; raises AuthError."""


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """Where and under which ids this server is reached.

    `authority` is the `host[:port]` used when a request has no usable Host header. `account_endpoint(account,
    authority)` gives host[:port][/prefix] of an account's data plane as seen by a caller that came by `authority`.
    """

    subscription_id: str
    tenant_id: str
    authority: str
    account_endpoint: Callable[[str, str], str] = lambda _account, authority: authority
    login_path: str = "/adfs"


class Storage(Protocol):
    """What stands behind storage accounts, and uploads of packages that lie there."""

    def registered(self, name: str) -> ExternalStorage | None:
        """The operator's storage of this name."""
        ...

    async def package_url(self, base: str, package: Package) -> str | None:
        """The address to upload a package to; `base` is this service as the caller reaches it. None when the storage
        account that was to take it has gone."""
        ...

    async def prepare(self, package: Package) -> None:
        """See that the package's container is there. Raises ManagementError (409)."""
        ...

    async def bring(self, package: Package) -> None:
        """Bring what was uploaded to linked storage, where `PackageFiles.activation` looks for it. Raises
        ManagementError (409)."""
        ...

    async def discard(self, package: Package) -> None:
        """Remove the upload of a deleted package from linked storage, as well as that can be done."""
        ...


@dataclass(frozen=True, slots=True)
class ArmServices:
    """Everything the management routes use."""

    store: Store
    clock: Clock
    ids: Ids
    settings: Settings
    authenticator: Authenticator
    endpoint: EndpointInfo
    catalogue: Catalogue
    new_keys: Callable[[], KeyPair]
    packages: PackageFiles
    storage: Storage
    meter: Callable[[str, int, float], None] = lambda _operation, _status, _seconds: None
    intake: Callable[[], str | None] = lambda: None  # why nothing new is taken in now
    class_intake: Callable[[Collection[str]], str | None] = lambda _types: None  # the same for types of disks
