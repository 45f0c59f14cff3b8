"""Rules of time, for real and with short spans: schedules, the life of a task. The virtual clock of the simulation
plays them in full length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.batch import models as batch

from tests.e2e.service.live import Live, running
from tests.e2e.service.rules.test_jobs import disable, ended, job_state
from tests.support.waiting import wait_until

MINUTE = timedelta(minutes=1)
LIFE_S = 8  # of a task


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service whose tasks do not get old, with two nodes of two slots."""
    with running(tmp_path_factory.mktemp("times"), "--task-life", f"{LIFE_S}s") as made:
        made.idle_pool(dedicated=2, slots=2)
        yield made


def _now() -> datetime:
    return datetime.now(UTC)


def _after(moment: datetime) -> None:
    """Wait until this moment is over."""
    wait_until(lambda: _now() > moment, 60, lambda: f"{_now()} is not after {moment}")


def _in(seconds: float) -> datetime:
    return _now() + timedelta(seconds=seconds)


@contextmanager
def _schedules(live: Live) -> Iterator[Callable[..., None]]:
    """Makes schedules; they are gone afterwards."""

    def make(id: str, *, ends: bool = False, **times: Any) -> None:
        """`ends`: its jobs end at once."""
        live.batch.create_job_schedule(
            batch.BatchJobScheduleCreateOptions(
                id=id,
                schedule=batch.BatchJobScheduleConfiguration(**times),
                job_specification=batch.BatchJobSpecification(
                    pool_info=batch.BatchPoolInfo(pool_id="nowhere"),
                    all_tasks_complete_mode="terminatejob" if ends else "noaction",
                ),
            )
        )

    try:
        yield make
    finally:
        for schedule in live.batch.list_job_schedules():
            live.batch.begin_delete_job_schedule(str(schedule["id"]))
        wait_until(lambda: not list(live.batch.list_job_schedules()), 60, live.service.log_tail)


def _jobs(live: Live, schedule: str) -> list[str]:
    return [str(job["id"]).rpartition("-")[2] for job in live.batch.list_jobs_from_schedule(schedule)]


def _schedule(live: Live, id: str) -> Any:
    return live.batch.get_job_schedule(id)


def _next_run(live: Live, id: str) -> datetime:
    return datetime.fromisoformat(str(_schedule(live, id)["executionInfo"]["nextRunTime"]))


def test_schedules_by_the_clock(live: Live) -> None:
    """Intervals and windows have a minute at least, so the next due time is brought near by changing the first one."""
    with _schedules(live) as make:
        make("waits", recurrence_interval=MINUTE)
        wait_until(lambda: _jobs(live, "waits") == ["1"], 60, lambda: _schedule(live, "waits"))
        soon = _in(2)
        near = batch.BatchJobScheduleConfiguration(do_not_run_until=soon, recurrence_interval=MINUTE)
        live.batch.update_job_schedule("waits", batch.BatchJobScheduleUpdateOptions(schedule=near))
        make("later", do_not_run_until=soon, ends=True)
        make("ending", recurrence_interval=MINUTE, do_not_run_after=soon, ends=True)
        for id in ("later", "ending"):
            wait_until(lambda: _schedule(live, id)["state"] == "completed", 60, lambda: _schedule(live, id))  # noqa: B023
        (job,) = live.batch.list_jobs_from_schedule("later")
        assert datetime.fromisoformat(str(job["creationTime"])) >= soon, "not before doNotRunUntil"
        assert _jobs(live, "ending") == ["1"], "nothing after doNotRunAfter"
        assert _jobs(live, "waits") == ["1"], "the next one is due, and the first still runs"
        why: Any = {"terminateReason": "enough"}
        live.batch.begin_terminate_job("waits:job-1", why)
        wait_until(lambda: _jobs(live, "waits") == ["1", "2"], 60, lambda: _schedule(live, "waits"))
        live.batch.begin_terminate_job_schedule("waits")
        done = job_state(live, "completed", "waits:job-2")
        assert done["executionInfo"]["terminateReason"] == "TerminateJobSchedule"
        wait_until(lambda: _schedule(live, "waits")["state"] == "completed", 60, live.service.log_tail)


def test_a_run_is_lost_when_its_start_window_closes(live: Live) -> None:
    """A minute is the shortest window there is."""
    with _schedules(live) as make:
        make("misses", recurrence_interval=MINUTE)
        wait_until(lambda: _jobs(live, "misses") == ["1"], 60, lambda: _schedule(live, "misses"))
        due = _in(1)
        hours = timedelta(hours=2)
        times = batch.BatchJobScheduleConfiguration(
            do_not_run_until=due, start_window=MINUTE, recurrence_interval=hours
        )
        live.batch.update_job_schedule("misses", batch.BatchJobScheduleUpdateOptions(schedule=times))
        _after(due)
        assert "job misses:job-1 is active" in live.why("jobschedules", "misses"), (
            "it is due, and has to wait"
        )
        wait_until(lambda: _next_run(live, "misses") > due + MINUTE, 90, lambda: _schedule(live, "misses"))
        assert _now() > due + MINUTE, "not before the window closed"
        assert _next_run(live, "misses") - due - hours < timedelta(seconds=1)
        why: Any = {"terminateReason": "enough"}
        live.batch.begin_terminate_job("misses:job-1", why)
        job_state(live, "completed", "misses:job-1")
        assert "is due at" in live.why("jobschedules", "misses")
        assert _jobs(live, "misses") == ["1"], "what was missed is not made up"


def test_a_task_has_a_life_from_its_creation_to_its_end(live: Live) -> None:
    live.job(max_parallel_tasks=1)
    live.task("runs", "sleep 600")
    live.task("waits", "true")
    live.job("off")
    live.wait_task("runs", "running")
    disable(live, "requeue", "off")
    job_state(live, "disabled", "off")
    live.task("held", "true", "off")
    born = datetime.fromisoformat(str(live.batch.get_task("off", "held")["creationTime"]))
    info = ended(live, "runs")
    assert (info["result"], info["failureInfo"]["code"]) == ("failure", "TaskEnded")
    assert info["retryCount"] == info["requeueCount"] == 0
    _after(born + timedelta(seconds=1.2 * LIFE_S))
    live.batch.begin_enable_job("off")
    job_state(live, "active", "off")
    for id, job in (("waits", "job"), ("held", "off")):
        live.task("young", "true", job)
        assert ended(live, "young", job)["result"] == "success"
        assert live.state(id, job) == "active", "it is left as it was"
        assert "will not run any more" in live.why("jobs", job, "tasks", id)
