"""What a checker is shown: the rows at one moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol, TypeVar

from poolwright.domain.job import Job
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.task import Task
from poolwright.store.base import Tx

T = TypeVar("T")
ACCOUNT = "sim"
PAGE = 1000


def all_jobs(tx: Tx) -> list[Job]:
    """Every job of the simulated account."""
    return tx.jobs.page(ACCOUNT, None, PAGE)


class Seen:
    """The rows at one moment. They are read once, however many checkers look at them."""

    def __init__(self, tx: Tx) -> None:
        self.tx = tx

    @cached_property
    def pools(self) -> list[Pool]:
        return self.tx.pools.every()

    @cached_property
    def nodes(self) -> list[tuple[Pool, Node]]:
        """Every node, with its pool."""
        return [(pool, n) for pool in self.pools for n in self.tx.nodes.of_pool(pool.account, pool.id)]

    @cached_property
    def jobs(self) -> list[Job]:
        return all_jobs(self.tx)

    @cached_property
    def tasks(self) -> list[tuple[Job, Task]]:
        return [(job, task) for job in self.jobs for task in self.tx.tasks.page(job.pk, None, PAGE)]


class Reader(Protocol):
    """A store that can be read at once."""

    def read_now(self, fn: Callable[[Tx], T], /) -> T: ...


class Checker(Protocol):
    """Looks at the rows (and at the host it was made with) and complains."""

    def check(self, seen: Seen, /) -> list[str]: ...
