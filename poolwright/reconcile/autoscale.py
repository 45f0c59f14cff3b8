"""Autoscale in the loops: samples of every pool each thirty seconds, and runs of formulas when they are due."""

from __future__ import annotations

from functools import partial

from poolwright.decide import autoscale
from poolwright.domain import sizes
from poolwright.domain.autoscale import Sample
from poolwright.domain.clock import Instant
from poolwright.domain.facts import DirtyKey
from poolwright.domain.limits import SAMPLE_HISTORY, SAMPLE_PERIOD
from poolwright.domain.pool_stats import grown
from poolwright.domain.states import AllocationState, PoolState
from poolwright.reconcile.kit import Kit
from poolwright.store.base import Tx

#: One key takes the samples of all pools, so that they share a transaction.
SAMPLER = DirtyKey("sampler", "", "pools")


def sample(tx: Tx, kit: Kit, now: Instant) -> Instant:
    """Take a sample of every pool, from counters, and forget what is older than a day. Returns when to come again."""
    at = autoscale.slot(now)
    machines: dict[tuple[str, str], list[str]] = {}
    for machine, (account, pool_id, _) in tx.nodes.machines().items():
        machines.setdefault((account, pool_id.lower()), []).append(machine)
    for pool in tx.pools.every():
        if pool.state is PoolState.ACTIVE:
            counts = tx.nodes.counts(pool.account, pool.id)
            figures = tx.samples.task_figures(pool.account, pool.id)
            used = kit.usage.of(machines.get((pool.account, pool.id.lower()), ()), now)
            found = {**autoscale.metrics(counts, figures), **autoscale.usage_metrics(used)}
            taken, size = Sample(at, found), sizes.find(pool.spec.vm_size)
            tx.samples.record(pool.account, pool.id, taken)
            stats = grown(tx.samples.stats(pool.account, pool.id), taken, 1 if size is None else size.cores)
            tx.samples.put_stats(pool.account, pool.id, stats)
    tx.samples.prune(at - SAMPLE_HISTORY)
    return at + SAMPLE_PERIOD


def run(tx: Tx, kit: Kit, account: str, id: str, now: Instant) -> Instant | None:
    """Run the pool's formula if that is due. Returns when it is due next; None: no formula, or a stop is under way,
    whose end looks again."""
    pool = tx.pools.get(account, id)
    if pool is None or pool.state is PoolState.DELETING or pool.autoscale is None or not pool.autoscaled:
        return None
    if pool.autoscale.due_at > now:
        return pool.autoscale.due_at
    if pool.allocation is AllocationState.STOPPING:
        return None
    between = partial(tx.samples.between, pool.account, pool.id)
    counts = tx.nodes.counts(pool.account, pool.id)
    seen = autoscale.situation(pool, counts, between, now)
    outcome = autoscale.evaluate(pool.autoscale.formula, seen, kit.rng)
    auto = tx.auto_pools.get(account, id) is not None
    settled, facts = autoscale.settle(
        pool, outcome, now, counts, auto=auto, step_max=kit.settings.autoscale_max_step
    )
    tx.pools.update(settled)
    tx.journal.record(facts)
    assert settled.autoscale is not None
    return settled.autoscale.due_at
