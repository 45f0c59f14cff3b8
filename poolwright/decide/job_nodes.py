"""Preparation and release of a job on one node: what is to be done now, and what becomes of an end."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

from poolwright.decide.task_life import STALE, End, category
from poolwright.domain.clock import Instant
from poolwright.domain.job import Job
from poolwright.domain.job_tasks import JobNode, PreparationTask
from poolwright.domain.node import Failure, Node, StartTaskInfo
from poolwright.domain.states import ExecutionResult, JobState, NodeState, StartTaskState


class Preparation(Enum):
    """Where a node stands with the preparation of a job."""

    NEEDED = auto()
    RUNNING = auto()
    DONE = auto()
    BARRED = auto()  # it failed: no task of the job runs here until the node is reimaged


class Release(Enum):
    """Where a node stands with the release of a job that ends."""

    START = auto()
    WAIT = auto()
    OVER = auto()  # done, or never to be done


_STARTS = frozenset({NodeState.IDLE, NodeState.RUNNING, NodeState.OFFLINE, NodeState.START_TASK_FAILED})
#: States that lead to one of the above, or out of the pool, by themselves.
_COMES = frozenset(
    {NodeState.STARTING, NodeState.WAITING_FOR_START_TASK, NodeState.REBOOTING, NodeState.UNKNOWN}
)
#: Nothing more of such a job is prepared. By force a job completes before its preparations have ended.
_OVER = frozenset({JobState.TERMINATING, JobState.DELETING, JobState.COMPLETED})


def preparation(row: JobNode | None, node: Node, spec: PreparationTask) -> Preparation:
    """Whether a task of the job may start on the node, and what has to come first."""
    if row is None or row.wiped or not row.fence:
        return Preparation.NEEDED
    info, same_life = row.preparation, row.fence == node.fence
    if info.state is StartTaskState.RUNNING:
        return Preparation.RUNNING if same_life else Preparation.NEEDED
    if info.result is ExecutionResult.FAILURE:
        return Preparation.BARRED if spec.wait_for_success else Preparation.DONE
    return Preparation.DONE if same_life or not spec.rerun_after_reboot else Preparation.NEEDED


def begun(row: JobNode | None, job_pk: int, node: Node, now: Instant) -> JobNode:
    """The preparation begins (anew) on the node's present life."""
    attempt = 1 if row is None else row.preparation.attempt + 1
    info = StartTaskInfo(StartTaskState.RUNNING, now, attempt)
    if row is None:
        return JobNode(0, job_pk, node.account, node.pool, node.id, node.machine, node.fence, info)
    return replace(row, machine=node.machine, fence=node.fence, preparation=info, wiped=False)


def release(row: JobNode, node: Node | None) -> Release:
    """What to do about the release on a node; `node` is None when it has left."""
    info = row.release
    done = info is not None and info.state is StartTaskState.COMPLETED
    prepared = row.preparation.state is StartTaskState.COMPLETED and not row.wiped
    if done or not prepared or node is None or node.machine != row.machine:
        return Release.OVER
    if node.state in _COMES:
        return Release.WAIT
    if node.state not in _STARTS:
        return Release.OVER
    running = info is not None and row.release_fence == node.fence
    return Release.WAIT if running else Release.START


def release_begun(row: JobNode, node: Node, now: Instant) -> JobNode:
    """The release begins (again, if a former one was interrupted) on the node's present life."""
    attempt = 1 if row.release is None else row.release.attempt + 1
    return replace(row, release=StartTaskInfo(StartTaskState.RUNNING, now, attempt), release_fence=node.fence)


def preparation_ended(row: JobNode, job: Job, spec: PreparationTask, end: End, now: Instant) -> JobNode:
    """A nonzero exit is tried again as the job says, unless the job ends or has ended; an attempt that was lost or
    killed has to begin anew."""
    if _lost(end):
        return replace(row, fence=0)
    info = row.preparation
    failed = end.reason == "exit" and end.status != 0
    if failed and job.state not in _OVER and (spec.max_retries < 0 or info.retry_count < spec.max_retries):
        again = replace(
            info, attempt=info.attempt + 1, retry_count=info.retry_count + 1, last_retry_at=now,
            exit_code=end.status, failure=_failure(end),
        )  # fmt: skip
        return replace(row, preparation=again)
    return replace(row, preparation=_over(info, end))


def release_ended(row: JobNode, end: End) -> JobNode:
    """However it ended, it is over; unless it was interrupted."""
    if _lost(end) or row.release is None:
        return replace(row, release_fence=0)
    return replace(row, release=_over(row.release, end))


def _lost(end: End) -> bool:
    return end.reason == "lost" or end.reason.startswith("killed:") or end.code == STALE


def _over(info: StartTaskInfo, end: End) -> StartTaskInfo:
    failure = None if end.reason == "exit" and end.status == 0 else _failure(end)
    return replace(
        info,
        state=StartTaskState.COMPLETED,
        started_at=end.started_at or info.started_at,
        ended_at=end.at,
        exit_code=end.status,
        failure=failure,
        result=ExecutionResult.SUCCESS if failure is None else ExecutionResult.FAILURE,
    )


def _failure(end: End) -> Failure:
    if end.reason == "exit":
        return Failure("usererror", "FailureExitCode", f"The task exited with {end.status}", end.details)
    if end.reason == "wallclock":
        message = "The task ran longer than its maxWallClockTime."
        return Failure("usererror", "TaskEnded", message, (("Reason", "MaxWallClockTime"),))
    code = end.code or "CommandLaunchFailed"
    return Failure(category(code), code, end.message, end.details)
