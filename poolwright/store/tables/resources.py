"""Management resources, their lineage, disks and operations."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from poolwright.domain.clock import Instant
from poolwright.domain.resource import DiskRow, Lineage, Operation, Resource
from poolwright.store.base import Duplicate, Stale
from poolwright.store.connection import Db
from poolwright.store.errors import is_duplicate
from poolwright.store.rows import Rows
from poolwright.store.sql import load

_SQL = load("resources")
_DISKS = load("disks")
_OPERATIONS = load("operations")
_RESOURCE = Rows(Resource)
_LINEAGE = Rows(Lineage)
_DISK = Rows(DiskRow)
_OPERATION = Rows(Operation)


class ResourceTable:
    """See store/base.py, Resources."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, id: str) -> Resource | None:
        return _RESOURCE.maybe(self._db.one(_SQL["get"], (id.lower(),)))

    def insert(self, resource: Resource) -> None:
        keys = (resource.key, resource.type.lower(), resource.subscription.lower(), resource.group.lower())
        try:
            self._db.execute(_SQL["insert"], [*_RESOURCE.values(resource), *keys])
        except sqlite3.IntegrityError as error:
            if is_duplicate(error):
                raise Duplicate(f"resource {resource.id}") from error
            raise

    def update(self, resource: Resource) -> Resource:
        written = replace(resource, revision=resource.revision + 1)
        where = (resource.key, resource.revision)
        if not self._db.changed(_SQL["update"], [*_RESOURCE.values(written), *where]):
            raise Stale(f"resource {resource.id} is no longer at revision {resource.revision}")
        return written

    def delete(self, id: str) -> None:
        self._db.execute(_SQL["delete"], (id.lower(),))

    def select(self, subscription: str, group: str | None, type: str | None) -> list[Resource]:
        where = (subscription.lower(), group and group.lower(), type and type.lower())
        return [_RESOURCE.read(row) for row in self._db.all(_SQL["select"], where)]

    def of_type(self, type: str) -> list[Resource]:
        return [_RESOURCE.read(row) for row in self._db.all(_SQL["of_type"], (type.lower(),))]

    def unsettled(self) -> list[Resource]:
        return [_RESOURCE.read(row) for row in self._db.all(_SQL["unsettled"])]

    def link(self, edge: Lineage) -> None:
        self._db.execute(_SQL["link"], _LINEAGE.values(edge))

    def unlink(self, child: str) -> None:
        self._db.execute(_SQL["unlink"], (child,))

    def parents(self, child: str) -> list[Lineage]:
        return [_LINEAGE.read(row) for row in self._db.all(_SQL["parents"], (child,))]

    def children(self, parent: str) -> list[Lineage]:
        return [_LINEAGE.read(row) for row in self._db.all(_SQL["children"], (parent,))]

    def put_disk(self, disk: DiskRow) -> None:
        self._db.execute(_DISKS["put"], _DISK.values(disk))

    def disk(self, name: str) -> DiskRow | None:
        return _DISK.maybe(self._db.one(_DISKS["get"], (name,)))

    def disks_of(self, owner: str) -> list[DiskRow]:
        return [_DISK.read(row) for row in self._db.all(_DISKS["of_owner"], (owner,))]

    def all_disks(self) -> list[DiskRow]:
        return [_DISK.read(row) for row in self._db.all(_DISKS["all"])]

    def drop_disk(self, name: str) -> None:
        self._db.execute(_DISKS["drop"], (name,))

    def put_operation(self, operation: Operation) -> None:
        self._db.execute(_OPERATIONS["put"], _OPERATION.values(operation))

    def operation(self, id: str) -> Operation | None:
        return _OPERATION.maybe(self._db.one(_OPERATIONS["get"], (id,)))

    def operations_in_progress(self) -> list[Operation]:
        return [_OPERATION.read(row) for row in self._db.all(_OPERATIONS["in_progress"])]

    def prune_operations(self, ended_before: Instant) -> int:
        return self._db.changed(_OPERATIONS["prune"], (ended_before,))
