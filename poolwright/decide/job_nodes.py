"""Preparation and release of a job on one node: what is to be done now, and what becomes of an end.

A row says `running` exactly while an execution lives. One that was interrupted (its node was lost, it was killed) has
ended badly, with no life of the node as its own (`fence`, `release_fence` 0): it begins anew if it is still wanted.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

from poolwright.decide.task_life import STALE, TERMINATE, End, category
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
_ENDS = frozenset({JobState.TERMINATING, JobState.DELETING, JobState.COMPLETED})


def ends(job: Job) -> bool:
    """Whether nothing more of the job is prepared. By force it completes before its preparations have ended."""
    return job.state in _ENDS


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
    info = StartTaskInfo(StartTaskState.RUNNING, now, 1)
    if row is None:
        return JobNode(0, job_pk, node.account, node.pool, node.id, node.machine, node.fence, info)
    former = row.preparation
    info = replace(info, attempt=former.attempt + 1)
    if not row.fence and not row.wiped:  # an interruption gives no more retries
        info = replace(info, retry_count=former.retry_count, last_retry_at=former.last_retry_at)
    return replace(row, machine=node.machine, fence=node.fence, preparation=info, wiped=False)


def release(row: JobNode, node: Node | None) -> Release:
    """What to do about the release on a node; `node` is None when it has left."""
    info = row.release
    prepared = row.preparation.state is StartTaskState.COMPLETED and row.fence and not row.wiped
    if released(row) or not prepared or node is None or node.machine != row.machine:
        return Release.OVER
    if node.state in _COMES:
        return Release.WAIT
    if node.state not in _STARTS:
        return Release.OVER
    running = info is not None and row.release_fence == node.fence
    return Release.WAIT if running else Release.START


def released(row: JobNode) -> bool:
    """Whether the release has run to its end on the node."""
    info = row.release
    return info is not None and info.state is StartTaskState.COMPLETED and row.release_fence > 0


def release_begun(row: JobNode, node: Node, now: Instant) -> JobNode:
    """The release begins (again, if a former one was interrupted) on the node's present life."""
    attempt = 1 if row.release is None else row.release.attempt + 1
    return replace(row, release=StartTaskInfo(StartTaskState.RUNNING, now, attempt), release_fence=node.fence)


def preparation_ended(
    row: JobNode, job: Job, spec: PreparationTask, end: End, now: Instant, *, ordered: bool = False
) -> JobNode:
    """A nonzero exit is tried again as the job says, unless the job ends or has ended; an attempt that was lost or
    killed has to begin anew. So does one that failed by itself before the end that was `ordered` came to it."""
    info = row.preparation
    if _lost(end):
        return replace(row, fence=0, preparation=_over(info, end))
    failed = end.reason == "exit" and end.status != 0
    if not failed or ends(job) or 0 <= spec.max_retries <= info.retry_count:
        return replace(row, preparation=_over(info, end))
    info = replace(info, retry_count=info.retry_count + 1, last_retry_at=now)
    if ordered:
        return replace(row, fence=0, preparation=_over(info, end))
    again = replace(info, attempt=info.attempt + 1, exit_code=end.status, failure=_failure(end))
    return replace(row, preparation=again)


def release_ended(row: JobNode, end: End) -> JobNode:
    """However it ended, it is over; unless it was interrupted."""
    assert row.release is not None
    return replace(row, release=_over(row.release, end), release_fence=0 if _lost(end) else row.release_fence)


def given_up(row: JobNode, now: Instant) -> JobNode:
    """The job is over before what runs of it on the node has ended: that is killed, and nobody waits for its end."""
    end = End(now, f"killed:{TERMINATE}")
    if row.preparation.state is StartTaskState.RUNNING:
        row = replace(row, fence=0, preparation=_over(row.preparation, end))
    if row.release is not None and row.release.state is StartTaskState.RUNNING:
        row = release_ended(row, end)
    return row


def _lost(end: End) -> bool:
    """Whether it was interrupted."""
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
    if end.reason == f"killed:{TERMINATE}":
        return Failure("usererror", "TaskEnded", "The task was ended by request, or with its job.")
    if _lost(end):
        message = "The task was interrupted: its node was lost, made anew, put aside or taken away."
        return Failure("servererror", "TaskEnded", message)
    code = end.code or "CommandLaunchFailed"
    return Failure(category(code), code, end.message, end.details)
