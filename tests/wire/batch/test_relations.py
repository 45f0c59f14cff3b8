"""Dependencies and exit conditions through the official client: what is accepted, echoed and refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core.exceptions import HttpResponseError

from tests.wire.batch.conftest import Live
from tests.wire.batch.test_sdk_sync import code_of, job_options


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[BatchClient]:
    with live.client() as found:
        for id, uses, on_failure in (
            ("rel", True, "performexitoptionsjobaction"),
            ("plain", False, "noaction"),
        ):
            options = job_options(id)
            options.uses_task_dependencies, options.task_failure_mode = uses, on_failure
            found.create_job(options)
        yield found


def _task(id: str, **more: Any) -> models.BatchTaskCreateOptions:
    return models.BatchTaskCreateOptions(id=id, command_line="/bin/true", **more)


def _depends(*ids: str, ranges: tuple[tuple[int, int], ...] = ()) -> models.BatchTaskDependencies:
    found = [models.BatchTaskIdRange(start=first, end=last) for first, last in ranges]
    return models.BatchTaskDependencies(task_ids=list(ids), task_id_ranges=found)


def test_what_was_given_is_shown_again(client: BatchClient) -> None:
    exits = models.ExitConditions(
        exit_codes=[
            models.ExitCodeMapping(code=3, exit_options=models.ExitOptions(dependency_action="satisfy"))
        ],
        default=models.ExitOptions(job_action="disable", dependency_action="block"),
    )
    client.create_task(
        "rel", _task("full", depends_on=_depends("a", ranges=((1, 9),)), exit_conditions=exits)
    )
    shown = client.get_task("rel", "full")
    assert shown.depends_on is not None
    assert shown.exit_conditions is not None
    assert shown.depends_on.task_ids == ["a"]
    assert [(r.start, r.end) for r in shown.depends_on.task_id_ranges or ()] == [(1, 9)]
    assert shown.exit_conditions.as_dict() == exits.as_dict()
    job = client.get_job("rel")
    assert (job.uses_task_dependencies, job.task_failure_mode) == (True, "performexitoptionsjobaction")


@pytest.mark.parametrize(
    ("job", "more", "code"),
    [
        ("plain", {"depends_on": _depends("a")}, "TaskDependenciesNotSpecifiedOnJob"),
        ("rel", {"depends_on": _depends(*("x" * 64 for _ in range(1001)))}, "TaskDependencyListTooLong"),
        (
            "rel",
            {"depends_on": _depends(ranges=tuple((n * 3, n * 3) for n in range(1001)))},
            "TaskDependencyRangesTooLong",
        ),
        ("rel", {"depends_on": _depends(ranges=((5, 4),))}, "InvalidPropertyValue"),
        (
            "plain",
            {"exit_conditions": models.ExitConditions(default=models.ExitOptions(job_action="terminate"))},
            "InvalidPropertyValue",
        ),
    ],
)
def test_what_does_not_fit_the_job_is_refused(
    client: BatchClient, job: str, more: dict[str, Any], code: str
) -> None:
    with pytest.raises(HttpResponseError) as refused:
        client.create_task(job, _task("bad", **more))
    assert (refused.value.status_code, code_of(refused.value)) == (400, code)


def test_a_failed_task_ends_its_job_when_exit_options_are_performed(client: BatchClient) -> None:
    client.create_task("rel", _task("doomed"))
    client.terminate_task("rel", "doomed")
    job = client.get_job("rel")
    assert job.state == "terminating"


def test_modes_of_the_end_do_not_go_back(client: BatchClient) -> None:
    options = job_options("modes")
    client.create_job(options)
    client.create_task("modes", _task("t"))
    client.update_job("modes", models.BatchJobUpdateOptions(all_tasks_complete_mode="terminatejobwhenidle"))
    assert client.get_job("modes").all_tasks_complete_mode == "terminatejobwhenidle"
    with pytest.raises(HttpResponseError) as refused:
        client.update_job("modes", models.BatchJobUpdateOptions(all_tasks_complete_mode="noaction"))
    assert code_of(refused.value) == "InvalidPropertyValue"
