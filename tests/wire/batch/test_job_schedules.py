"""Job schedules and auto pools through the official client, in both versions of the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from poolwright.commands import schedules
from poolwright.domain.clock import MINUTE, Instant
from poolwright.domain.limits import Settings
from poolwright.domain.states import JobState
from poolwright.reconcile import auto_pools
from poolwright.reconcile import schedules as loop
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import OLD_VERSION, Live, RandomIds
from tests.wire.batch.raw import Caller
from tests.wire.batch.test_sdk_sync import DEADLINE_S, POLL_S, code_of, pool_options

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

IDS = RandomIds()
POLL: dict[str, Any] = {"polling_interval": POLL_S}


@pytest.fixture(params=[None, OLD_VERSION], ids=["new", "old"])
def client(live: Live, request: pytest.FixtureRequest) -> Iterator[BatchClient]:
    options = {} if request.param is None else {"api_version": request.param}
    with live.client(**options) as found:
        yield found


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    return Caller(live)


class LateClock:
    """The server's clock and some time on top: schedules are looked at as if that had passed."""

    def __init__(self, live: Live, late: int) -> None:
        self._live, self._late = live, late

    def now(self) -> Instant:
        return self._live.parts.clock.now() + self._late


def look(live: Live, schedule: str, late: int = 0) -> None:
    """Passes of the schedule's loop, as the service makes them, until nothing is to be done at once."""
    clock = LateClock(live, late)
    make = schedules.JobFactory(clock, IDS, Settings())
    for _ in range(4):
        again = live.write(partial(loop.run, make=make, account=ACCOUNT, id=schedule, now=clock.now()))
        if again is None or again > clock.now():
            return


def end_job(live: Live, id: str) -> None:
    """End the job, as its loop would, and let go of its pool."""

    def end(tx: Tx) -> None:
        job = tx.jobs.get(ACCOUNT, id)
        assert job is not None
        tx.jobs.update(replace(job, state=JobState.COMPLETED, ended_at=live.parts.clock.now()))
        auto_pools.let_go(tx, ACCOUNT, job.spec.pool, live.parts.clock.now())

    live.write(end)


def auto_info(lifetime: str = "job", keep_alive: bool = False) -> models.BatchPoolInfo:
    pool = pool_options("x")
    specification = models.BatchPoolSpecification(
        vm_size=pool.vm_size,
        virtual_machine_configuration=pool.virtual_machine_configuration,
        target_dedicated_nodes=0,
        user_accounts=[models.UserAccount(name="worker", password="Not-to-be-seen-7")],
    )
    return models.BatchPoolInfo(
        auto_pool_specification=models.BatchAutoPoolSpecification(
            auto_pool_id_prefix="night",
            pool_lifetime_option=lifetime,
            keep_alive=keep_alive,
            pool=specification,
        )
    )


def options(
    id: str, info: models.BatchPoolInfo | None = None, **times: Any
) -> models.BatchJobScheduleCreateOptions:
    return models.BatchJobScheduleCreateOptions(
        id=id,
        display_name="Nightly",
        schedule=models.BatchJobScheduleConfiguration(**times),
        job_specification=models.BatchJobSpecification(
            pool_info=info or models.BatchPoolInfo(pool_id="nowhere"),
            priority=7,
            common_environment_settings=[models.EnvironmentSetting(name="A", value="1")],
        ),
        metadata=[models.BatchMetadataItem(name="owner", value="tests")],
    )


def name_of(client: BatchClient, what: str) -> str:
    return f"{what}-{'old' if client._config.api_version == OLD_VERSION else 'new'}"


