"""Core hours of pools, through the official SDK."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from poolwright.commands.usage import INTERVAL
from poolwright.domain.autoscale import Sample
from poolwright.domain.clock import SECOND
from poolwright.domain.pool_stats import PoolStats, grown
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.bad_bodies import POOL
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller


def test_core_hours_by_half_hours(live: Live) -> None:
    call = Caller(live)
    for id in ("use-a", "use-b"):
        assert call("POST", "/pools", {**POOL, "id": id}).status == 201
    ended = live.parts.clock.now() // INTERVAL * INTERVAL
    counted = {"CurrentDedicatedNodes": 3.0, "CurrentLowPriorityNodes": 1.0}
    for pool, start in (
        ("use-a", ended - 2 * INTERVAL),
        ("use-a", ended - INTERVAL),
        ("use-b", ended - INTERVAL),
    ):
        for number in range(60):
            sample = Sample(start + number * 30 * SECOND, counted)
            live.write(lambda tx, pool=pool, sample=sample: tx.samples.record(ACCOUNT, pool, sample))  # type: ignore[misc]
    live.write(lambda tx: tx.samples.record(ACCOUNT, "use-a", Sample(ended, counted)))
    with live.client() as client:
        last = list(client.list_pool_usage_metrics())
        assert [(use.pool_id, use.total_core_hours, use.vm_size) for use in last] == [
            ("use-a", 4.0, "standard_d2s_v3"),
            ("use-b", 4.0, "standard_d2s_v3"),
        ]
        assert last[0].end_time - last[0].start_time == timedelta(minutes=30)
        since = datetime.now(UTC) - timedelta(hours=3)
        longer = list(client.list_pool_usage_metrics(start_time=since))
        assert [use.pool_id for use in longer] == ["use-a", "use-a", "use-b"]
        chosen = list(client.list_pool_usage_metrics(start_time=since, filter="poolId eq 'USE-B'"))
        assert [use.pool_id for use in chosen] == ["use-b"]
    path, pages = f"startTime={since.strftime('%Y-%m-%dT%H:%M:%SZ')}&maxresults=1", []
    while path:
        page = call("GET", "/poolusagemetrics", query=path).document
        pages.append([use["poolId"] for use in page["value"]])
        path = page.get("odata.nextLink", "").partition("?")[2].partition("&")[2]
    assert [use for page in pages for use in page] == ["use-a", "use-a", "use-b"]
    assert len(pages) >= 3
    bad = call("GET", "/poolusagemetrics", query="startTime=yesterday")
    assert (bad.code, bad.values["QueryParameterName"]) == ("InvalidQueryParameterValue", "startTime")
    swapped = call(
        "GET", "/poolusagemetrics", query="startTime=2026-01-02T00:00:00Z&endtime=2026-01-01T00:00:00Z"
    )
    assert swapped.code == "InvalidQueryParameterValue"


def test_statistics_of_pools_since_they_were_made(live: Live) -> None:
    assert Caller(live)("POST", "/pools", {**POOL, "id": "use-stats"}).status == 201
    nodes = {"CurrentDedicatedNodes": 3.0, "CurrentLowPriorityNodes": 1.0}
    used = {
        "CPUPercent": 0.5, "MemoryBytes": 512.0, "DiskBytes": 2.0, "DiskReadOps": 10.0, "DiskWriteOps": 20.0,
        "DiskReadBytes": 2.0**30, "DiskWriteBytes": 2.0**31, "NetworkInBytes": 2.0**29, "NetworkOutBytes": 2.0**28,
    }  # fmt: skip
    more = {**used, "CPUPercent": 0.25, "MemoryBytes": 1024.0, "DiskBytes": 4.0}
    at = live.parts.clock.now()
    samples = [
        Sample(at + n * 30 * SECOND, told) for n, told in enumerate((nodes, nodes | used, nodes | more))
    ]
    stats = PoolStats()
    for sample in (*samples, samples[-1]):
        stats = grown(stats, sample, 2)
    live.write(lambda tx: tx.samples.put_stats(ACCOUNT, "use-stats", stats))
    with live.client() as client:
        assert client.get_pool("use-stats").pool_statistics is None
        told = client.get_pool("use-stats", expand=["stats"]).pool_statistics
        (listed,) = client.list_pools(filter="id eq 'use-stats'", expand=["stats"])
    assert listed.pool_statistics == told
    assert told is not None
    assert told.usage_statistics is not None
    assert told.usage_statistics.dedicated_core_time == timedelta(seconds=3 * 3 * 30 * 2)
    held = told.resource_statistics
    assert held is not None
    assert (held.avg_cpu_percentage, held.avg_memory_gib, held.peak_memory_gib) == (37.5, 0.75, 1.0)
    assert (held.avg_disk_gib, held.peak_disk_gib) == (3.0, 4.0)
    assert (held.disk_read_iops, held.disk_write_iops) == (20, 40)
    assert (held.disk_read_gib, held.disk_write_gib) == (2.0, 4.0)
    assert (held.network_read_gib, held.network_write_gib) == (1.0, 0.5)
