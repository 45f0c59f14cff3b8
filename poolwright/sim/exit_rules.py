"""Exit conditions exactly as documented, read here a second time from the words of the public rules."""

from __future__ import annotations

from poolwright.domain.clock import MILLISECOND, Micros
from poolwright.domain.exits import ExitConditions, ExitOptions
from poolwright.domain.job import Job
from poolwright.domain.states import JobState, TaskState
from poolwright.domain.task import Task
from poolwright.sim.seen import Seen

#: Failures of a task whose program began; all others come before it.
_BEGAN = ("FailureExitCode", "TaskEnded", "MaxInternalRetryCountReached")
_CANCELLED = "DependencyFailed"
_PERFORMS = "performexitoptionsjobaction"
_REASON = "TaskFailed"
#: Two transactions that read the clock in one order may be written in the other.
_CLOSE: Micros = 20 * MILLISECOND


def asked(task: Task) -> tuple[str, str]:
    """(job action, dependency action) of a completed task."""
    failed = task.failure is not None
    options = _options(task.spec.exit_conditions or ExitConditions(), task)
    return (
        options.job_action or ("terminate" if failed else "none"),
        options.dependency_action or ("block" if failed else "satisfy"),
    )


def _options(given: ExitConditions, task: Task) -> ExitOptions:
    """Exit codes before ranges, before sorts of failures, before the default; that never covers a success."""
    failure, code = task.failure, task.exit_code
    upload = failure is not None and failure.code.startswith("FileUpload")
    began = failure is None or upload or failure.code in _BEGAN
    if began and code is not None:
        for listed, options in given.codes:
            if code == listed:
                return options
        for first, last, options in given.ranges:
            if code in range(first, last + 1):
                return options
    special = (given.file_upload if upload else None) if began else given.pre_processing
    return special or (given.default if failure is not None else None) or ExitOptions()


def satisfied(task: Task) -> bool:
    """Whether what depends on this task may go on."""
    cancelled = task.failure is not None and task.failure.code == _CANCELLED
    return task.state is TaskState.COMPLETED and not cancelled and asked(task)[1] == "satisfy"


class ExitsObeyed:
    """A job that performs the actions of exit options does so in the moment of the end, and ends for no other task."""

    def __init__(self) -> None:
        self._unsure: set[int] = set()

    def deleted(self, task: Task) -> None:
        """A caller deleted a task: it may be what its job ended for."""
        self._unsure.add(task.job_pk)

    def check(self, seen: Seen) -> list[str]:
        said: list[str] = []
        ends: set[int] = set()
        for job, task in seen.tasks:
            if job.spec.on_task_failure != _PERFORMS or task.state is not TaskState.COMPLETED:
                continue
            if _ends_job(job, task) or (task.failure is not None and task.failure.code == _CANCELLED):
                continue
            action = asked(task)[0]
            if action == "terminate":
                ends.add(job.pk)
            if action != "none" and job.state is JobState.ACTIVE and task.state_at > job.state_at + _CLOSE:
                end = task.failure.code if task.failure else f"exit code {task.exit_code}"
                said.append(f"job {job.id} is active, task {task.id} ended with {end}, which means {action}")
        for job in seen.jobs:
            if job.terminate_reason != _REASON or job.pk in self._unsure or job.pk in ends:
                continue
            said.append(f"job {job.id} ended for a failed task, of which it has none")
        return said


def _ends_job(job: Job, task: Task) -> bool:
    """Whether the job ends with this task, however it ends."""
    manager = job.spec.manager
    return manager is not None and manager.kill_job and task.id == manager.id
