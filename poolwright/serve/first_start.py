"""What a data directory has from its first start on: the identity of its clients, the default account, a secret."""

from __future__ import annotations

from pathlib import Path

from poolwright.api.identity import hash_client_secret, new_client_secret
from poolwright.commands import first_start
from poolwright.commands.context import Caller, Context
from poolwright.commands.first_start import Identity
from poolwright.domain.account import Account
from poolwright.domain.clock import Clock, Ids
from poolwright.domain.limits import Settings
from poolwright.serve.adapters import new_keys
from poolwright.serve.credentials import read_secret
from poolwright.store.base import Store


async def ensure(
    store: Store, clock: Clock, ids: Ids, settings: Settings, data_dir: Path
) -> tuple[Identity, Account | None, str]:
    """The identity, the default account unless it was deleted, and the secret of the first client."""
    ctx = Context(clock, ids, settings, Caller("system", "start"))
    identity, account = await store.write(lambda tx: first_start.ensure(tx, ctx, new_keys()))
    secret = read_secret(data_dir, identity.client_id) or new_client_secret()
    hashed = hash_client_secret(secret)
    await store.write(lambda tx: first_start.ensure_client(tx, ctx, identity.client_id, hashed))
    return identity, account, secret
