"""How many core hours pools have used, counted from the samples that autoscale keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from poolwright.domain import sizes
from poolwright.domain.clock import HOUR, MINUTE, Instant, Micros
from poolwright.domain.limits import SAMPLE_HISTORY, SAMPLE_PERIOD
from poolwright.domain.pool import Pool
from poolwright.store.base import Tx

INTERVAL: Micros = 30 * MINUTE
"""Public length of what usage is summed over."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One pool in one interval. Its VM size is that of now, which changes only while a pool is empty."""

    pool: str
    start: Instant
    vm_size: str
    core_hours: float

    @property
    def key(self) -> str:
        """Grows in the order of the list."""
        return f"{self.pool.lower()}/{self.start:020d}"


def usage_after(
    tx: Tx, account: str, since: Instant | None, until: Instant | None, now: Instant, after: str | None
) -> Iterator[Usage]:
    """Usage in whole, ended intervals between the two moments, by pool and time, from the one after the key `after`.

    By default that of the last ended interval. Samples are kept for a day and go with their pool.
    """
    ended = now - now % INTERVAL
    first = ended - INTERVAL if since is None else max(since, ended - SAMPLE_HISTORY)
    first += -first % INTERVAL
    last = ended if until is None else min(until, ended)
    pools = [pool for pool in tx.pools.every() if pool.account == account]
    for pool in sorted(pools, key=lambda pool: f"{pool.id.lower()}/"):
        if after is not None and f"{pool.id.lower()}0" <= after:  # all its keys are: "0" is what follows "/"
            continue
        for usage in _of_pool(tx, pool, first, last):
            if after is None or usage.key > after:
                yield usage


def _of_pool(tx: Tx, pool: Pool, first: Instant, last: Instant) -> Iterator[Usage]:
    size = sizes.find(pool.spec.vm_size)
    cores = 1 if size is None else size.cores
    nodes: dict[Instant, float] = {}
    for sample in tx.samples.between(pool.account, pool.id, first, last - 1) if first < last else ():
        start = sample.at - sample.at % INTERVAL
        had = sample.metrics.get("CurrentDedicatedNodes", 0) + sample.metrics.get(
            "CurrentLowPriorityNodes", 0
        )
        nodes[start] = nodes.get(start, 0) + had
    for start, count in sorted(nodes.items()):
        yield Usage(pool.id, start, pool.spec.vm_size, count * cores * SAMPLE_PERIOD / HOUR)
