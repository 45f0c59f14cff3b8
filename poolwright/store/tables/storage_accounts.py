"""Storage accounts and links to them."""

from __future__ import annotations

from poolwright.domain.storage_account import StorageAccount, StorageLink
from poolwright.store.connection import Db
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("storage_accounts")
_ACCOUNT = Rows(StorageAccount)
_LINK = Rows(StorageLink)


class StorageAccountTable:
    """See store/base_storage.py, StorageAccounts."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, name: str) -> StorageAccount | None:
        return _ACCOUNT.maybe(self._db.one(_SQL["get"], (name.lower(),)))

    def by_id(self, resource_id: str) -> StorageAccount | None:
        return _ACCOUNT.maybe(self._db.one(_SQL["by_id"], (resource_id.lower(),)))

    def all(self) -> list[StorageAccount]:
        return [_ACCOUNT.read(row) for row in self._db.all(_SQL["all"])]

    def put(self, account: StorageAccount) -> None:
        self._db.execute(_SQL["put"], [*_ACCOUNT.values(account), account.resource_id.lower()])

    def delete(self, name: str) -> None:
        self._db.execute(_SQL["delete"], (name.lower(),))

    def link_of(self, account: str) -> StorageLink | None:
        return _LINK.maybe(self._db.one(_SQL["link_of"], (account.lower(),)))

    def link(self, link: StorageLink) -> None:
        key, *rest = _LINK.values(link)
        self._db.execute(_SQL["link"], [key.lower(), *rest])

    def unlink(self, account: str) -> None:
        self._db.execute(_SQL["unlink"], (account.lower(),))
