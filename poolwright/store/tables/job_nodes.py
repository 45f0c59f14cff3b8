"""Nodes of jobs that have a preparation task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from poolwright.domain.job_tasks import JobNode
from poolwright.store.connection import Db
from poolwright.store.rows import Rows, to_json
from poolwright.store.sql import load

_SQL = load("job_nodes")
_JOB_NODE = Rows(JobNode)


class JobNodeTable:
    """See store/base.py, JobNodes."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def put(self, row: JobNode) -> JobNode:
        if not row.pk:
            found = self._db.one(_SQL["next_pk"])
            assert found is not None
            row = replace(row, pk=found[0])
        keys = (row.pool.lower(), row.node.lower())
        self._db.execute(_SQL["put"], [*_JOB_NODE.values(row), *keys])
        return row

    def get(self, pk: int) -> JobNode | None:
        return _JOB_NODE.maybe(self._db.one(_SQL["get"], (pk,)))

    def of_nodes(self, job_pk: int, pool: str, nodes: Iterable[str]) -> dict[str, JobNode]:
        keys = to_json([node.lower() for node in nodes])
        rows = self._db.all(_SQL["of_nodes"], (job_pk, pool.lower(), keys))
        return {found.node: found for found in map(_JOB_NODE.read, rows)}

    def page(self, job_pk: int, after: int, limit: int) -> list[JobNode]:
        return [_JOB_NODE.read(row) for row in self._db.all(_SQL["page"], (job_pk, after, limit))]

    def wiped(self, account: str, pool: str, node: str) -> None:
        self._db.execute(_SQL["wiped"], (account, pool.lower(), node.lower()))
