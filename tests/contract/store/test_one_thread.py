"""The one-thread store: what a simulation may rely on."""

from __future__ import annotations

import sqlite3

import pytest

from poolwright.domain.account import Account
from poolwright.store.base import StoreError
from poolwright.store.sync import SyncStore


def test_a_read_that_writes_is_refused_and_undone() -> None:
    store = SyncStore()
    account = Account("films", "/films", "", "", 1)
    with pytest.raises(StoreError, match="a read cannot write"):
        store.read_now(lambda tx: tx.accounts.insert(account))
    assert store.read_now(lambda tx: tx.accounts.get("films")) is None
    store.close_now()


def test_reading_does_not_compile_statements_anew() -> None:
    store = SyncStore()
    compiled: list[object] = []

    def ask(*what: object) -> int:  # called while a statement is compiled
        compiled.append(what)
        return sqlite3.SQLITE_OK

    store._connection.set_authorizer(ask)
    store.read_now(lambda tx: tx.accounts.get("films"))
    first = len(compiled)
    store.read_now(lambda tx: tx.accounts.get("films"))
    assert first > 0
    assert len(compiled) == first
    store.close_now()