def test_the_life_of_a_schedule(client: BatchClient, live: Live) -> None:
    id = name_of(client, "life")
    with pytest.raises(ResourceNotFoundError):
        client.job_schedule_exists(id)
    client.create_job_schedule(options(id, recurrence_interval=timedelta(minutes=10)))
    client.job_schedule_exists(id)
    with pytest.raises(ResourceExistsError) as exists:
        client.create_job_schedule(options(id.upper()))
    assert code_of(exists.value) == "JobScheduleExists"
    with pytest.raises(ResourceExistsError) as same:
        client.create_job(models.BatchJobCreateOptions(id=id, pool_info=models.BatchPoolInfo(pool_id="p")))
    assert code_of(same.value) == "JobScheduleWithSameIdExists"

    found = client.get_job_schedule(id)
    assert (found.state, found.display_name, found.url) == (
        "active",
        "Nightly",
        f"{live.url}/jobschedules/{id}",
    )
    assert found.schedule is not None
    assert found.schedule.recurrence_interval == timedelta(minutes=10)
    assert (found.job_specification.priority, found.execution_info.recent_job) == (7, None)
    assert found.execution_info.next_run_time == found.creation_time
    assert found.metadata is not None
    assert found.metadata[0].name == "owner"

    look(live, id)
    first = f"{id}:job-1"
    found = client.get_job_schedule(id)
    assert found.execution_info.recent_job is not None
    assert (found.execution_info.recent_job.id, found.execution_info.recent_job.url) == (
        first,
        f"{live.url}/jobs/{first}",
    )
    assert found.execution_info.next_run_time == found.creation_time + timedelta(minutes=10)
    job = client.get_job(first)
    assert (job.priority, job.state, job.execution_info and job.execution_info.pool_id) == (
        7,
        "active",
        "nowhere",
    )
    client.create_task(first, models.BatchTaskCreateOptions(id="t", command_line="/bin/true"))
    assert [task.id for task in client.list_tasks(first)] == ["t"]
    assert client.get_task(first, "t").url == f"{live.url}/jobs/{first}/tasks/t"

    end_job(live, first)
    look(live, id, late=35 * MINUTE)
    jobs = list(client.list_jobs_from_schedule(id))
    assert [(job.id, job.state) for job in jobs] == [(first, "completed"), (f"{id}:job-2", "active")]
    active = client.list_jobs_from_schedule(id, filter="state eq 'active'", select=["id"])
    assert [job.as_dict() for job in active] == [{"id": f"{id}:job-2"}]
    with pytest.raises(HttpResponseError, match="InvalidQueryParameterValue"):
        list(client.list_jobs_from_schedule(id, filter=f"id eq '{first}'"))
    assert [job.id for job in client.list_jobs(filter=f"id eq '{first}'")] == [first]


def test_the_end_of_a_schedule(client: BatchClient, live: Live) -> None:
    id = name_of(client, "end")
    client.create_job_schedule(options(id, recurrence_interval=timedelta(minutes=10)))
    look(live, id)
    end_job(live, f"{id}:job-1")
    look(live, id, late=35 * MINUTE)
    statistics = client.get_job_schedule(id, expand=["stats"]).job_schedule_statistics
    assert statistics is not None
    assert (statistics.succeeded_tasks_count, statistics.wall_clock_time) == (0, timedelta(0))
    assert client.get_job_schedule(id).job_schedule_statistics is None
    ending = client.begin_terminate_job_schedule(id, **POLL)
    assert client.get_job_schedule(id).state == "terminating"
    look(live, id)
    assert client.get_job(f"{id}:job-2").state == "terminating"
    end_job(live, f"{id}:job-2")
    look(live, id)
    ending.wait(DEADLINE_S)
    assert ending.done()
    done = client.get_job_schedule(id)
    assert (done.state, done.previous_state) == ("completed", "terminating")
    assert done.execution_info.end_time is not None
    assert done.execution_info.next_run_time is None
    with pytest.raises(ResourceExistsError) as over:
        client.disable_job_schedule(id)
    assert code_of(over.value) == "JobScheduleCompleted"
    going = client.begin_delete_job_schedule(id, **POLL)
    assert client.get_job_schedule(id).state == "deleting"
    look(live, id)
    assert client.get_job(f"{id}:job-1").state == "deleting"
    for number in (1, 2):
        live.write(partial(_drop, f"{id}:job-{number}"))
    look(live, id)
    going.wait(DEADLINE_S)
    assert going.done()
    with pytest.raises(ResourceNotFoundError) as gone:
        client.get_job_schedule(id)
    assert code_of(gone.value) == "JobScheduleNotFound"


