"""Rules of whole jobs through the official client: statistics, tokens of tasks, forced ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from azure.batch import BatchClient, models

from poolwright.commands import tasks
from poolwright.domain.clock import MINUTE, SECOND
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.task_usage import TaskUsage
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller
from tests.wire.batch.test_sdk_sync import job_options


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[BatchClient]:
    with live.client() as found:
        yield found


def _completed(live: Live, job: str, id: str, took_s: int, result: ExecutionResult, retries: int) -> None:
    def end(tx: Tx) -> None:
        task = tasks.get(tx, ACCOUNT, job, id)
        started = task.created_at + 2 * SECOND
        done = replace(
            task, state=TaskState.COMPLETED, started_at=started, ended_at=started + took_s * SECOND
        )
        used = TaskUsage(3 * SECOND, 1 * SECOND, took_s * SECOND, 11, 12, 1 << 29, 1 << 31)
        done = replace(done, result=result, retry_count=retries, attempt=1, used=used)
        tx.tasks.update_many([done], {task.job_pk: used})

    live.write(end)


def test_statistics_are_told_when_asked_for(client: BatchClient, live: Live) -> None:
    client.create_job(job_options("stats"))
    for id in ("a", "b", "c"):
        client.create_task("stats", models.BatchTaskCreateOptions(id=id, command_line="x"))
    _completed(live, "stats", "a", 10, ExecutionResult.SUCCESS, 0)
    _completed(live, "stats", "b", 5, ExecutionResult.FAILURE, 2)
    assert client.get_job("stats").job_statistics is None
    stats = client.get_job("stats", expand=["stats"]).job_statistics
    assert stats is not None
    assert (stats.succeeded_tasks_count, stats.failed_tasks_count, stats.task_retries_count) == (1, 1, 2)
    assert (stats.wall_clock_time.total_seconds(), stats.wait_time.total_seconds()) == (15, 4)
    assert (stats.user_cpu_time.total_seconds(), stats.kernel_cpu_time.total_seconds()) == (6, 2)
    assert (stats.read_iops, stats.write_iops, stats.read_io_gib, stats.write_io_gib) == (22, 24, 1.0, 4.0)
    (listed,) = [job for job in client.list_jobs(expand=["stats"]) if job.id == "stats"]
    assert listed.job_statistics == stats
    task = client.get_task("stats", "a", expand=["stats"])
    assert task.task_statistics is not None
    assert task.task_statistics.wall_clock_time.total_seconds() == 10
    assert task.task_statistics.user_cpu_time.total_seconds() == 3
    assert (task.task_statistics.read_iops, task.task_statistics.read_io_gib) == (11, 0.5)


def test_a_filter_goes_on_where_a_page_had_to_end(
    client: BatchClient, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer looks at a bounded number of rows, so pages may be empty and still lead to others."""
    monkeypatch.setattr("poolwright.api.batch.call._SCAN_MAX", 60)
    monkeypatch.setattr("poolwright.api.batch.call._SCAN_STEP", 20)
    client.create_job(job_options("many"))
    client.create_tasks(
        "many", [models.BatchTaskCreateOptions(id=f"t{n:03d}", command_line="x") for n in range(300)]
    )
    for id in ("t070", "t290"):
        _completed(live, "many", id, 1, ExecutionResult.FAILURE, 0)
    failed = "executionInfo/result eq 'failure'"
    assert [task.id for task in client.list_tasks("many", filter=failed)] == ["t070", "t290"]
    first = Caller(live)("GET", "/jobs/many/tasks", query=f"$filter={quote(failed)}").document
    assert (first["value"], "odata.nextLink" in first) == ([], True)
    pages = client.list_tasks("many", filter="startswith(id,'T')", max_results=7).by_page()
    sizes = [len(list(page)) for page in pages]
    assert sum(sizes) == 300
    assert max(sizes) == 7
    listed = client.list_tasks("many", filter="startswith(id,'t29')", select=["id"], max_results=4)
    assert [task.id for task in listed] == [f"t{n}" for n in range(290, 300)]
    (asked,) = [Caller(live)("GET", "/jobs/many/tasks", query="$filter=startswith(id,'t29')")]
    assert "odata.nextLink" not in asked.document, "what cannot match is not looked at"
    for none in ("t3", "a", "zz", "~", "T29999"):
        assert not list(client.list_tasks("many", filter=f"startswith(id,'{none}')"))
    for n in range(90):
        client.create_job(job_options(f"many-{n:02d}"))
    last = client.list_jobs(filter="id ge 'many-85' and startswith(id,'many-')", select=["id"])
    assert [job.id for job in last] == [f"many-{n}" for n in range(85, 90)]


def test_a_forced_delete_may_follow_a_patient_one(client: BatchClient, live: Live) -> None:
    client.create_job(job_options("forced"))
    call = Caller(live)
    assert call("POST", "/jobs/forced/terminate").status == 202
    assert call("POST", "/jobs/forced/terminate").code == "JobBeingTerminated"
    assert call("POST", "/jobs/forced/terminate", query="force=true").status == 202
    client.begin_delete_job("forced")
    client.begin_delete_job("forced", force=True)
    assert client.get_job("forced").state == "deleting"


def test_preemption_is_a_property_of_the_job(client: BatchClient) -> None:
    options = job_options("yields")
    options.allow_task_preemption = True
    client.create_job(options)
    assert client.get_job("yields").allow_task_preemption is True
    client.update_job("yields", models.BatchJobUpdateOptions(allow_task_preemption=False))
    assert client.get_job("yields").allow_task_preemption is False


def test_a_token_speaks_for_its_own_job_while_its_task_runs(client: BatchClient, live: Live) -> None:
    for id in ("own", "foreign"):
        client.create_job(job_options(id))
    client.create_task("own", models.BatchTaskCreateOptions(id="t", command_line="x"))
    task = live.read(lambda tx: tasks.get(tx, ACCOUNT, "own", "t"))
    live.write(lambda tx: tx.tasks.update_many([replace(task, state=TaskState.RUNNING, attempt=1)]))
    token = live.parts.issuer.issue_for_task(ACCOUNT, "own", f"t{task.pk}.1").value
    call = Caller(live)
    call.token = token
    assert call("GET", "/jobs/own/tasks").status == 200
    assert call("GET", "/jobs/foreign").status == 403
    assert call("GET", "/pools").status == 403
    long_ago = live.parts.clock.now() - 6 * MINUTE
    over = replace(task, state=TaskState.COMPLETED, attempt=1, ended_at=long_ago)
    live.write(lambda tx: tx.tasks.update_many([over]))
    assert call("GET", "/jobs/own/tasks").status == 401
