"""One job of many tasks through the official SDK: adding, counting, listing, filtering and deleting them, and what the
service needs of time and memory for it. Nothing runs: the job's pool does not exist."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure.batch import BatchClient
from azure.batch import models as batch

from bench import report
from demo.clients import connect
from demo.service import Service

DEADLINE_S = 600.0
_PART = 10_000  # tasks handed to the SDK at a time


def _memory_mib(pid: int, field: str) -> float:
    """VmRSS (now) or VmHWM (the most there was) of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def _timed(figures: dict[str, list[float]], name: str, work: Callable[[], object]) -> None:
    began = time.perf_counter()
    work()
    figures.setdefault(name, []).append(time.perf_counter() - began)


def _round(client: BatchClient, job: str, count: int, figures: dict[str, list[float]]) -> None:
    client.create_job(batch.BatchJobCreateOptions(id=job, pool_info=batch.BatchPoolInfo(pool_id="nowhere")))

    def add() -> None:
        for start in range(0, count, _PART):
            numbers = range(start, min(start + _PART, count))
            client.create_tasks(
                job, [batch.BatchTaskCreateOptions(id=f"{n:07d}", command_line="/bin/true") for n in numbers]
            )

    def found(**options: Any) -> int:
        return sum(1 for _ in client.list_tasks(job, **options))

    def expect(wanted: int, **options: Any) -> None:
        seen = found(**options)
        if seen != wanted:
            raise RuntimeError(f"{wanted} tasks were to be found, not {seen}: {options}")

    _timed(figures, "add", add)
    _timed(figures, "counts", lambda: client.get_job_task_counts(job))
    _timed(figures, "list all", lambda: expect(count))
    _timed(figures, "list all, ids only", lambda: expect(count, select=["id"]))
    _timed(figures, "filter: none of all", lambda: expect(0, filter="executionInfo/exitCode gt 0"))
    _timed(
        figures, "filter: ten by id", lambda: expect(10, filter=f"startswith(id,'{(count - 1) // 10:06d}')")
    )

    def delete() -> None:
        client.begin_delete_job(job)
        deadline = time.perf_counter() + DEADLINE_S
        while any(found.id == job for found in client.list_jobs()):
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{job} is not deleted after {DEADLINE_S:.0f} s")
            time.sleep(0.05)

    _timed(figures, "delete", delete)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    report.heading(f"a job of {options.tasks} tasks")
    scratch = Path(tempfile.mkdtemp(prefix="poolwright-bench-"))
    service = Service(scratch / "data", scratch / "service.log")
    try:
        ready = service.start()
        figures: dict[str, list[float]] = {}
        memory: list[float] = []
        with connect(ready).batch(ready.account_endpoint) as client:
            idle = _memory_mib(ready.pid, "VmRSS")
            for number in range(options.rounds):
                _round(client, f"job-{number}", options.tasks, figures)
                memory.append(_memory_mib(ready.pid, "VmRSS"))
        for name, values in figures.items():
            report.row(name, values, "s")
        report.row("memory of the service before", [idle], "MiB")
        report.row("memory of the service after each round", memory, "MiB")
        report.row("most memory of the service", [_memory_mib(ready.pid, "VmHWM")], "MiB")
    finally:
        service.stop()
        service.down()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
