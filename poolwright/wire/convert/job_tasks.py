"""The tasks of a job itself: manager, preparation, release; and how the latter two fare on each node."""

from __future__ import annotations

from poolwright.domain.job import Job, JobSpec
from poolwright.domain.job_tasks import (
    PREPARATION_ID,
    RELEASE_ID,
    RELEASE_WALL_CLOCK_MAX,
    JobNode,
    ManagerTask,
    PreparationTask,
    ReleaseTask,
    job_task_name,
)
from poolwright.domain.limits import RETENTION_DEFAULT
from poolwright.domain.node import StartTaskInfo
from poolwright.domain.pool import UserIdentity
from poolwright.domain.task import TaskSpec
from poolwright.wire.bodies import encode_document
from poolwright.wire.convert.containers import read_command, read_container, show_container
from poolwright.wire.convert.outcome import show_retries, show_run
from poolwright.wire.convert.package import read_packages
from poolwright.wire.convert.relations import read_token_access
from poolwright.wire.convert.shared import (
    Document,
    check_display_name,
    read_environment,
    read_user,
    show_user,
)
from poolwright.wire.convert.task import read_constraints
from poolwright.wire.convert.task_places import task_directory
from poolwright.wire.convert.transfer import read_output_files, read_resource_files
from poolwright.wire.durations import format_duration
from poolwright.wire.generated import batch_models as models
from poolwright.wire.links import Links


def read_manager(body: models.BatchJobManagerTask) -> ManagerTask:
    """Raises ServiceError."""
    name = "jobManagerTask."
    container = read_container(body.container_settings, name)
    retries, wall_clock, retention = read_constraints(body.constraints)
    token = body.authentication_token_settings
    spec = TaskSpec(
        read_command(body.command_line, name + "commandLine", container),
        read_environment(body.environment_settings, name + "environmentSettings"),
        read_user(body.user_identity, name + "userIdentity"),
        retries,
        wall_clock,
        retention,
        1 if body.required_slots is None else body.required_slots,
        None,
        check_display_name(body.display_name),
        packages=read_packages(body.application_package_references, name + "applicationPackageReferences"),
        job_token=read_token_access(token, name + "authenticationTokenSettings") if token else False,
        resource_files=read_resource_files(body.resource_files, name + "resourceFiles"),
        output_files=read_output_files(body.output_files, name + "outputFiles"),
        container=container,
    )
    return ManagerTask(
        id=body.id,
        spec=spec,
        document=encode_document(body).decode(),
        kill_job=body.kill_job_on_completion is not False,
        exclusive=body.run_exclusive is not False,
        low_priority=body.allow_low_priority_node is not False,
    )


def read_preparation(body: models.BatchJobPreparationTask) -> PreparationTask:
    """Raises ServiceError."""
    name = "jobPreparationTask."
    container = read_container(body.container_settings, name)
    retries, wall_clock, retention = read_constraints(body.constraints)
    return PreparationTask(
        command_line=read_command(body.command_line, name + "commandLine", container),
        id=body.id or PREPARATION_ID,
        environment=read_environment(body.environment_settings, name + "environmentSettings"),
        user=read_user(body.user_identity, name + "userIdentity"),
        max_retries=retries or 0,
        max_wall_clock=wall_clock,
        retention=retention,
        wait_for_success=body.wait_for_success is not False,
        rerun_after_reboot=body.rerun_on_node_reboot_after_success is not False,
        resource_files=read_resource_files(body.resource_files, name + "resourceFiles"),
        container=container,
    )


def read_release(body: models.BatchJobReleaseTask) -> ReleaseTask:
    """Raises ServiceError."""
    name = "jobReleaseTask."
    container = read_container(body.container_settings, name)
    wall_clock, retention, user = body.max_wall_clock_time, body.retention_time, body.user_identity
    return ReleaseTask(
        command_line=read_command(body.command_line, name + "commandLine", container),
        id=body.id or RELEASE_ID,
        environment=read_environment(body.environment_settings, name + "environmentSettings"),
        user=UserIdentity("task") if user is None else read_user(user, name + "userIdentity"),
        max_wall_clock=RELEASE_WALL_CLOCK_MAX if wall_clock is None else wall_clock.micros,
        retention=RETENTION_DEFAULT if retention is None else retention.micros,
        resource_files=read_resource_files(body.resource_files, name + "resourceFiles"),
        container=container,
    )


def show_job_tasks(shown: Document, spec: JobSpec, document: Document) -> None:
    """Add what the job has of these tasks, with their defaults spelled out."""
    manager, preparation, release = spec.manager, spec.preparation, spec.release
    if manager is not None:
        shown["jobManagerTask"] = {
            **document.get("jobManagerTask", {}),
            "requiredSlots": manager.spec.required_slots,
            "killJobOnCompletion": manager.kill_job,
            "runExclusive": manager.exclusive,
            "allowLowPriorityNode": manager.low_priority,
            "userIdentity": show_user(manager.spec.user),
        }
    if preparation is not None:
        shown["jobPreparationTask"] = {
            **document.get("jobPreparationTask", {}),
            "id": preparation.id,
            "constraints": {
                "maxWallClockTime": format_duration(preparation.max_wall_clock),
                "retentionTime": format_duration(preparation.retention),
                "maxTaskRetryCount": preparation.max_retries,
            },
            "waitForSuccess": preparation.wait_for_success,
            "rerunOnNodeRebootAfterSuccess": preparation.rerun_after_reboot,
            "userIdentity": show_user(preparation.user),
        }
    if release is not None:
        shown["jobReleaseTask"] = {
            **document.get("jobReleaseTask", {}),
            "id": release.id,
            "maxWallClockTime": format_duration(release.max_wall_clock),
            "retentionTime": format_duration(release.retention),
            "userIdentity": show_user(release.user),
        }


def show_job_node(row: JobNode, job: Job, links: Links) -> Document:
    """One entry of the status of preparation and release."""
    shown: Document = {
        "poolId": row.pool,
        "nodeId": row.node,
        "nodeUrl": links.node(row.pool, row.node),
    }
    if job.spec.preparation is not None:
        info = _show("p", row.preparation, row, job, job.spec.preparation, links)
        shown["jobPreparationTaskExecutionInfo"] = info | show_retries(row.preparation)
    if job.spec.release is not None and row.release is not None:
        shown["jobReleaseTaskExecutionInfo"] = _show("r", row.release, row, job, job.spec.release, links)
    return shown


def _show(
    kind: str, info: StartTaskInfo, row: JobNode, job: Job, task: PreparationTask | ReleaseTask, links: Links
) -> Document:
    directory = task_directory(job.id, task.id)
    shown: Document = {"state": info.state.value, **show_run(info)}
    shown["taskRootDirectory"] = directory
    shown["taskRootDirectoryUrl"] = links.node_file(row.pool, row.node, directory)
    return shown | show_container(info, task.container, job_task_name(kind, row.pk, info.attempt))
