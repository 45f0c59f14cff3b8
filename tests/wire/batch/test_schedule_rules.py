"""Rules of job schedules through the official client: what each state refuses, and when jobs are made or lost.

Time passes by looking at schedules as if it were later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core.exceptions import HttpResponseError

from poolwright.domain.clock import DAY, MINUTE
from poolwright.domain.states import ScheduleState
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import Live
from tests.wire.batch.test_job_schedules import end_job, look, options
from tests.wire.batch.test_sdk_sync import code_of

TEN = timedelta(minutes=10)
ORDERS: dict[str, Callable[[Any, str], object]] = {
    "disable": lambda client, name: client.disable_job_schedule(name),
    "enable": lambda client, name: client.enable_job_schedule(name),
    "terminate": lambda client, name: client.begin_terminate_job_schedule(name),
    "patch": lambda client, name: client.update_job_schedule(
        name, models.BatchJobScheduleUpdateOptions(schedule=models.BatchJobScheduleConfiguration())
    ),
    "put": lambda client, name: client.replace_job_schedule(name, client.get_job_schedule(name)),
}


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[BatchClient]:
    with live.client() as found:
        yield found


def _refused(order: Callable[[], object]) -> tuple[int | None, str]:
    with pytest.raises(HttpResponseError) as refused:
        order()
    return refused.value.status_code, code_of(refused.value)


def _jobs(client: BatchClient, id: str) -> list[str]:
    return [str(job.id).rpartition("-")[2] for job in client.list_jobs_from_schedule(id)]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (ScheduleState.TERMINATING, "JobScheduleBeingTerminated"),
        (ScheduleState.COMPLETED, "JobScheduleCompleted"),
        (ScheduleState.DELETING, "JobScheduleBeingDeleted"),
    ],
)
def test_a_schedule_that_ends_takes_no_orders(
    client: BatchClient, live: Live, state: ScheduleState, code: str
) -> None:
    id = f"over-{state.value}"
    client.create_job_schedule(options(id))

    def move(tx: Tx) -> None:
        row = tx.schedules.get(ACCOUNT, id)
        assert row is not None
        tx.schedules.update(replace(row, state=state))

    live.write(move)
    before = live.fingerprint()
    for name, order in ORDERS.items():
        assert (name, _refused(lambda o=order: o(client, id))) == (name, (409, code))  # type: ignore[misc]
    if state is ScheduleState.DELETING:
        assert _refused(lambda: client.begin_delete_job_schedule(id)) == (409, code)
        assert _refused(lambda: client.create_job_schedule(options(id))) == (409, code)
    assert live.fingerprint() == before
    if state is not ScheduleState.DELETING:
        client.begin_delete_job_schedule(id)
        assert client.get_job_schedule(id).state == "deleting"


@pytest.mark.parametrize("disabled", [False, True])
def test_the_end_of_a_schedule_is_that_of_its_job(client: BatchClient, live: Live, disabled: bool) -> None:
    id = f"ends-{disabled}".lower()
    client.create_job_schedule(options(id, recurrence_interval=TEN))
    look(live, id)
    if disabled:
        client.disable_job_schedule(id)
    client.begin_terminate_job_schedule(id)
    assert client.get_job_schedule(id).state == "terminating"
    look(live, id)
    assert client.get_job(f"{id}:job-1").state == "terminating"
    assert client.get_job_schedule(id).state == "terminating", "its job has not ended"
    end_job(live, f"{id}:job-1")
    assert client.get_job(f"{id}:job-1")["executionInfo"]["terminateReason"] == "TerminateJobSchedule"
    look(live, id)
    assert client.get_job_schedule(id).state == "completed"


def test_a_disabled_schedule_takes_changes_and_goes_when_deleted(client: BatchClient, live: Live) -> None:
    client.create_job_schedule(options("idle", recurrence_interval=TEN))
    look(live, "idle")
    client.disable_job_schedule("idle")
    hour = models.BatchJobScheduleConfiguration(recurrence_interval=timedelta(hours=1))
    client.update_job_schedule("idle", models.BatchJobScheduleUpdateOptions(schedule=hour))
    shown = client.get_job_schedule("idle")
    assert (shown.state, shown.schedule and shown.schedule.recurrence_interval) == (
        "disabled",
        timedelta(hours=1),
    )
    client.begin_delete_job_schedule("idle")
    look(live, "idle")
    assert client.get_job("idle:job-1").state == "deleting", "its jobs go with it"


def test_a_schedule_without_an_end_lives_on_and_keeps_to_its_grid(client: BatchClient, live: Live) -> None:
    day = timedelta(days=1)
    client.create_job_schedule(options("endless", recurrence_interval=day))
    look(live, "endless")
    end_job(live, "endless:job-1")
    look(live, "endless", late=400 * DAY + MINUTE)
    assert _jobs(client, "endless") == ["1", "2"]
    found = client.get_job_schedule("endless")
    assert (found.state, found.execution_info.end_time) == ("active", None)
    assert found.execution_info.next_run_time == found.creation_time + 401 * day, (
        "days of 24 hours: no daylight saving"
    )


def test_disabling_stops_new_jobs_and_no_running_one(client: BatchClient, live: Live) -> None:
    client.create_job_schedule(options("rests", recurrence_interval=TEN))
    look(live, "rests")
    client.disable_job_schedule("rests")
    assert _refused(lambda: client.disable_job_schedule("rests")) == (409, "JobScheduleDisabled")
    assert client.get_job("rests:job-1").state == "active", "a running job goes on"
    end_job(live, "rests:job-1")
    look(live, "rests", late=15 * MINUTE)
    assert _jobs(client, "rests") == ["1"]
    client.enable_job_schedule("rests")
    tag = client.get_job_schedule("rests").etag
    client.enable_job_schedule("rests")
    assert client.get_job_schedule("rests").etag == tag, "an enabled one stays as it is"
    look(live, "rests", late=45 * MINUTE)
    assert _jobs(client, "rests") == ["1", "2"], "what was missed is not made up for"


def test_one_active_job_and_a_window_that_may_close(client: BatchClient, live: Live) -> None:
    window = timedelta(minutes=2)
    client.create_job_schedule(options("narrow", recurrence_interval=TEN, start_window=window))
    look(live, "narrow")
    look(live, "narrow", late=11 * MINUTE)
    assert _jobs(client, "narrow") == ["1"], "the first one still runs"
    end_job(live, "narrow:job-1")
    look(live, "narrow", late=13 * MINUTE)
    assert _jobs(client, "narrow") == ["1"], "the window of the second is over"
    look(live, "narrow", late=21 * MINUTE)
    assert _jobs(client, "narrow") == ["1", "2"]


def test_a_window_beyond_the_interval_is_endless(client: BatchClient, live: Live) -> None:
    window = timedelta(hours=5)
    client.create_job_schedule(options("wide", recurrence_interval=TEN, start_window=window))
    look(live, "wide")
    look(live, "wide", late=19 * MINUTE)
    end_job(live, "wide:job-1")
    look(live, "wide", late=19 * MINUTE)
    assert _jobs(client, "wide") == ["1", "2"], "the job waited for the end of the first"


def test_a_service_that_was_away_makes_at_most_one_job(client: BatchClient, live: Live) -> None:
    client.create_job_schedule(options("away", recurrence_interval=TEN, start_window=timedelta(minutes=3)))
    look(live, "away", late=95 * MINUTE)
    assert _jobs(client, "away") == [], "each window passed"
    look(live, "away", late=101 * MINUTE)
    look(live, "away", late=102 * MINUTE)
    assert _jobs(client, "away") == ["1"]


def test_a_schedule_of_one_job_completes_with_it(client: BatchClient, live: Live) -> None:
    client.create_job_schedule(options("single"))
    look(live, "single")
    assert client.get_job_schedule("single").state == "active"
    end_job(live, "single:job-1")
    look(live, "single", late=MINUTE)
    done = client.get_job_schedule("single")
    assert done.state == "completed"
    assert done.execution_info.end_time is not None


def test_times_before_and_after_which_nothing_runs(client: BatchClient, live: Live) -> None:
    now = datetime.fromtimestamp(live.parts.clock.now() / 1_000_000).astimezone()
    times: Any = {"do_not_run_until": now + 2 * TEN, "do_not_run_after": now + 3 * TEN}
    client.create_job_schedule(options("between", recurrence_interval=TEN, **times))
    look(live, "between", late=19 * MINUTE)
    assert _jobs(client, "between") == []
    look(live, "between", late=21 * MINUTE)
    assert _jobs(client, "between") == ["1"]
    look(live, "between", late=41 * MINUTE)
    assert client.get_job_schedule("between").state == "active", "its last job still runs"
    end_job(live, "between:job-1")
    look(live, "between", late=41 * MINUTE)
    assert (client.get_job_schedule("between").state, _jobs(client, "between")) == ("completed", ["1"])


def test_a_change_of_the_specification_is_for_later_jobs(client: BatchClient, live: Live) -> None:
    client.create_job_schedule(options("later", recurrence_interval=TEN))
    look(live, "later")
    changed = models.BatchJobSpecification(pool_info=models.BatchPoolInfo(pool_id="elsewhere"), priority=9)
    client.update_job_schedule("later", models.BatchJobScheduleUpdateOptions(job_specification=changed))
    assert client.get_job("later:job-1").priority == 7
    end_job(live, "later:job-1")
    look(live, "later", late=11 * MINUTE)
    job = client.get_job("later:job-2")
    assert (job.priority, job.pool_info.pool_id) == (9, "elsewhere")
