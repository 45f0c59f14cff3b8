"""What a job waits for, in words: its own state first, then what holds the first of its waiting tasks."""

from __future__ import annotations

from dataclasses import replace

from poolwright.domain.facts import Explanation
from poolwright.domain.job import NO_ACTION, Job, TaskCounts
from poolwright.domain.states import JobState

#: Code, message, next step; `{running}` tasks have not ended yet.
_TEXTS = {
    JobState.DISABLED: ("JobDisabled", "The job is disabled: none of its tasks runs.", "Enable the job."),
    JobState.DISABLING: ("JobDisabling", "The job is being disabled; {running} tasks still run.", "Wait."),
    JobState.ENABLING: ("JobEnabling", "The job is being enabled.", "Wait."),
    JobState.TERMINATING: (
        "JobTerminating",
        "The job is being terminated; {running} tasks still run, and its release task on nodes where it has one.",
        "Wait, or terminate it with force=true.",
    ),
    JobState.DELETING: (
        "JobDeleting",
        "The job is being deleted; {running} tasks still run, and its release task on nodes where it has one.",
        "Wait, or delete it with force=true.",
    ),
    JobState.COMPLETED: ("JobCompleted", "The job has completed.", ""),
}


def job(row: Job, counts: TaskCounts, waiting: tuple[str, Explanation] | None) -> Explanation:
    """Why the job is not done; `waiting` is a task of it that waits, and why."""
    evidence = tuple(
        (f"tasks.{name}", str(getattr(counts, name))) for name in ("active", "running", "succeeded", "failed")
    )
    return replace(_said(row, counts, waiting), evidence=evidence)


def _said(row: Job, counts: TaskCounts, waiting: tuple[str, Explanation] | None) -> Explanation:
    error = row.scheduling_error
    if error is not None:
        return Explanation(error.code, error.message, "Remove the cause, and add the job anew.")
    if row.state in _TEXTS:
        code, message, step = _TEXTS[row.state]
        return Explanation(code, message.format(running=counts.running), step)
    if counts.active:
        if waiting is None:
            message = f"{counts.active} tasks wait and {counts.running} run."
            return Explanation("TasksWait", message, "Ask why one of them waits: its own explain tells.")
        task, why = waiting
        message = (
            f"{counts.active} tasks wait and {counts.running} run. Of the waiting ones {task}: {why.message}"
        )
        return Explanation(why.code, message, why.next_step)
    if counts.running:
        return Explanation("TasksRun", f"{counts.running} tasks run, none waits.", "Wait.")
    if not counts.completed:
        return Explanation("JobEmpty", "The job has no tasks.", "Add tasks, or terminate the job.")
    message = "All tasks have completed; the job stays active, since more may be added."
    if row.spec.on_all_tasks_complete != NO_ACTION:
        return Explanation("TasksComplete", "All tasks have completed; the job ends now.", "Wait.")
    return Explanation("TasksComplete", message, "Terminate the job, or set its onAllTasksComplete.")
