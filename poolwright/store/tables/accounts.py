"""Accounts, service principals and settings."""

from __future__ import annotations

import sqlite3

from poolwright.domain.account import Account, ServicePrincipal
from poolwright.store.base import Duplicate, Stale
from poolwright.store.connection import Db
from poolwright.store.errors import is_duplicate
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("accounts")
_ACCOUNT = Rows(Account)
_PRINCIPAL = Rows(ServicePrincipal)


class AccountTable:
    """See store/base.py, Accounts."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, name: str) -> Account | None:
        return _ACCOUNT.maybe(self._db.one(_SQL["get"], (name.lower(),)))

    def insert(self, account: Account) -> None:
        try:
            self._db.execute(_SQL["insert"], [*_ACCOUNT.values(account), account.name.lower()])
        except sqlite3.IntegrityError as error:
            if is_duplicate(error):
                raise Duplicate(f"account {account.name}") from error
            raise

    def update(self, account: Account) -> None:
        if not self._db.changed(_SQL["update"], [*_ACCOUNT.values(account), account.name.lower()]):
            raise Stale(f"account {account.name} is not there")

    def delete(self, name: str) -> None:
        self._db.execute(_SQL["delete"], (name.lower(),))

    def all(self) -> list[Account]:
        return [_ACCOUNT.read(row) for row in self._db.all(_SQL["all"])]

    def principal(self, client_id: str) -> ServicePrincipal | None:
        return _PRINCIPAL.maybe(self._db.one(_SQL["principal"], (client_id.lower(),)))

    def principals(self) -> list[ServicePrincipal]:
        return [_PRINCIPAL.read(row) for row in self._db.all(_SQL["principals"])]

    def put_principal(self, principal: ServicePrincipal) -> None:
        self._db.execute(_SQL["put_principal"], [*_PRINCIPAL.values(principal), principal.client_id.lower()])

    def setting(self, name: str) -> str | None:
        row = self._db.one(_SQL["setting"], (name,))
        return None if row is None else str(row[0])

    def put_setting(self, name: str, value: str) -> None:
        self._db.execute(_SQL["put_setting"], (name, value))
