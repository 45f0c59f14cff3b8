"""A job of many tasks, through the official client: what the service needs of memory does not grow with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.batch import models as batch

from poolwright.store.connection import READ_CACHE_KIB, WRITE_CACHE_KIB
from poolwright.store.sqlite import Tuning
from tests.e2e.service.live import Live
from tests.support.waiting import wait_until

SMALL, LARGE = 2_000, 30_000
PART = 5_000
#: Beyond the store's caches, which are filled once: what the allocator keeps.
SLACK_KIB = 24 * 1024


def _peak_kib(pid: int) -> int:
    """The most memory of the process since the last look."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): the peak begins anew
    return peak


def _round(live: Live, job: str, count: int) -> None:
    live.job(job, pool="nowhere")
    padding = "x" * 500
    for start in range(0, count, PART):
        tasks = [
            batch.BatchTaskCreateOptions(id=f"{n:06d}", command_line=f"/bin/true {padding}")
            for n in range(start, min(start + PART, count))
        ]
        live.batch.create_tasks(job, tasks)
    counts = live.batch.get_job_task_counts(job)["taskCounts"]
    assert (counts["active"], counts["completed"]) == (count, 0)
    assert sum(1 for _ in live.batch.list_tasks(job, select=["id", "commandLine"])) == count
    assert not list(live.batch.list_tasks(job, filter="executionInfo/exitCode ne 0"))
    last = live.batch.list_tasks(job, filter=f"id ge '{count - 10:06d}'", select=["id"])
    assert [task["id"] for task in last] == [f"{n:06d}" for n in range(count - 10, count)]
    live.batch.begin_delete_job(job)
    wait_until(lambda: not list(live.batch.list_jobs()), 120, f"{job} is not deleted")


def test_listing_filtering_and_deleting_take_the_same_memory_whatever_the_number_of_tasks(live: Live) -> None:
    pid = live.ready.pid
    try:
        _peak_kib(pid)
    except OSError as refused:
        pytest.skip(f"this kernel does not let the peak of a process's memory begin anew: {refused}")
    _round(live, "small", SMALL)
    small = _peak_kib(pid)
    _round(live, "large", LARGE)
    grown = _peak_kib(pid) - small
    caches = WRITE_CACHE_KIB + Tuning().readers * READ_CACHE_KIB
    assert grown < caches + SLACK_KIB, (
        f"{LARGE} tasks took {grown} KiB more than {SMALL}, with {caches} of caches"
    )
