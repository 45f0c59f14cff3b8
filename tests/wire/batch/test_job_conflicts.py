"""What jobs and tasks refuse in each of their states, and what updates leave and reset, through the official client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core.exceptions import HttpResponseError

from poolwright.commands import jobs, tasks
from poolwright.domain.states import ExecutionResult, JobState, TaskState
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import Live
from tests.wire.batch.test_sdk_sync import code_of, job_options

POOL = models.BatchPoolInfo(pool_id="other")
ENDED = {
    JobState.TERMINATING: "JobBeingTerminated",
    JobState.COMPLETED: "JobCompleted",
    JobState.DELETING: "JobBeingDeleted",
}
CHANGES: dict[str, Callable[[Any, str], object]] = {
    "add": lambda client, job: client.create_task(
        job, models.BatchTaskCreateOptions(id="new", command_line="x")
    ),
    "patch": lambda client, job: client.update_job(job, models.BatchJobUpdateOptions(priority=1)),
    "put": lambda client, job: client.replace_job(job, models.BatchJob(pool_info=POOL)),
    "disable": lambda client, job: client.begin_disable_job(
        job, models.BatchJobDisableOptions(disable_tasks="requeue")
    ),
    "enable": lambda client, job: client.begin_enable_job(job),
    "terminate": lambda client, job: client.begin_terminate_job(job, {"terminateReason": "over"}),
    "reactivate": lambda client, job: client.reactivate_task(job, "failed"),
    "constraints": lambda client, job: client.replace_task(job, "failed", models.BatchTask()),
}


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[BatchClient]:
    with live.client() as found:
        yield found


def _job(live: Live, client: BatchClient, id: str, state: JobState = JobState.ACTIVE) -> str:
    """A job in this state, with a failed task."""
    client.create_job(job_options(id))
    client.create_task(id, models.BatchTaskCreateOptions(id="failed", command_line="x"))
    _task(live, id, "failed", TaskState.COMPLETED, ExecutionResult.FAILURE)
    _state(live, id, state)
    return id


def _state(live: Live, id: str, state: JobState) -> None:
    live.write(lambda tx: tx.jobs.update(replace(jobs.get(tx, ACCOUNT, id), state=state)))


def _task(live: Live, job: str, id: str, state: TaskState, result: ExecutionResult | None = None) -> None:
    def change(tx: Tx) -> None:
        task = tasks.get(tx, ACCOUNT, job, id)
        ended = None if result is None else task.created_at
        code = None if result is None else int(result is ExecutionResult.FAILURE)
        changed = replace(task, state=state, result=result, ended_at=ended, exit_code=code, retry_count=2)
        tx.tasks.update_many([changed])

    live.write(change)


def _refusal(call: Callable[[], object]) -> tuple[int | None, str]:
    with pytest.raises(HttpResponseError) as refused:
        call()
    return refused.value.status_code, code_of(refused.value)


@pytest.mark.parametrize("state", ENDED)
def test_a_job_that_ends_takes_no_change(live: Live, client: BatchClient, state: JobState) -> None:
    id = _job(live, client, f"over-{state.value}", state)
    before = live.fingerprint()
    refused = {name: _refusal(lambda c=change: c(client, id)) for name, change in CHANGES.items()}  # type: ignore[misc]
    assert refused == dict.fromkeys(CHANGES, (409, ENDED[state]))
    with pytest.raises(HttpResponseError, match=ENDED[state]):
        client.create_tasks(id, [models.BatchTaskCreateOptions(id="new", command_line="x")])
    if state is JobState.DELETING:
        assert _refusal(lambda: client.begin_delete_job(id)) == (409, "JobBeingDeleted")
        assert _refusal(lambda: client.create_job(job_options(id.upper()))) == (409, "JobBeingDeleted")
    assert live.fingerprint() == before
    if state is not JobState.DELETING:
        client.begin_delete_job(id)
        assert client.get_job(id).state == "deleting"


def test_disabled_jobs(live: Live, client: BatchClient) -> None:
    id = _job(live, client, "disabled")
    assert _refusal(lambda: client.create_job(job_options("DISABLED"))) == (409, "JobExists")
    assert _refusal(lambda: client.begin_enable_job(id)) == (409, "OperationInvalidForCurrentState")
    moved = models.BatchJobUpdateOptions(pool_info=POOL)
    assert _refusal(lambda: client.update_job(id, moved)) == (409, "OperationInvalidForCurrentState")
    disable = models.BatchJobDisableOptions(disable_tasks="wait")
    client.begin_disable_job(id, disable)
    assert client.get_job(id).state == "disabling"
    assert _refusal(lambda: client.update_job(id, moved)) == (409, "OperationInvalidForCurrentState")
    for state in (JobState.DISABLING, JobState.DISABLED):
        _state(live, id, state)
        assert _refusal(lambda: client.begin_disable_job(id, disable)) == (409, "JobDisabled")
    client.update_job(id, moved)
    assert client.get_job(id).pool_info.pool_id == "other"
    client.create_task(id, models.BatchTaskCreateOptions(id="waits", command_line="x"))
    client.begin_enable_job(id)
    assert client.get_job(id).state == "enabling"


def test_tasks_in_each_state(live: Live, client: BatchClient) -> None:
    id = _job(live, client, "tasks")
    for name in ("runs", "done"):
        client.create_task(id, models.BatchTaskCreateOptions(id=name, command_line="x"))
    _task(live, id, "runs", TaskState.RUNNING)
    _task(live, id, "done", TaskState.COMPLETED, ExecutionResult.SUCCESS)
    assert _refusal(lambda: client.terminate_task(id, "failed")) == (409, "TaskCompleted")
    assert _refusal(lambda: client.reactivate_task(id, "runs")) == (409, "TaskNotCompleted")
    assert _refusal(lambda: client.reactivate_task(id, "done")) == (409, "TaskSucceeded")
    client.reactivate_task(id, "failed")
    task = client.get_task(id, "failed")
    info = task.execution_info
    assert info is not None
    assert (task.state, info.exit_code, info.end_time, info.retry_count, info.result) == (
        "active",
        None,
        None,
        0,
        None,
    )
    kept = models.BatchTaskConstraints(retention_time=timedelta(hours=1))
    client.replace_task(id, "done", models.BatchTask(constraints=kept))
    constraints = client.get_task(id, "done").constraints
    assert constraints is not None
    assert (constraints.retention_time, constraints.max_task_retry_count) == (timedelta(hours=1), 0)
    client.delete_task(id, "runs")
    assert _refusal(lambda: client.get_task(id, "runs")) == (404, "TaskNotFound")


def test_patch_leaves_what_put_resets(client: BatchClient) -> None:
    options = job_options("updates")
    options.priority, options.max_parallel_tasks = 7, 3
    options.constraints = models.BatchJobConstraints(max_task_retry_count=2)
    options.metadata = [models.BatchMetadataItem(name="a", value="b")]
    client.create_job(options)
    client.update_job("updates", models.BatchJobUpdateOptions(priority=8))
    job = client.get_job("updates")
    assert job.constraints is not None
    assert (job.priority, job.max_parallel_tasks, job.constraints.max_task_retry_count) == (8, 3, 2)
    assert len(job.metadata or ()) == 1
    client.replace_job("updates", models.BatchJob(pool_info=models.BatchPoolInfo(pool_id="nowhere")))
    job = client.get_job("updates")
    assert job.constraints is not None
    assert (job.priority, job.max_parallel_tasks, job.constraints.max_task_retry_count) == (0, -1, 0)
    assert not job.metadata
    client.update_job("updates", models.BatchJobUpdateOptions(all_tasks_complete_mode="terminatejob"))
    back = models.BatchJobUpdateOptions(all_tasks_complete_mode="noaction")
    assert _refusal(lambda: client.update_job("updates", back)) == (400, "InvalidPropertyValue")


def test_a_large_job_in_pages_and_by_filter(live: Live, client: BatchClient) -> None:
    client.create_job(job_options("large"))
    client.create_tasks(
        "large",
        [models.BatchTaskCreateOptions(id=f"t{n:04d}", command_line="x") for n in range(3000)],
    )

    def end(tx: Tx) -> None:
        some = tasks.page(tx, ACCOUNT, "large", "t0999", 500)
        tx.tasks.update_many(
            [
                replace(
                    task,
                    state=TaskState.COMPLETED,
                    result=ExecutionResult.FAILURE if n % 100 == 0 else ExecutionResult.SUCCESS,
                    exit_code=3 if n % 100 == 0 else 0,
                    ended_at=task.created_at,
                )
                for n, task in enumerate(some)
            ]
        )

    live.write(end)
    pages = list(client.list_tasks("large", max_results=700, select=["id"]).by_page())
    sizes = [[task.id for task in page] for page in pages]
    assert [len(page) for page in sizes] == [700, 700, 700, 700, 200]
    assert [id for page in sizes for id in page] == [f"t{n:04d}" for n in range(3000)]

    def found(filter: str) -> list[str]:
        return [str(task.id) for task in client.list_tasks("large", filter=filter, select=["id"])]

    assert len(found("state eq 'completed'")) == 500
    assert found("executionInfo/exitCode gt 0") == [f"t{n}" for n in range(1000, 1500, 100)]
    assert len(found("executionInfo/result eq 'success' and id lt 't1100'")) == 99
    assert len(found("startswith(id,'t299') or (id eq 't0001' and state ne 'completed')")) == 11
    assert found("creationTime lt DateTime'2011-05-08T08:49:37Z'") == []
    counts = client.get_job_task_counts("large").task_counts
    assert (counts.active, counts.running, counts.completed, counts.succeeded, counts.failed) == (
        2500,
        0,
        500,
        495,
        5,
    )