def _drop(id: str, tx: Tx) -> None:
    job = tx.jobs.get(ACCOUNT, id)
    assert job is not None
    tx.tasks.delete_some(job.pk, 10)
    tx.jobs.delete(ACCOUNT, id)


def test_changes_and_conditions(client: BatchClient, live: Live) -> None:
    id = name_of(client, "change")
    later = datetime(2030, 1, 1, tzinfo=UTC)
    client.create_job_schedule(options(id, do_not_run_until=later))
    found = client.get_job_schedule(id)
    assert found.execution_info.next_run_time == later
    client.update_job_schedule(
        id,
        models.BatchJobScheduleUpdateOptions(
            schedule=models.BatchJobScheduleConfiguration(
                do_not_run_until=later,
                start_window=timedelta(minutes=5),
                recurrence_interval=timedelta(days=1),
            )
        ),
    )
    changed = client.get_job_schedule(id)
    assert changed.etag != found.etag
    assert changed.schedule is not None
    assert (changed.schedule.start_window, changed.job_specification.priority) == (timedelta(minutes=5), 7)
    stale: dict[str, Any] = {"etag": found.etag, "match_condition": MatchConditions.IfNotModified}
    with pytest.raises(HttpResponseError) as refused:
        client.disable_job_schedule(id, **stale)
    assert refused.value.status_code == 412
    client.disable_job_schedule(id)
    with pytest.raises(ResourceExistsError) as twice:
        client.disable_job_schedule(id)
    assert code_of(twice.value) == "JobScheduleDisabled"
    look(live, id)
    assert client.get_job_schedule(id).execution_info.next_run_time is None
    client.enable_job_schedule(id)
    client.enable_job_schedule(id)

    whole = client.get_job_schedule(id)
    whole.schedule = None
    whole.metadata = None
    whole.job_specification.priority = 3
    client.replace_job_schedule(id, whole)
    replaced = client.get_job_schedule(id)
    assert (replaced.metadata, replaced.job_specification.priority) == (None, 3)
    assert replaced.execution_info.next_run_time == replaced.creation_time, "one job, at once"
    listed = client.list_job_schedules(filter=f"startswith(id, '{id}') and state eq 'active'", select=["id"])
    assert [one.as_dict() for one in listed] == [{"id": id}]
    with pytest.raises(HttpResponseError) as bad:
        client.update_job_schedule(
            id,
            models.BatchJobScheduleUpdateOptions(
                schedule=models.BatchJobScheduleConfiguration(recurrence_interval=timedelta(seconds=59))
            ),
        )
    assert code_of(bad.value) == "InvalidPropertyValue"
    assert "schedule.recurrenceInterval" in str(bad.value)


def test_a_pool_of_the_schedule_and_one_of_a_job(client: BatchClient, live: Live) -> None:
    id = name_of(client, "pools")
    client.create_job_schedule(options(id, auto_info("jobschedule"), recurrence_interval=timedelta(hours=1)))
    look(live, id)
    scheduled = client.get_job(f"{id}:job-1")
    assert scheduled.execution_info is not None
    pool = str(scheduled.execution_info.pool_id)
    assert pool.startswith("night_")
    assert client.get_pool(pool).vm_size == "standard_d2s_v3"
    for document in (
        client.get_job_schedule(id).as_dict()["jobSpecification"],
        scheduled.as_dict(),
    ):
        auto = document["poolInfo"]["autoPoolSpecification"]
        assert (auto["poolLifetimeOption"], auto["pool"]["vmSize"]) == ("jobschedule", "STANDARD_D2s_v3")
        assert [user["name"] for user in auto["pool"]["userAccounts"]] == ["worker"]
        assert "Not-to-be-seen-7" not in str(document)
    live.settle(pool)
    with pytest.raises(ResourceExistsError) as refused:
        client.begin_delete_pool(pool)
    assert code_of(refused.value) == "OperationInvalidForCurrentState"
    assert f"job schedule {id}" in str(refused.value)

    single = models.BatchJobCreateOptions(id=f"{id}-job", pool_info=auto_info())
    client.create_job(single)
    own = str(client.get_job(f"{id}-job").as_dict()["executionInfo"]["poolId"])
    assert own != pool
    assert [job.id for job in client.list_jobs(filter=f"executionInfo/poolId eq '{own}'")] == [f"{id}-job"]
    end_job(live, f"{id}-job")
    assert client.get_pool(own).state == "deleting"
    assert client.get_pool(pool).state == "active"
    live.write(lambda tx: tx.pools.delete(ACCOUNT, own))


