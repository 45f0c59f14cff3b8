"""The part of the store contract that knows on which nodes a job prepared; see store/base.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from poolwright.domain.job_tasks import JobNode


class JobNodes(Protocol):
    """Nodes on which the preparation task of a job ran. Rows go with their job."""

    def put(self, row: JobNode) -> JobNode:
        """Write the row; one with pk 0 is new and gets its pk."""
        ...

    def get(self, pk: int) -> JobNode | None: ...

    def of_nodes(self, job_pk: int, pool: str, nodes: Iterable[str]) -> dict[str, JobNode]:
        """node id -> row, of these nodes of the pool."""
        ...

    def page(self, job_pk: int, after: int, limit: int) -> list[JobNode]:
        """By pk."""
        ...

    def wiped(self, account: str, pool: str, node: str) -> None:
        """Note that the node is made anew from its image: nothing that ran there counts any more."""
        ...
