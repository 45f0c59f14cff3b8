"""Pools."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from poolwright.domain.pool import Pool
from poolwright.domain.resource import pool_key
from poolwright.domain.resource_id import image_key
from poolwright.store.base import Duplicate, Stale
from poolwright.store.connection import Db
from poolwright.store.errors import is_duplicate
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("pools")
_LINEAGE = load("resources")
_POOL = Rows(Pool)


def _image_key(pool: Pool) -> str | None:
    image = pool.spec.image.image_id
    return None if image is None else image_key(image)


class PoolTable:
    """See store/base.py, Pools."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, account: str, id: str) -> Pool | None:
        return _POOL.maybe(self._db.one(_SQL["get"], (account, id.lower())))

    def insert(self, pool: Pool) -> None:
        try:
            self._db.execute(_SQL["insert"], [*_POOL.values(pool), pool.id.lower(), _image_key(pool)])
        except sqlite3.IntegrityError as error:
            if is_duplicate(error):
                raise Duplicate(f"pool {pool.account}/{pool.id}") from error
            raise

    def update(self, pool: Pool) -> Pool:
        written = replace(pool, revision=pool.revision + 1)
        where = (pool.account, pool.id.lower(), pool.revision)
        if not self._db.changed(_SQL["update"], [*_POOL.values(written), _image_key(pool), *where]):
            raise Stale(f"pool {pool.account}/{pool.id} is no longer at revision {pool.revision}")
        return written

    def delete(self, account: str, id: str) -> None:
        self._db.execute(_SQL["delete"], (account, id.lower()))
        self._db.execute(_LINEAGE["unlink"], (pool_key(account, id),))

    def page(self, account: str, after: str | None, limit: int) -> list[Pool]:
        rows = self._db.all(_SQL["page"], (account, (after or "").lower(), limit))
        return [_POOL.read(row) for row in rows]

    def count(self, account: str) -> int:
        row = self._db.one(_SQL["count"], (account,))
        return int(row[0]) if row else 0

    def every(self) -> list[Pool]:
        return [_POOL.read(row) for row in self._db.all(_SQL["every"])]

    def with_image(self, resource_key: str) -> list[Pool]:
        return [_POOL.read(row) for row in self._db.all(_SQL["with_image"], (resource_key.lower(),))]
