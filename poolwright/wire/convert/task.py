"""Tasks: bodies to domain values, stored tasks to answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from poolwright.domain.clock import FOREVER, Micros, etag
from poolwright.domain.errors import ServiceError
from poolwright.domain.job import Job, TaskCounts
from poolwright.domain.limits import RETENTION_DEFAULT, TASKS_PER_COLLECTION_MAX
from poolwright.domain.rules import check_id
from poolwright.domain.task import NewTask, Task, TaskSpec
from poolwright.wire.bodies import decode_body, encode_document
from poolwright.wire.convert.containers import read_command, read_container, show_container
from poolwright.wire.convert.outcome import show_retries, show_run
from poolwright.wire.convert.package import read_packages
from poolwright.wire.convert.relations import read_dependencies, read_exit_conditions, read_token_access
from poolwright.wire.convert.shared import (
    Document,
    check_display_name,
    read_environment,
    read_user,
    show_user,
)
from poolwright.wire.convert.subtasks import read_multi_instance
from poolwright.wire.convert.task_places import show_node_info
from poolwright.wire.convert.transfer import read_output_files, read_resource_files
from poolwright.wire.durations import format_duration
from poolwright.wire.generated import batch_models as models
from poolwright.wire.links import Links
from poolwright.wire.times import iso

_ECHOED = (
    "containerSettings",
    "resourceFiles",
    "outputFiles",
    "environmentSettings",
    "affinityInfo",
    "applicationPackageReferences",
    "dependsOn",
    "multiInstanceSettings",
    "exitConditions",
    "authenticationTokenSettings",
)


def read_task(raw: bytes) -> NewTask:
    """The task of an add-task body. Raises ServiceError."""
    return _new_task(decode_body(raw, models.BatchTaskCreateOptions))


def read_tasks(raw: bytes) -> list[tuple[str, NewTask | ServiceError]]:
    """(id as given, task or what is wrong with it) for each of a collection, in order.

    A body that cannot be read as tasks, or has too many, fails as a whole: ServiceError.
    """
    body = decode_body(raw, models.BatchTaskGroup)
    if len(body.value) > TASKS_PER_COLLECTION_MAX:
        raise ServiceError(
            "RequestBodyTooLarge",
            f"A collection has at most {TASKS_PER_COLLECTION_MAX} tasks; this one has {len(body.value)}.",
            (("MaxLimit", str(TASKS_PER_COLLECTION_MAX)),),
        )
    found: list[tuple[str, NewTask | ServiceError]] = []
    for item in body.value:
        try:
            found.append((item.id, _new_task(item)))
        except ServiceError as bad:
            found.append((item.id, bad))
    return found


def _new_task(body: models.BatchTaskCreateOptions) -> NewTask:
    check_id("task", body.id)
    container = read_container(body.container_settings)
    retries, wall_clock, retention = read_constraints(body.constraints)
    spec = TaskSpec(
        read_command(body.command_line, "commandLine", container),
        read_environment(body.environment_settings, "environmentSettings"),
        read_user(body.user_identity, "userIdentity"),
        retries,
        wall_clock,
        retention,
        1 if body.required_slots is None else body.required_slots,
        body.affinity_info.affinity_id if body.affinity_info else None,
        check_display_name(body.display_name),
        read_dependencies(body.depends_on) if body.depends_on else None,
        read_exit_conditions(body.exit_conditions) if body.exit_conditions else None,
        read_token_access(body.authentication_token_settings)
        if body.authentication_token_settings
        else False,
        read_resource_files(body.resource_files, "resourceFiles"),
        read_output_files(body.output_files, "outputFiles"),
        read_packages(body.application_package_references, "applicationPackageReferences"),
        read_multi_instance(body.multi_instance_settings) if body.multi_instance_settings else None,
        container,
    )
    return NewTask(body.id, spec, encode_document(body))


def kept_for_ever(task: NewTask) -> NewTask:
    """The task as versions before 2018-12-01 mean it: its data are kept without end unless it says how long."""
    given = msgspec.json.decode(task.document).get("constraints") or {}
    return task if "retentionTime" in given else replace(task, spec=replace(task.spec, retention=FOREVER))


def read_constraints(given: models.BatchTaskConstraints | None) -> tuple[int | None, Micros, Micros]:
    """(retries or None for the job's, wall clock, retention) with the defaults of what is absent."""
    if given is None:
        return None, FOREVER, RETENTION_DEFAULT
    wall_clock, retention = given.max_wall_clock_time, given.retention_time
    return (
        given.max_task_retry_count,
        FOREVER if wall_clock is None else wall_clock.micros,
        RETENTION_DEFAULT if retention is None else retention.micros,
    )


def read_task_change(raw: bytes) -> tuple[int | None, Micros, Micros]:
    """The constraints of an update-task body, the only thing of it that counts; absent ones are defaults."""
    return read_constraints(decode_body(raw, models.BatchTask).constraints)


def show_task(task: Task, job: Job, links: Links) -> Document:
    """A task as answered, without `odata.metadata`."""
    spec = task.spec
    document: Document = msgspec.json.decode(task.document)
    shown: Document = {"id": task.id}
    if spec.display_name is not None:
        shown["displayName"] = spec.display_name
    shown["url"] = links.task(job.id, task.id)
    shown["eTag"] = etag(task.modified_at)
    shown["creationTime"] = iso(task.created_at)
    shown["lastModified"] = iso(task.modified_at)
    shown["state"] = task.state.value
    shown["stateTransitionTime"] = iso(task.state_at)
    if task.previous_state is not None and task.previous_at is not None:
        shown["previousState"] = task.previous_state.value
        shown["previousStateTransitionTime"] = iso(task.previous_at)
    shown["commandLine"] = spec.command_line
    for name in _ECHOED:
        if name in document:
            shown[name] = document[name]
    shown["userIdentity"] = show_user(spec.user)
    retries = job.spec.max_task_retries if spec.max_retries is None else spec.max_retries
    shown["constraints"] = {
        "maxWallClockTime": format_duration(spec.max_wall_clock),
        "retentionTime": format_duration(spec.retention),
        "maxTaskRetryCount": retries,
    }
    shown["requiredSlots"] = spec.required_slots
    shown["executionInfo"] = show_execution(task)
    if task.node is not None and task.pool is not None:
        shown["nodeInfo"] = show_node_info(task, task.pool, task.node, job.id, links)
    return shown


def show_execution(task: Task) -> Document:
    """`executionInfo` of a task."""
    shown = {**show_run(task), **show_retries(task), "requeueCount": task.requeue_count}
    shown |= show_container(task, task.spec.container, task.execution)
    if task.last_requeue_at is not None:
        shown["lastRequeueTime"] = iso(task.last_requeue_at)
    return shown


def show_counts(tasks: TaskCounts, slots: TaskCounts) -> Document:
    """The answer of task counts."""
    return {"taskCounts": _show_tally(tasks), "taskSlotCounts": _show_tally(slots)}


def _show_tally(counts: TaskCounts) -> dict[str, int]:
    return {
        "active": counts.active,
        "running": counts.running,
        "completed": counts.completed,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
    }


def show_added(
    given: Sequence[tuple[str, NewTask | ServiceError]],
    outcomes: Sequence[Task | ServiceError],
    job: str,
    links: Links,
    error_item: Any,
) -> list[Document]:
    """The `value` of an add-collection answer. `error_item` renders a ServiceError as in an error body."""
    shown: list[Document] = []
    for (task_id, _), outcome in zip(given, outcomes, strict=True):
        if isinstance(outcome, ServiceError):
            status = "clienterror" if outcome.status < 500 else "servererror"
            shown.append({"status": status, "taskId": task_id, "error": error_item(outcome)})
            continue
        shown.append(
            {
                "status": "success",
                "taskId": outcome.id,
                "eTag": etag(outcome.modified_at),
                "lastModified": iso(outcome.modified_at),
                "location": links.task(job, outcome.id),
            }
        )
    return shown
