"""One key, one look: which pass serves which noun, and what the periodic pass looks at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from poolwright.domain.clock import SECOND, Instant, Micros
from poolwright.domain.facts import DirtyKey
from poolwright.domain.limits import SAMPLE_PERIOD
from poolwright.engines.base import Engine, EngineError
from poolwright.reconcile import auto_pools, autoscale, certificates, collector, jobs, pools, schedules
from poolwright.reconcile.apply import Applier
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.schedules import JobMaker
from poolwright.store.base import Store, Tx

#: Look for leaks this often; events and greetings find nearly everything sooner.
COLLECT_PERIOD: Micros = 30 * SECOND

COLLECTOR = DirtyKey("collector", "", "machines")


class Handler(Protocol):
    """Serves the keys of one noun; returns when to look again without being told, or None."""

    def __call__(self, key: DirtyKey, /) -> Awaitable[Instant | None]: ...


class Dispatcher:
    """Serves keys one by one. `others` are handlers of nouns that live elsewhere (resources); `make_job` makes
    the jobs of schedules (without it they make none)."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        applier: Applier,
        kit: Kit,
        others: Mapping[str, Handler] | None = None,
        more_keys: Callable[[Tx], list[DirtyKey]] = lambda _: [],
        make_job: JobMaker | None = None,
    ) -> None:
        self._make_job = make_job
        self._store = store
        self._engine = engine
        self._applier = applier
        self._kit = kit
        self._more_keys = more_keys
        self._collected_at: Instant = 0
        self._sampled_at: Instant = 0
        self._handlers: dict[str, Handler] = {
            "pool": self._pool,
            "job": self._job,
            "autopool": self._auto_pool,
            "schedule": self._schedule,
            "certificate": self._certificate,
            "files": _no_files,
            "collector": self._collect,
            "sampler": self._sample,
            **(others or {}),
        }

    async def handle(self, key: DirtyKey) -> Instant | None:
        """Serve one key. Raises KeyError for a noun nobody serves."""
        return await self._handlers[key.noun](key)

    async def due(self) -> list[DirtyKey]:
        """Everything the periodic pass looks at: correctness never depends on a wake-up having arrived."""
        now = self._kit.clock.now()
        keys = await self._store.read(lambda tx: self._all_keys(tx, now))
        if now - self._collected_at >= COLLECT_PERIOD:
            self._collected_at = now
            keys.append(COLLECTOR)
        if now - self._sampled_at >= SAMPLE_PERIOD:
            keys.append(autoscale.SAMPLER)
        return keys

    def _all_keys(self, tx: Tx, now: Instant) -> list[DirtyKey]:
        keys = [DirtyKey("pool", pool.account, pool.id) for pool in tx.pools.every()]
        waiting = {job.pk: job for job in (*tx.jobs.unsettled(), *tx.jobs.due(now))}
        keys += [DirtyKey("job", job.account, job.id) for job in waiting.values()]
        keys += [DirtyKey("schedule", row.account, row.id) for row in tx.schedules.due(now)]
        keys += [DirtyKey("autopool", row.account, row.pool) for row in tx.auto_pools.idle()]
        keys += [DirtyKey("certificate", account, name) for account, name in tx.certificates.deleting()]
        return keys + self._more_keys(tx)

    async def _pool(self, key: DirtyKey) -> Instant | None:
        now = self._kit.clock.now()
        work = await self._store.write(lambda tx: pools.run(tx, self._kit, key.account, key.id, now))
        self._applier.orders(work.starts, work.kills)
        if work.installs:
            self._applier.installs(work.installs)
        if work.prepare is not None:
            self._kit.images.prepare(work.prepare)
        patience, asked = self._kit.patience, work.asked
        if not work.acts:
            patience.moved(key)
            return now if work.more else work.wake_at
        again_at = patience.until(key, asked, now)
        if again_at is None:
            if await self._applier.machines(work):
                patience.moved(key)
                return now
            again_at = patience.in_vain(key, asked, now)
        return again_at if work.wake_at is None else min(again_at, work.wake_at)

    async def _job(self, key: DirtyKey) -> Instant | None:
        now = self._kit.clock.now()
        work = await self._store.write(lambda tx: jobs.run(tx, self._kit, key.account, key.id, now))
        self._applier.orders(work.starts, work.kills)
        return now if work.more else work.wake_at

    async def _schedule(self, key: DirtyKey) -> Instant | None:
        make, clock = self._make_job, self._kit.clock
        if make is None:
            return None
        # The time of the write itself: a job bears the time at which it was found to be due, not a later one, which
        # might lie outside its window or count for the next due time.
        return await self._store.write(lambda tx: schedules.run(tx, make, key.account, key.id, clock.now()))

    async def _auto_pool(self, key: DirtyKey) -> Instant | None:
        now = self._kit.clock.now()
        await self._store.write(lambda tx: auto_pools.let_go(tx, key.account, key.id, now))
        return None

    async def _certificate(self, key: DirtyKey) -> Instant | None:
        now = self._kit.clock.now()
        await self._store.write(lambda tx: certificates.settle(tx, key.account, key.id, now))
        return None

    async def _sample(self, _: DirtyKey) -> Instant | None:
        now = self._kit.clock.now()
        again = await self._store.write(lambda tx: autoscale.sample(tx, self._kit, now))
        self._sampled_at = now
        return again

    async def _collect(self, _: DirtyKey) -> Instant | None:
        listed_at = self._kit.clock.now()
        try:
            machines = await self._engine.machines()
        except EngineError:
            return listed_at + COLLECT_PERIOD
        now = self._kit.clock.now()
        reaction, orphans = await self._store.write(
            lambda tx: collector.collect(tx, self._kit, machines, listed_at, now)
        )
        self._applier.deliver(reaction)
        if orphans:
            await self._applier.delete_orphans(orphans)
        return None


async def _no_files(_: DirtyKey) -> Instant | None:
    """Where machines have no files (the simulation), none are left over."""
    return None
