"""Public limits of jobs, schedules and tasks through the official client: the last value that is taken, the first that
is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core.exceptions import HttpResponseError

from tests.wire.batch.conftest import Live
from tests.wire.batch.test_sdk_sync import code_of, job_options

LONGEST = "Az09_-" * 10 + "tail"
ITEM = models.BatchMetadataItem


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[BatchClient]:
    with live.client() as found:
        options = job_options("limits")
        options.uses_task_dependencies = True
        found.create_job(options)
        yield found


def _job(**more: Any) -> Callable[[BatchClient, str], object]:
    def create(client: BatchClient, id: str) -> object:
        options = job_options(more.get("id", id))
        for name, value in more.items():
            setattr(options, name, value)
        return client.create_job(options)

    return create


def _task(**more: Any) -> Callable[[BatchClient, str], object]:
    given = {"command_line": "x", **more}
    return lambda client, name: client.create_task(
        "limits", models.BatchTaskCreateOptions(**{"id": name, **given})
    )


def _constraints(**more: Any) -> models.BatchTaskConstraints:
    return models.BatchTaskConstraints(**more)


def _after(*ids: str, **more: Any) -> models.BatchTaskDependencies:
    return models.BatchTaskDependencies(task_ids=list(ids), **more)


def _schedule(**schedule: Any) -> Callable[[BatchClient, str], object]:
    specification = models.BatchJobSpecification(pool_info=models.BatchPoolInfo(pool_id="nowhere"))
    return lambda client, name: client.create_job_schedule(
        models.BatchJobScheduleCreateOptions(
            id=name,
            schedule=models.BatchJobScheduleConfiguration(**schedule),
            job_specification=specification,
        )
    )


_BIG = [ITEM(name="n", value="v" * 8000)]
TAKEN = [
    _job(id=LONGEST),
    _job(display_name="n" * 1024),
    _job(priority=1000),
    _job(priority=-1000),
    _job(max_parallel_tasks=1),
    _job(max_parallel_tasks=-1),
    _job(constraints=models.BatchJobConstraints(max_task_retry_count=-1)),
    _job(metadata=_BIG),
    _task(id=LONGEST),
    _task(display_name="n" * 1024),
    _task(required_slots=256),
    _task(constraints=_constraints(max_task_retry_count=-1, retention_time=timedelta(seconds=1))),
    _task(depends_on=_after(*[f"{n:064d}" for n in range(1000)])),
    _task(
        depends_on=_after(
            task_id_ranges=[models.BatchTaskIdRange(start=2 * n, end=2 * n) for n in range(1000)]
        )
    ),
    _schedule(start_window=timedelta(minutes=1), recurrence_interval=timedelta(minutes=1)),
]
REFUSED = [
    (_job(id=LONGEST + "x"), "InvalidPropertyValue"),
    (_job(id="a.b"), "InvalidPropertyValue"),
    (_job(display_name="n" * 1025), "InvalidPropertyValue"),
    (_job(priority=1001), "OutOfRangePriority"),
    (_job(priority=-1001), "OutOfRangePriority"),
    (_job(max_parallel_tasks=0), "InvalidPropertyValue"),
    (_job(max_parallel_tasks=-2), "InvalidPropertyValue"),
    (_job(constraints=models.BatchJobConstraints(max_task_retry_count=-2)), "InvalidPropertyValue"),
    (_job(constraints=models.BatchJobConstraints(max_wall_clock_time=timedelta(0))), "InvalidPropertyValue"),
    (_job(metadata=[ITEM(name="", value="v")]), "EmptyMetadataKey"),
    (_job(metadata=[*_BIG, ITEM(name="m", value="v" * 300)]), "MetadataTooLarge"),
    (_task(id=LONGEST + "x"), "InvalidPropertyValue"),
    (_task(id="a b"), "InvalidPropertyValue"),
    (_task(display_name="n" * 1025), "InvalidPropertyValue"),
    (_task(required_slots=257), "InvalidPropertyValue"),
    (_task(command_line=""), "InvalidPropertyValue"),
    (_task(constraints=_constraints(max_task_retry_count=-2)), "InvalidPropertyValue"),
    (_task(constraints=_constraints(max_wall_clock_time=timedelta(0))), "InvalidPropertyValue"),
    (_task(depends_on=_after("x", *[f"{n:064d}" for n in range(1000)])), "TaskDependencyListTooLong"),
    (
        _task(
            depends_on=_after(
                task_id_ranges=[models.BatchTaskIdRange(start=2 * n, end=2 * n) for n in range(1001)]
            )
        ),
        "TaskDependencyRangesTooLong",
    ),
    (
        _task(
            application_package_references=[
                models.BatchApplicationPackageReference(application_id=f"a{n}", version="1")
                for n in range(11)
            ]
        ),
        "InvalidPropertyValue",
    ),
    (_schedule(start_window=timedelta(seconds=59)), "InvalidPropertyValue"),
    (_schedule(recurrence_interval=timedelta(seconds=59)), "InvalidPropertyValue"),
    (
        _schedule(
            do_not_run_until=datetime(2027, 1, 2, tzinfo=UTC),
            do_not_run_after=datetime(2027, 1, 1, tzinfo=UTC),
        ),
        "InvalidPropertyValue",
    ),
]


@pytest.mark.parametrize("number", range(len(TAKEN)))
def test_what_is_just_taken(client: BatchClient, number: int) -> None:
    TAKEN[number](client, f"taken-{number}")


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_just_refused(client: BatchClient, live: Live, number: int) -> None:
    create, code = REFUSED[number]
    before = live.fingerprint()
    with pytest.raises(HttpResponseError) as refused:
        create(client, f"refused-{number}")
    assert (refused.value.status_code, code_of(refused.value)) == (400, code)
    assert live.fingerprint() == before


def test_collections_have_a_hundred_tasks_and_a_mebibyte(client: BatchClient, live: Live) -> None:
    def group(count: int, letters: int) -> models.BatchTaskGroup:
        return models.BatchTaskGroup(
            task_values=[
                models.BatchTaskCreateOptions(id=f"c{count}-{letters}-{n}", command_line="x" * letters)
                for n in range(count)
            ]
        )

    assert len(client.create_task_collection("limits", group(100, 9000)).result_values or ()) == 100
    for many, long in ((101, 1), (100, 10_600)):
        before = live.fingerprint()
        with pytest.raises(HttpResponseError) as refused:
            client.create_task_collection("limits", group(many, long))
        assert (refused.value.status_code, code_of(refused.value)) == (413, "RequestBodyTooLarge")
        assert live.fingerprint() == before
    halved = client.create_tasks("limits", group(100, 10_700).task_values)
    assert {item.status for item in halved.result_values or ()} == {"success"}, (
        "the client halves and goes on"
    )


def test_jobs_and_schedules_share_their_ids(client: BatchClient) -> None:
    client.create_job(job_options("Both"))
    _schedule()(client, "Other")
    for create, id, code in (
        (_schedule(), "bOTH", "JobWithSameIdExists"),
        (_job(), "oTHER", "JobScheduleWithSameIdExists"),
        (_schedule(), "OTHER", "JobScheduleExists"),
        (_job(), "BOTH", "JobExists"),
    ):
        with pytest.raises(HttpResponseError) as refused:
            create(client, id)
        assert (refused.value.status_code, code_of(refused.value)) == (409, code)


def test_defaults_are_those_of_the_public_service(client: BatchClient) -> None:
    client.create_job(job_options("defaults"))
    client.create_task("defaults", models.BatchTaskCreateOptions(id="t", command_line="x"))
    job, task = client.get_job("defaults"), client.get_task("defaults", "t")
    assert job.constraints is not None
    assert task.constraints is not None
    endless = timedelta(days=10675199, hours=2, minutes=48, seconds=5, microseconds=477581)
    assert (job.priority, job.max_parallel_tasks, job.allow_task_preemption) == (0, -1, False)
    assert (job.all_tasks_complete_mode, job.task_failure_mode) == ("noaction", "noaction")
    assert not job.uses_task_dependencies
    assert (job.constraints.max_wall_clock_time, job.constraints.max_task_retry_count) == (endless, 0)
    assert (task.constraints.max_wall_clock_time, task.constraints.max_task_retry_count) == (endless, 0)
    assert (task.constraints.retention_time, task.required_slots) == (timedelta(days=7), 1)
    for count, refusal in ((0, True), (1, False), (1000, False), (1001, True)):
        if not refusal:
            assert [found.id for found in client.list_tasks("defaults", max_results=count)] == ["t"]
            continue
        with pytest.raises(HttpResponseError, match="QueryParameter"):
            list(client.list_tasks("defaults", max_results=count))
