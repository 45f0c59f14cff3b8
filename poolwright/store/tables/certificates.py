"""Certificates."""

from __future__ import annotations

from poolwright.domain.certificate import Certificate
from poolwright.store.connection import Db
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("certificates")
_CERTIFICATE = Rows(Certificate)


class CertificateTable:
    """See store/base_certificates.py, Certificates."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, account: str, thumbprint: str) -> Certificate | None:
        return _CERTIFICATE.maybe(self._db.one(_SQL["get"], (account, thumbprint)))

    def count(self, account: str) -> int:
        row = self._db.one(_SQL["count"], (account,))
        return 0 if row is None else int(row[0])

    def put(self, certificate: Certificate) -> None:
        self._db.execute(_SQL["put"], _CERTIFICATE.values(certificate))

    def delete(self, account: str, thumbprint: str) -> None:
        self._db.execute(_SQL["delete"], (account, thumbprint))

    def delete_account(self, account: str) -> None:
        self._db.execute(_SQL["delete_account"], (account,))

    def page(self, account: str, after: str | None, limit: int) -> list[Certificate]:
        rows = self._db.all(_SQL["page"], (account, (after or "").lower(), limit))
        return [_CERTIFICATE.read(row) for row in rows]

    def deleting(self) -> list[tuple[str, str]]:
        return [(account, thumbprint) for account, thumbprint in self._db.all(_SQL["deleting"], ())]

    def nodes(self, account: str, thumbprint: str, limit: int) -> list[tuple[str, str]]:
        return [(pool, id) for pool, id in self._db.all(_SQL["nodes"], (account, thumbprint, limit))]
