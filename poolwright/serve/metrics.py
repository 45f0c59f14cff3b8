"""`GET /metrics`: what is there now, read from the store's counters when asked for, and what the meter counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from poolwright.api.auth import AuthError, Plane, Principal, permission, require
from poolwright.api.auth.permissions import Target, needs
from poolwright.api.auth.requests import Scope
from poolwright.api.batch.feed import Feed
from poolwright.domain import sizes
from poolwright.domain.limits import METRIC_POOLS_MAX
from poolwright.serve.meter import Meter
from poolwright.serve.webhooks import HookState
from poolwright.store.base import Store, Tx
from poolwright.wire.convert.event import EVENTS

READ = permission("Poolwright/metrics/read")
"""Not of the provider Batch: an account's key opens that account only, and these figures are of the whole service."""

OTHERS = "(others)"
_CONTENT = "text/plain; version=0.0.4; charset=utf-8"
_Key = tuple[str, ...]


@dataclass(slots=True)
class Figures:
    """Counts by labels: (account, pool, kind, state), (account, pool, kind), (account, pool, state or reason)."""

    nodes: Counter[_Key] = field(default_factory=Counter)
    cores: Counter[_Key] = field(default_factory=Counter)
    targets: Counter[_Key] = field(default_factory=Counter)
    tasks: Counter[_Key] = field(default_factory=Counter)
    waits: Counter[_Key] = field(default_factory=Counter)
    pools: Counter[_Key] = field(default_factory=Counter)
    events: Counter[_Key] = field(default_factory=Counter)  # by (account, public event)
    newest: int = 0


@dataclass(frozen=True, slots=True)
class Present:
    """What the rooms say of themselves: name -> (help, value); `hooks` are the webhooks."""

    gauges: Sequence[tuple[str, str, float]]
    counters: Sequence[tuple[str, str, float]]
    hooks: Sequence[HookState]


def present(
    writes: int,
    dirty: int,
    moving: int,
    images: tuple[int, int],
    feed: Feed,
    hooks: Sequence[HookState],
) -> Present:
    """`writes` wait for a commit, `dirty` nouns for a pass; `moving` transfers are under way; `images` are the number
    and the bytes of unpacked container images."""
    return Present(
        gauges=(
            ("store_waiting_writes", "Writes waiting for a commit.", writes),
            ("reconcile_waiting", "Nouns waiting for a pass.", dirty),
            ("transfers", "Transfers under way.", moving),
            ("container_images", "Unpacked container images on the host.", images[0]),
            ("container_image_bytes", "Bytes of the disk that their layers take.", images[1]),
            ("event_followers", "Clients that follow the events.", feed.followers),
        ),
        counters=(("event_followers_dropped", "Followers that were too slow.", feed.dropped),),
        hooks=hooks,
    )


def gather(tx: Tx) -> Figures:
    """The figures of all pools, from counters. Pools beyond METRIC_POOLS_MAX are taken together."""
    figures = Figures()
    for number, pool in enumerate(tx.pools.every()):
        name = pool.id if number < METRIC_POOLS_MAX else OTHERS
        size = sizes.find(pool.spec.vm_size)
        cores = 1 if size is None else size.cores
        figures.pools[pool.account, pool.state.value, pool.allocation.value] += 1
        for (state, dedicated), count in tx.nodes.counts(pool.account, pool.id).items():
            kind = "dedicated" if dedicated else "low_priority"
            figures.nodes[pool.account, name, kind, state.value] += count
            figures.cores[pool.account, name, kind] += count * cores
        figures.targets[pool.account, name, "dedicated"] += pool.target_dedicated
        figures.targets[pool.account, name, "low_priority"] += pool.target_low_priority
        for task_state, count in tx.tasks.state_counts_of_pool(pool.account, pool.id).items():
            figures.tasks[pool.account, name, task_state.value] += count
        for reason, count in tx.tasks.waits_of_pool(pool.account, pool.id).items():
            figures.waits[pool.account, name, reason] += count
    for account, kind, count in tx.journal.totals():
        if kind in EVENTS:
            figures.events[account, EVENTS[kind][0]] += count
    figures.newest = tx.journal.span()[1]
    return figures


class _Now(Collector):
    """One look at the service as metrics."""

    def __init__(self, figures: Figures, present: Present) -> None:
        self._figures = figures
        self._present = present

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        figures = self._figures
        by_pool = ("account", "pool")
        yield _family("pools", "Pools.", ("account", "state", "allocation_state"), figures.pools)
        yield _family("nodes", "Nodes of pools.", (*by_pool, "kind", "state"), figures.nodes)
        yield _family("cores", "Cores of the nodes of pools.", (*by_pool, "kind"), figures.cores)
        yield _family("target_nodes", "Nodes pools are to have.", (*by_pool, "kind"), figures.targets)
        yield _family("tasks", "Tasks of the jobs of pools.", (*by_pool, "state"), figures.tasks)
        waits = "Active tasks by what they wait for: other tasks, their job, room on a node."
        yield _family("waiting_tasks", waits, (*by_pool, "reason"), figures.waits)
        events = CounterMetricFamily(
            "poolwright_events", "Public events that were recorded.", labels=["account", "event"]
        )
        for key, count in figures.events.items():
            events.add_metric(key, count)
        yield events
        for name, text, value in self._present.gauges:
            yield GaugeMetricFamily(f"poolwright_{name}", text, value=value)
        recorded = ("events_recorded", "Events recorded in the journal.", float(figures.newest))
        for name, text, value in (*self._present.counters, recorded):
            yield CounterMetricFamily(f"poolwright_{name}", text, value=value)
        yield from _hooks(self._present.hooks, figures.newest)


def _family(name: str, text: str, labels: Sequence[str], counts: Counter[_Key]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"poolwright_{name}", text, labels=labels)
    for key, count in counts.items():
        family.add_metric(key, count)
    return family


def _hooks(hooks: Sequence[HookState], newest: int) -> Iterable[Metric]:
    behind = GaugeMetricFamily(
        "poolwright_webhook_lag_events",
        "Events of the journal a webhook has not come to.",
        labels=["webhook"],
    )
    since = GaugeMetricFamily(
        "poolwright_webhook_failing_seconds",
        "How long deliveries have failed; 0: they do not.",
        labels=["webhook"],
    )
    done = CounterMetricFamily(
        "poolwright_webhook_deliveries", "Attempts by their result.", labels=["webhook", "result"]
    )
    for hook in hooks:
        behind.add_metric([hook.name], max(0, newest - hook.cursor))
        since.add_metric([hook.name], hook.failing_s())
        done.add_metric([hook.name, "success"], hook.delivered)
        done.add_metric([hook.name, "failure"], hook.failed)
    yield from (behind, since, done)


def metrics_route(
    store: Store,
    meter: Meter,
    present: Callable[[], Present],
    caller: Callable[[Scope, str | None], Principal],
) -> Route:
    """GET /metrics, for callers with a token whose role reads everything."""

    @needs(READ)
    async def metrics(request: Request) -> Response:
        try:
            principal = caller(request.scope, None)
            require(principal, READ, Target(Plane.ARM, "/metrics"))
        except AuthError as refused:
            body = {"code": refused.code, "message": refused.message}
            return JSONResponse(body, refused.status, headers=dict(refused.headers))
        figures = await store.read(gather)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Now(figures, present()))
        text = await asyncio.to_thread(lambda: generate_latest(registry) + generate_latest(meter.registry))
        return Response(text, headers={"content-type": _CONTENT, "cache-control": "no-store"})

    return Route("/metrics", metrics, methods=["GET"])
