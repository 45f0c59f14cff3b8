"""Pools made for a job or a schedule are let go when their owner needs them no more.

Owners wake this look when they end; the periodic pass finds what that missed. Which pool was made for whom is a row
written with the pool, so none is forgotten whenever the service dies.
"""

from __future__ import annotations

from dataclasses import replace

from poolwright.domain.clock import Instant
from poolwright.domain.facts import DirtyKey, Fact
from poolwright.domain.states import POOL, PoolState, advance
from poolwright.store.base import Tx


def let_go(tx: Tx, account: str, id: str, now: Instant) -> None:
    """Begin to delete the pool if its owner does not need it any more; one that is to be kept becomes the user's."""
    row = tx.auto_pools.get(account, id)
    if row is None or tx.auto_pools.holder(account, id) is not None:
        return
    tx.auto_pools.delete(account, id)
    pool = tx.pools.get(account, id)
    if pool is None or pool.state is PoolState.DELETING:
        return
    detail: dict[str, str | int | float | bool | None] = {"owner": row.owner, "owner_id": row.owner_id}
    if row.keep_alive:
        tx.journal.record([Fact(now, "pool.auto.kept", account, f"pool/{pool.id}", detail)])
        return
    state = advance(f"pool {pool.id}", POOL, pool.state, PoolState.DELETING)
    tx.pools.update(replace(pool, state=state, state_at=now, modified_at=max(now, pool.modified_at + 1)))
    tx.journal.record([Fact(now, "pool.delete.start", account, f"pool/{pool.id}", detail)])
    tx.mark_dirty(DirtyKey("pool", account, pool.id))
