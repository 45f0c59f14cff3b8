"""What the end of a task means for its job and for the tasks that depend on it (public rules of exit conditions)."""

from __future__ import annotations

from dataclasses import replace

from poolwright.domain.clock import Instant
from poolwright.domain.exits import ExitOptions
from poolwright.domain.job import Job
from poolwright.domain.states import JOB, JobState, TaskState, advance
from poolwright.domain.task import Task

PERFORM = "performexitoptionsjobaction"
DISABLE, TERMINATE = "disable", "terminate"
TASK_FAILED = "TaskFailed"
MANAGER_COMPLETE = "JMComplete"
_UPLOAD = "FileUpload"
#: Codes of failures before the command ran at all.
_BEFORE = frozenset(
    {
        "ApplicationPackageError",
        "BlobAccessDenied",
        "BlobDownloadMiscError",
        "BlobDownloadTimedOut",
        "BlobNotFound",
        "CommandLaunchFailed",
        "CommandProgramNotFound",
        "ContainerInvalidImage",
        "ContainerInvalidRegistry",
        "ContainerInvalidSettings",
        "ContainerMiscError",
        "DiskFull",
        "MountConfigurationError",
        "ResourceContainerAccessDenied",
        "ResourceContainerListMiscError",
        "ResourceContainerListTimedOut",
        "ResourceContainerNotFound",
        "ResourceDirectoryCreateFailed",
        "ResourceFileCreateFailed",
        "ResourceFileWriteFailed",
        "TaskSchedulingConstraintFailed",
    }
)
#: The failure code (ours) of a task that was ended because one it depends on failed.
DEPENDENCY_FAILED = "DependencyFailed"

_NOTHING = ExitOptions()


def options_of(task: Task) -> ExitOptions:
    """The options that apply to a completed task; what they leave open is settled by `job_action` and `satisfies`."""
    given = task.spec.exit_conditions
    if given is None:
        return _NOTHING
    code = task.failure.code if task.failure is not None else None
    if code in _BEFORE:
        return given.pre_processing or given.default or _NOTHING
    for listed, options in given.codes:
        if listed == task.exit_code:
            return options
    for first, last, options in given.ranges:
        if task.exit_code is not None and first <= task.exit_code <= last:
            return options
    if code is None:
        return _NOTHING  # the default never covers a success
    if code.startswith(_UPLOAD) and given.file_upload is not None:
        return given.file_upload
    return given.default or _NOTHING


def satisfies(task: Task) -> bool:
    """Whether tasks that depend on this completed one may go on."""
    if task.failure is not None and task.failure.code == DEPENDENCY_FAILED:
        return False
    action = options_of(task).dependency_action
    return task.failure is None if action is None else action == "satisfy"


def job_action(task: Task) -> str:
    """ "none", "disable" or "terminate": what this end asks of a job that performs the actions of exit options."""
    return options_of(task).job_action or ("none" if task.failure is None else TERMINATE)


def job_after(job: Job, task: Task, now: Instant) -> Job | None:
    """The job as the end of this task leaves it, or None if it stays as it is. Only an active job is moved; the end of
    its manager goes before exit options."""
    if task.state is not TaskState.COMPLETED or job.state is not JobState.ACTIVE:
        return None
    manager = job.spec.manager
    if manager is not None and manager.kill_job and job.spec.manages(task.id):
        return _moved(job, JobState.TERMINATING, now, terminate_reason=MANAGER_COMPLETE)
    if job.spec.on_task_failure == PERFORM:
        action = job_action(task)
        if action == TERMINATE:
            return _moved(job, JobState.TERMINATING, now, terminate_reason=TASK_FAILED)
        if action == DISABLE:
            return _moved(job, JobState.DISABLING, now, disable_tasks="requeue")
    return None


def _moved(
    job: Job,
    state: JobState,
    now: Instant,
    *,
    terminate_reason: str | None = None,
    disable_tasks: str | None = None,
) -> Job:
    advance(f"job {job.id}", JOB, job.state, state)
    return replace(
        job,
        state=state,
        state_at=now,
        modified_at=max(now, job.modified_at + 1),
        previous_state=job.state,
        previous_at=job.state_at,
        terminate_reason=terminate_reason or job.terminate_reason,
        disable_tasks=disable_tasks,
    )
