"""Statistics of jobs and tasks. Processor time and disk traffic are not measured yet: they are 0."""

from __future__ import annotations

from poolwright.domain.clock import Instant, Micros
from poolwright.domain.job import Job, JobStats, TaskCounts
from poolwright.domain.job_schedule import JobSchedule
from poolwright.domain.task import Task
from poolwright.wire.convert.shared import Document
from poolwright.wire.durations import format_duration
from poolwright.wire.links import Links
from poolwright.wire.times import iso


def show_job_stats(job: Job, counts: TaskCounts, stats: JobStats, links: Links) -> Document:
    """`stats` of a job."""
    return _of_jobs(links.job(job.id), job.started_at, counts, stats)


def show_schedule_stats(schedule: JobSchedule, counts: TaskCounts, stats: JobStats, links: Links) -> Document:
    """`stats` of a schedule: those of its jobs, taken together."""
    return _of_jobs(links.job_schedule(schedule.id), schedule.created_at, counts, stats)


def _of_jobs(url: str, began: Instant, counts: TaskCounts, stats: JobStats) -> Document:
    return {
        **_common(f"{url}/stats", began, max(stats.last_at, began), stats.wall, stats.waited),
        "numSucceededTasks": str(counts.succeeded),
        "numFailedTasks": str(counts.failed),
        "numTaskRetries": str(stats.retries),
    }


def show_task_stats(task: Task, job: Job, links: Links, now: Instant) -> Document:
    """`stats` of a task; of one that runs, up to now."""
    until = task.ended_at if task.ended_at is not None else now
    wall = 0 if task.started_at is None else max(0, until - task.started_at)
    waited = (until if task.started_at is None else task.started_at) - task.created_at
    began = task.created_at if task.started_at is None else task.started_at
    return _common(f"{links.task(job.id, task.id)}/stats", began, until, wall, max(0, waited))


def _common(url: str, began: Instant, updated: Instant, wall: Micros, waited: Micros) -> Document:
    return {
        "url": url,
        "startTime": iso(began),
        "lastUpdateTime": iso(updated),
        "userCPUTime": "PT0S",
        "kernelCPUTime": "PT0S",
        "wallClockTime": format_duration(wall),
        "readIOps": "0",
        "writeIOps": "0",
        "readIOGiB": 0.0,
        "writeIOGiB": 0.0,
        "waitTime": format_duration(waited),
    }