def test_keep_alive_is_all_that_changes_in_an_auto_pool(client: BatchClient, live: Live) -> None:
    id = name_of(client, "kept")
    client.create_job(models.BatchJobCreateOptions(id=id, pool_info=auto_info()))
    pool = str(client.get_job(id).as_dict()["executionInfo"]["poolId"])
    specification = models.BatchAutoPoolSpecification(pool_lifetime_option="job", keep_alive=True)
    info = models.BatchPoolInfo(auto_pool_specification=specification)
    client.update_job(id, models.BatchJobUpdateOptions(pool_info=info))
    assert client.get_job(id).as_dict()["poolInfo"]["autoPoolSpecification"]["keepAlive"] is True
    with pytest.raises(HttpResponseError) as refused:
        client.update_job(id, models.BatchJobUpdateOptions(pool_info=auto_info()))
    assert code_of(refused.value) == "InvalidPropertyValue"
    end_job(live, id)
    assert client.get_pool(pool).state == "active"


def test_a_formula_that_cannot_be_run_ends_the_job(client: BatchClient) -> None:
    id, info = name_of(client, "formula"), auto_info()
    assert info.auto_pool_specification is not None
    pool = info.auto_pool_specification.pool
    assert pool is not None
    pool.target_dedicated_nodes = None
    pool.enable_auto_scale, pool.auto_scale_formula = True, "$TargetDedicatedNodes = ;"
    client.create_job(models.BatchJobCreateOptions(id=id, pool_info=info))
    job = client.get_job(id)
    assert job.state == "completed"
    assert job.execution_info is not None
    error = job.execution_info.scheduling_error
    assert error is not None
    assert (error.category, error.code) == ("usererror", "InvalidAutoScaleFormulaInAutoPool")
    assert error.details
    assert job.execution_info.pool_id is None


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"id": "a:b"}, "InvalidPropertyValue", "id"),
        ({"schedule": None}, "MissingRequiredProperty", "schedule"),
        ({"schedule": {"startWindow": "PT30S"}}, "InvalidPropertyValue", "schedule.startWindow"),
        ({"schedule": {"doNotRunUntil": "soon"}}, "InvalidPropertyValue", "schedule.doNotRunUntil"),
        (
            {"schedule": {"doNotRunAfter": "2001-01-01T00:00:00Z"}},
            "InvalidPropertyValue",
            "schedule.doNotRunAfter",
        ),
        ({"jobSpecification": {}}, "MissingRequiredProperty", "jobSpecification.poolInfo"),
        (
            {"jobSpecification": {"poolInfo": {"poolId": "p"}, "priority": 1001}},
            "OutOfRangePriority",
            "jobSpecification.priority",
        ),
        (
            {"jobSpecification": {"poolInfo": {"poolId": "a b"}}},
            "InvalidPropertyValue",
            "jobSpecification.poolInfo.poolId",
        ),
    ],
)
def test_bad_bodies_leave_no_trace(
    live: Live, call: Caller, change: dict[str, object], code: str, named: str
) -> None:
    good = {"id": "bad", "schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "p"}}}
    before = live.fingerprint()
    reply = call("POST", "/jobschedules", {**good, **change})
    assert (reply.status, reply.code) == (400, code)
    assert reply.values["PropertyName"] == named
    assert live.fingerprint() == before


def test_explain_finds_the_schedule(call: Caller) -> None:
    assert call("GET", "/jobschedules/none/explain").code == "JobScheduleNotFound"
