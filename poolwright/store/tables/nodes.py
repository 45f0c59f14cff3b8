"""Nodes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace

from poolwright.domain.clock import Instant
from poolwright.domain.node import Node
from poolwright.domain.states import NodeState
from poolwright.store.base import Duplicate, Stale
from poolwright.store.connection import Db
from poolwright.store.errors import is_duplicate
from poolwright.store.rows import Rows, to_json
from poolwright.store.sql import load

_SQL = load("nodes")
_NODE = Rows(Node)
_CHANGES = Rows(Node, omit=("account", "pool", "id", "tasks_run", "tasks_succeeded", "front_ports"))


class NodeTable:
    """See store/base.py, Nodes."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, account: str, pool: str, id: str) -> Node | None:
        return _NODE.maybe(self._db.one(_SQL["get"], (account, pool.lower(), id.lower())))

    def by_machine(self, machine: str) -> Node | None:
        return _NODE.maybe(self._db.one(_SQL["by_machine"], (machine,)))

    def insert_many(self, nodes: Sequence[Node]) -> None:
        rows = ([*_NODE.values(node), node.pool.lower(), node.id.lower()] for node in nodes)
        try:
            with self._db.whole():
                self._db.many(_SQL["insert"], rows)
        except sqlite3.IntegrityError as error:
            if is_duplicate(error):
                raise Duplicate(f"one of the nodes {', '.join(node.id for node in nodes[:10])}") from error
            raise

    def update(self, node: Node) -> Node:
        written = replace(node, revision=node.revision + 1)
        where = (node.account, node.pool.lower(), node.id.lower(), node.revision)
        if not self._db.changed(_SQL["update"], [*_CHANGES.values(written), *where]):
            raise Stale(f"node {node.account}/{node.pool}/{node.id} is no longer at revision {node.revision}")
        return written

    def delete(self, account: str, pool: str, id: str) -> None:
        self._db.execute(_SQL["delete"], (account, pool.lower(), id.lower()))

    def of_pool(self, account: str, pool: str) -> list[Node]:
        return [_NODE.read(row) for row in self._db.all(_SQL["of_pool"], (account, pool.lower()))]

    def page(self, account: str, pool: str, after: str | None, limit: int) -> list[Node]:
        rows = self._db.all(_SQL["page"], (account, pool.lower(), (after or "").lower(), limit))
        return [_NODE.read(row) for row in rows]

    def counts(self, account: str, pool: str) -> dict[tuple[NodeState, bool], int]:
        rows = self._db.all(_SQL["counts"], (account, pool.lower()))
        return {(NodeState(state), bool(dedicated)): count for state, dedicated, count in rows}

    def machines(self) -> dict[str, tuple[str, str, str]]:
        return {machine: (account, pool, id) for machine, account, pool, id in self._db.all(_SQL["machines"])}

    def touch(self, machines: Iterable[str], at: Instant) -> None:
        self._db.execute(_SQL["touch"], (at, to_json(list(machines))))

    def add_task_totals(self, account: str, pool: str, deltas: dict[str, tuple[int, int]]) -> None:
        pool_key = pool.lower()
        rows = ((run, succeeded, account, pool_key, id.lower()) for id, (run, succeeded) in deltas.items())
        self._db.many(_SQL["add_task_totals"], rows)
