"""A store whose disk is full: writes are refused whole, nothing acknowledged is lost, and it goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.domain.account import Account
from poolwright.store.base import Full, Tx
from poolwright.store.sqlite import SqliteStore
from tests.support.small_disk import fill, small_memory

pytestmark = pytest.mark.needs_root


async def _write(store: SqliteStore, number: int) -> None:
    def insert(tx: Tx) -> None:
        tx.accounts.insert(Account(f"a{number}", "/" + "x" * 20_000, "key", "key", 1))

    await store.write(insert)


async def test_what_was_acknowledged_outlives_a_full_disk(tmp_path: Path) -> None:
    with small_memory(tmp_path, 24) as place:
        store = SqliteStore(place / "data")
        await _write(store, 0)
        filler = fill(place, 1)
        kept, refused = [0], 0
        for number in range(1, 200):
            try:
                await _write(store, number)
                kept.append(number)
            except Full:
                refused += 1
        assert refused > 10, kept
        assert {int(a.name[1:]) for a in await store.read(lambda tx: tx.accounts.all())} == set(kept)
        filler.unlink()
        await _write(store, 1000)
        await store.close()
        again = SqliteStore(place / "data")
        names = {int(account.name[1:]) for account in await again.read(lambda tx: tx.accounts.all())}
        await again.close()
    assert names == {*kept, 1000}


async def test_a_store_closes_on_a_full_disk(tmp_path: Path) -> None:
    with small_memory(tmp_path, 24) as place:
        store = SqliteStore(place / "data")
        await _write(store, 0)
        for number in range(1, 200):
            try:
                await _write(store, number)
            except Full:
                break
        filler = fill(place, 0)
        await store.close()
        filler.unlink()
        again = SqliteStore(place / "data")
        assert await again.read(lambda tx: tx.accounts.all())
        await again.close()
