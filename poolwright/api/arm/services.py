"""What the management routes need from the rest of the house, given to them by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poolwright.api.auth import Principal
from poolwright.api.auth.requests import Scope
from poolwright.api.blobs.bytes import PackageFiles
from poolwright.commands.batch_accounts import KeyPair
from poolwright.domain.clock import Clock, Ids
from poolwright.domain.limits import Settings
from poolwright.domain.marketplace import Catalogue
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
    meter: Callable[[str, int, float], None] = lambda _operation, _status, _seconds: None
    intake: Callable[[], str | None] = lambda: None  # why nothing new is taken in now
