"""The part of the store contract for samples of pools; see store/base.py."""

from __future__ import annotations

from typing import Protocol

from poolwright.domain.autoscale import Sample, TaskFigures
from poolwright.domain.clock import Instant
from poolwright.domain.pool_stats import PoolStats


class Samples(Protocol):
    """What was counted in pools, for autoscale. Samples go with their pool."""

    def record(self, account: str, pool: str, sample: Sample) -> None:
        """A pool has at most one sample of a moment; a second one is dropped. The pool must be there (StoreError)."""
        ...

    def between(self, account: str, pool: str, since: Instant, until: Instant) -> list[Sample]:
        """Samples taken from `since` to `until`, both included, oldest first."""
        ...

    def prune(self, before: Instant) -> int:
        """Forget samples of all pools taken before then; returns how many."""
        ...

    def stats(self, account: str, pool: str) -> PoolStats: ...  # nothing yet: all 0
    def put_stats(self, account: str, pool: str, stats: PoolStats) -> None:
        """Replace the pool's statistics. The pool must be there (StoreError)."""
        ...

    def task_figures(self, account: str, pool: str) -> TaskFigures:
        """Tasks of jobs bound to the pool, from counters: costs as much as the pool has jobs."""
        ...
