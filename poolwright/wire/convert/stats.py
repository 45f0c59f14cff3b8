"""Statistics of pools, jobs and tasks. What runs used counts when they are over."""

from __future__ import annotations

from poolwright.domain.clock import Instant, Micros
from poolwright.domain.job import Job, JobStats, TaskCounts
from poolwright.domain.job_schedule import JobSchedule
from poolwright.domain.pool import Pool
from poolwright.domain.pool_stats import PoolStats
from poolwright.domain.states import TaskState
from poolwright.domain.task import Task
from poolwright.domain.task_usage import NOTHING, TaskUsage
from poolwright.wire.convert.shared import Document
from poolwright.wire.durations import format_duration
from poolwright.wire.links import Links
from poolwright.wire.times import iso

_GIB = 1 << 30
_MIB_IN_GIB = 1024


def show_job_stats(job: Job, counts: TaskCounts, stats: JobStats, links: Links) -> Document:
    """`stats` of a job."""
    return _of_jobs(links.job(job.id), job.started_at, counts, stats)


def show_schedule_stats(schedule: JobSchedule, counts: TaskCounts, stats: JobStats, links: Links) -> Document:
    """`stats` of a schedule: those of its jobs, taken together."""
    return _of_jobs(links.job_schedule(schedule.id), schedule.created_at, counts, stats)


def _of_jobs(url: str, began: Instant, counts: TaskCounts, stats: JobStats) -> Document:
    return {
        **_common(f"{url}/stats", began, max(stats.last_at, began), stats.used, stats.waited),
        "numSucceededTasks": str(counts.succeeded),
        "numFailedTasks": str(counts.failed),
        "numTaskRetries": str(stats.retries),
    }


def show_task_stats(task: Task, job: Job, links: Links, now: Instant) -> Document:
    """`stats` of a task: of all its runs, the time of one that goes on up to now."""
    until = task.ended_at if task.ended_at is not None else now
    used = task.used or NOTHING
    runs = task.state in (TaskState.PREPARING, TaskState.RUNNING)
    if task.started_at is not None and (
        runs or task.used is None
    ):  # its end is not known, or was not measured
        used += TaskUsage(wall=max(0, until - task.started_at))
    waited = (until if task.started_at is None else task.started_at) - task.created_at
    began = task.created_at if task.started_at is None else task.started_at
    return _common(f"{links.task(job.id, task.id)}/stats", began, until, used, max(0, waited))


def show_pool_stats(pool: Pool, stats: PoolStats, links: Links) -> Document:
    """`stats` of a pool, since it was made. Its memory and disks are averages over its nodes, its transfers sums."""
    span = {"startTime": iso(pool.created_at), "lastUpdateTime": iso(max(stats.last_at, pool.created_at))}
    resources = {
        "avgCPUPercentage": 100 * stats.average(stats.cpu),
        "avgMemoryGiB": stats.average(stats.memory) / _MIB_IN_GIB,
        "peakMemoryGiB": stats.memory_peak / _MIB_IN_GIB,
        "avgDiskGiB": stats.average(stats.disk),
        "peakDiskGiB": stats.disk_peak,
        "diskReadIOps": str(round(stats.reads)),
        "diskWriteIOps": str(round(stats.writes)),
        "diskReadGiB": stats.read_bytes / _GIB,
        "diskWriteGiB": stats.written_bytes / _GIB,
        "networkReadGiB": stats.received / _GIB,
        "networkWriteGiB": stats.sent / _GIB,
    }
    return {
        "url": f"{links.pool(pool.id)}/stats",
        **span,
        "usageStats": {**span, "dedicatedCoreTime": format_duration(stats.core_time)},
        "resourceStats": {**span, **resources},
    }


def _common(url: str, began: Instant, updated: Instant, used: TaskUsage, waited: Micros) -> Document:
    return {
        "url": url,
        "startTime": iso(began),
        "lastUpdateTime": iso(updated),
        "userCPUTime": format_duration(used.user),
        "kernelCPUTime": format_duration(used.kernel),
        "wallClockTime": format_duration(used.wall),
        "readIOps": str(used.reads),
        "writeIOps": str(used.writes),
        "readIOGiB": used.read_bytes / _GIB,
        "writeIOGiB": used.written_bytes / _GIB,
        "waitTime": format_duration(waited),
    }
