"""Jobs: bodies to domain values, stored jobs to answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from poolwright.domain.clock import FOREVER, etag
from poolwright.domain.errors import bad_property
from poolwright.domain.job import Job, JobSpec
from poolwright.domain.rules import check_id
from poolwright.wire.bodies import convert_body, decode_body, encode_document
from poolwright.wire.convert.auto_pool import (
    Accounts,
    merged_pool_info,
    read_pool_info,
    refuse_accounts,
    show_pool_info,
    take_accounts,
)
from poolwright.wire.convert.job_tasks import (
    read_manager,
    read_preparation,
    read_release,
    show_job_tasks,
)
from poolwright.wire.convert.shared import (
    Document,
    check_display_name,
    check_metadata,
    read_environment,
    refuse_given,
    show_failure,
)
from poolwright.wire.convert.user_account import Secrets
from poolwright.wire.durations import format_duration
from poolwright.wire.generated import batch_models as models
from poolwright.wire.links import Links
from poolwright.wire.times import iso
from poolwright.wire.versions import NEWEST, ApiVersion

Change = Callable[[Job], tuple[JobSpec, bytes]]

_NOT_YET = ("network_configuration",)
#: What an update may set; a replacement puts what it leaves out back to its default.
_UPDATABLE = (
    "priority",
    "allowTaskPreemption",
    "maxParallelTasks",
    "constraints",
    "onAllTasksComplete",
    "metadata",
    "networkConfiguration",
)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a create-job body asks for."""

    id: str
    spec: JobSpec
    document: bytes


def read_job(raw: bytes, secrets: Secrets, version: ApiVersion = NEWEST) -> NewJob:
    """The job of a create-job body, with the version's defaults; hashes the passwords of its auto pool's accounts.

    Raises ServiceError.
    """
    body = decode_body(raw, models.BatchJobCreateOptions)
    check_id("job", body.id)
    spec, document = _settle(body, take_accounts(body.pool_info, secrets, version))
    return NewJob(body.id, spec, document)


def read_specification(given: Document, accounts: Accounts) -> tuple[JobSpec, bytes]:
    """The job of a specification, which says all of a job but its id; its accounts were taken out before. Raises
    ServiceError."""
    return _settle(convert_body({**given, "id": "job"}, models.BatchJobCreateOptions), accounts)


def read_job_patch(raw: bytes) -> Change:
    """A change by which the named properties are replaced whole and the others stay."""
    body = decode_body(raw, models.BatchJobUpdateOptions)
    refuse_accounts(body.pool_info)
    change: Document = msgspec.json.decode(encode_document(body))
    return _changing(change, ())


def read_job_replacement(raw: bytes) -> Change:
    """A change that replaces everything an update may set."""
    body = decode_body(raw, models.BatchJob)
    refuse_accounts(body.pool_info)
    given: Document = msgspec.json.decode(encode_document(body))
    change = {name: given[name] for name in (*_UPDATABLE, "poolInfo") if name in given}
    return _changing(change, _UPDATABLE)


def _changing(change: Document, cleared: tuple[str, ...]) -> Change:
    def apply(job: Job) -> tuple[JobSpec, bytes]:
        document = msgspec.json.decode(job.document)
        kept = {name: value for name, value in document.items() if name not in cleared}
        whole = {**kept, **change, "id": job.id, "poolInfo": merged_pool_info(document, change)}
        known = () if job.spec.auto_pool is None else job.spec.auto_pool.spec.accounts
        return _settle(convert_body(whole, models.BatchJobCreateOptions), known)

    return apply


