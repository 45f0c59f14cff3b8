"""What a data directory gets at its first start, and keeps: tenant, subscription, a first client, a first account."""

from __future__ import annotations

from dataclasses import dataclass, replace

from poolwright.commands import batch_accounts, groups
from poolwright.commands.accounts import DEFAULT_ACCOUNT
from poolwright.commands.batch_accounts import KeyPair
from poolwright.commands.context import Context
from poolwright.commands.resources import Outline
from poolwright.domain.account import Account, ServicePrincipal
from poolwright.domain.resource_id import ACCOUNTS, ResourceId
from poolwright.store.base import Tx

ACCOUNT = "poolwright"
GROUP = "poolwright"
_TENANT, _SUBSCRIPTION, _CLIENT = "tenant_id", "subscription_id", "first_client_id"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this service is, for ever: lower-case GUIDs."""

    tenant_id: str
    subscription_id: str
    client_id: str


def ensure(tx: Tx, ctx: Context, fresh_keys: KeyPair) -> tuple[Identity, Account | None]:
    """The identity, made if this is the first start; and the default account, made once (None if it was deleted)."""
    known = [tx.accounts.setting(name) for name in (_TENANT, _SUBSCRIPTION, _CLIENT)]
    if None in known:
        known = [ctx.ids.uuid() for _ in known]
        for name, value in zip((_TENANT, _SUBSCRIPTION, _CLIENT), known, strict=True):
            tx.accounts.put_setting(name, str(value))
        identity = Identity(*(str(value) for value in known))
        outline = Outline(location=ctx.settings.location)
        groups.put(tx, ctx, identity.subscription_id, GROUP, outline)
        wanted = ResourceId(identity.subscription_id, GROUP, ACCOUNTS, ACCOUNT)
        batch_accounts.put(tx, ctx, wanted, outline, fresh_keys)
        tx.accounts.put_setting(DEFAULT_ACCOUNT, ACCOUNT)
    else:
        identity = Identity(*(str(value) for value in known))
    return identity, tx.accounts.get(tx.accounts.setting(DEFAULT_ACCOUNT) or ACCOUNT)


def ensure_client(tx: Tx, ctx: Context, client_id: str, secret_hash: str) -> None:
    """Record the first client with the rights of an owner, or replace its secret's hash."""
    existing = tx.accounts.principal(client_id)
    if existing is not None:
        tx.accounts.put_principal(replace(existing, secret_hash=secret_hash))
        return
    tx.accounts.put_principal(
        ServicePrincipal(client_id, ctx.ids.uuid(), "first client", secret_hash, frozenset({"owner"}))
    )
