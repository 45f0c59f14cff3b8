"""Applications and their packages."""

from __future__ import annotations

from poolwright.domain.package import Application, Package
from poolwright.store.connection import Db
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("applications")
_APPLICATION = Rows(Application)
_PACKAGE = Rows(Package)


class ApplicationTable:
    """See store/base_applications.py, Applications."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, account: str, id: str) -> Application | None:
        return _APPLICATION.maybe(self._db.one(_SQL["get"], (account, id.lower())))

    def put(self, application: Application) -> None:
        self._db.execute(_SQL["put"], [*_APPLICATION.values(application), application.id.lower()])

    def delete(self, account: str, id: str) -> None:
        self._db.execute(_SQL["delete"], (account, id.lower()))

    def delete_account(self, account: str) -> None:
        self._db.execute(_SQL["delete_account"], (account,))

    def page(self, account: str, after: str | None, limit: int) -> list[Application]:
        rows = self._db.all(_SQL["page"], (account, (after or "").lower(), limit))
        return [_APPLICATION.read(row) for row in rows]

    def package(self, account: str, application: str, version: str) -> Package | None:
        key = (account, application.lower(), version.lower())
        return _PACKAGE.maybe(self._db.one(_SQL["package"], key))

    def packages(self, account: str, application: str) -> list[Package]:
        rows = self._db.all(_SQL["packages"], (account, application.lower()))
        return [_PACKAGE.read(row) for row in rows]

    def by_blob(self, blob: str) -> Package | None:
        return _PACKAGE.maybe(self._db.one(_SQL["by_blob"], (blob,)))

    def put_package(self, package: Package) -> None:
        keys = (package.application.lower(), package.version.lower())
        self._db.execute(_SQL["put_package"], [*_PACKAGE.values(package), *keys])

    def delete_package(self, account: str, application: str, version: str) -> None:
        self._db.execute(_SQL["delete_package"], (account, application.lower(), version.lower()))

    def files(self) -> tuple[set[str], set[str]]:
        rows = self._db.all(_SQL["files"], ())
        return {blob for blob, _ in rows}, {digest for _, digest in rows if digest is not None}