def _settle(body: models.BatchJobCreateOptions, accounts: Accounts) -> tuple[JobSpec, bytes]:
    """The specification and the canonical document of a whole job body."""
    refuse_given(body, _NOT_YET)
    check_metadata(body.metadata)
    pool, auto = read_pool_info(body.pool_info, accounts)
    given = body.constraints or models.BatchJobConstraints()
    spec = JobSpec(
        pool=pool,
        priority=body.priority or 0,
        max_parallel_tasks=-1 if body.max_parallel_tasks is None else body.max_parallel_tasks,
        max_wall_clock=FOREVER if given.max_wall_clock_time is None else given.max_wall_clock_time.micros,
        max_task_retries=given.max_task_retry_count or 0,
        on_all_tasks_complete=body.on_all_tasks_complete.value if body.on_all_tasks_complete else "noaction",
        environment=read_environment(body.common_environment_settings, "commonEnvironmentSettings"),
        display_name=check_display_name(body.display_name),
        uses_dependencies=body.uses_task_dependencies or False,
        cancel_dependents=_cancels(body.metadata),
        preemptible=body.allow_task_preemption or False,
        manager=read_manager(body.job_manager_task) if body.job_manager_task else None,
        preparation=read_preparation(body.job_preparation_task) if body.job_preparation_task else None,
        release=read_release(body.job_release_task) if body.job_release_task else None,
        on_task_failure=body.on_task_failure.value if body.on_task_failure else "noaction",
        auto_pool=auto,
    )
    return spec, encode_document(body)


#: The metadata item (ours) by which a job ends tasks that wait for a failed one.
CANCEL_DEPENDENTS = "PoolwrightCancelDependents"


def _cancels(metadata: Sequence[models.BatchMetadataItem] | None) -> bool:
    for index, item in enumerate(metadata or ()):
        if item.name == CANCEL_DEPENDENTS:
            if item.value.lower() not in ("true", "false"):
                raise bad_property(f"metadata[{index}].value", item.value, "Either true or false.")
            return item.value.lower() == "true"
    return False


def read_disable(raw: bytes) -> str:
    """What to do with running tasks: "requeue", "terminate" or "wait"."""
    return decode_body(raw, models.BatchJobDisableOptions).disable_tasks.value


def read_terminate(raw: bytes) -> str | None:
    """The caller's reason, if there is a body with one."""
    return decode_body(raw, models.BatchJobTerminateOptions).terminate_reason if raw else None


def show_job(job: Job, links: Links) -> Document:
    """A job as answered, without `odata.metadata`."""
    spec = job.spec
    document: Document = msgspec.json.decode(job.document)
    shown: Document = {"id": job.id}
    if spec.display_name is not None:
        shown["displayName"] = spec.display_name
    shown["usesTaskDependencies"] = spec.uses_dependencies
    shown["url"] = links.job(job.id)
    shown["eTag"] = etag(job.modified_at)
    shown["lastModified"] = iso(job.modified_at)
    shown["creationTime"] = iso(job.created_at)
    shown["state"] = job.state.value
    shown["stateTransitionTime"] = iso(job.state_at)
    if job.previous_state is not None and job.previous_at is not None:
        shown["previousState"] = job.previous_state.value
        shown["previousStateTransitionTime"] = iso(job.previous_at)
    shown["priority"] = spec.priority
    shown["allowTaskPreemption"] = spec.preemptible
    shown["maxParallelTasks"] = spec.max_parallel_tasks
    shown["constraints"] = {
        "maxWallClockTime": format_duration(spec.max_wall_clock),
        "maxTaskRetryCount": spec.max_task_retries,
    }
    if "commonEnvironmentSettings" in document:
        shown["commonEnvironmentSettings"] = document["commonEnvironmentSettings"]
    show_job_tasks(shown, spec, document)
    shown["poolInfo"] = show_pool_info(spec, document)
    shown["onAllTasksComplete"] = spec.on_all_tasks_complete
    shown["onTaskFailure"] = spec.on_task_failure
    if document.get("metadata"):
        shown["metadata"] = document["metadata"]
    shown["executionInfo"] = _show_execution(job)
    return shown


def _show_execution(job: Job) -> Document:
    shown: Document = {"startTime": iso(job.started_at)}
    if job.ended_at is not None:
        shown["endTime"] = iso(job.ended_at)
    if job.scheduling_error is None:
        shown["poolId"] = job.spec.pool
    else:
        shown["schedulingError"] = show_failure(job.scheduling_error)
    if job.terminate_reason is not None and job.ended_at is not None:
        shown["terminateReason"] = job.terminate_reason
    return shown
