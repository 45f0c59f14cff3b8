"""What becomes of a task when an execution of it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

from poolwright.domain.clock import Instant
from poolwright.domain.limits import SYSTEM_REQUEUES_MAX
from poolwright.domain.node import Failure
from poolwright.domain.states import TASK, ExecutionResult, TaskState, advance
from poolwright.domain.task import Execution, Task
from poolwright.domain.task_ends import DEPENDENCY_FAILED
from poolwright.domain.task_usage import NOTHING, TaskUsage
from poolwright.domain.transfer import SERVER_CODES, OutputFile

REQUEUE = "requeue"
PUT_ASIDE = (
    "putaside"  # its node is of no use for now: nobody asked for that, so it counts as lost by its node
)
TERMINATE = "terminate"
#: The agent's code for a start that met no such life of its machine: try again, elsewhere.
STALE = "StaleFence"

_SERVER_CODES = SERVER_CODES | {"InternalError"}
#: Ends after which output files are uploaded: the program ran and was not ended by request.
_DELIVERS = frozenset({"exit", "wallclock"})


@dataclass(frozen=True, slots=True)
class End:
    """How an execution ended, in the agent's words.

    `reason` is "exit", "wallclock", "killed:<reason of the order>", "lost" (nobody knows) or "failed" (never
    started; then `code` and `message` say why).
    """

    at: Instant
    reason: str
    exit_code: int | None = None
    signal: int | None = None
    code: str = ""
    message: str = ""
    details: tuple[tuple[str, str], ...] = ()
    started_at: Instant | None = None
    delivered: bool = False  # its output files were dealt with
    undelivered: Failure | None = None  # why they could not be uploaded
    used: TaskUsage = NOTHING  # what its processes used, without the time it took

    @property
    def status(self) -> int | None:
        """The exit code a shell would show: 128 + n for signal n."""
        if self.exit_code is not None:
            return self.exit_code
        return None if self.signal is None else 128 + self.signal


def assigned(
    task: Task, pool: str, node: str, fence: int, now: Instant, state: TaskState = TaskState.RUNNING
) -> Task:
    """The task as it runs on a node, or is `preparing` there: a new attempt, traces of the last one cleared."""
    advance(f"task {task.id}", TASK, task.state, state)
    return replace(
        task,
        state=state,
        state_at=now,
        previous_state=task.state,
        previous_at=task.state_at,
        attempt=task.attempt + 1,
        pool=pool,
        node=node,
        fence=fence,
        started_at=now,
        ended_at=None,
        exit_code=None,
        failure=None,
        result=None,
        kill_reason=None,
    )


def prepared(task: Task, now: Instant) -> Task:
    """The preparation it waited for is over: the task runs."""
    advance(f"task {task.id}", TASK, task.state, TaskState.RUNNING)
    return replace(
        task,
        state=TaskState.RUNNING,
        state_at=now,
        previous_state=task.state,
        previous_at=task.state_at,
        started_at=now,
    )


def unprepared(task: Task, now: Instant) -> Task:
    """The preparation it waited for failed or was interrupted: the task is active again, and has not run."""
    if task.kill_reason == REQUEUE:
        return _again(task, now, requeue_count=task.requeue_count + 1, last_requeue_at=now)
    return _again(task, now)


def ended(task: Task, job_retries: int, end: End, now: Instant) -> Task:
    """The task after an execution of its present attempt ended; unchanged if it was completed before.

    A retry (nonzero exit) is counted apart from a requeue by request and from a requeue by the system.
    """
    if task.state in (TaskState.COMPLETED, TaskState.ACTIVE):
        return task
    if end.reason == "exit":
        return _exited(task, job_retries, end, now)
    if end.reason == "failed" and end.code != STALE:
        code = end.code or "CommandLaunchFailed"
        failure = Failure(category(code), code, end.message, end.details)
        return _completed(task, now, end, failure)
    if end.reason == "wallclock":
        message = "The task was ended because it ran longer than its maxWallClockTime."
        details = (("Reason", "MaxWallClockTime"),)
        return _completed(task, now, end, Failure("usererror", "TaskEnded", message, details))
    reason = end.reason.partition(":")[2] or task.kill_reason
    if reason == REQUEUE:
        return _again(task, now, requeue_count=task.requeue_count + 1, last_requeue_at=now)
    if reason == TERMINATE:
        return terminated(task, now, "The task was ended by request.")
    return _lost(task, end, now)


def deliveries(before: Task, after: Task, end: End) -> tuple[OutputFile, ...]:
    """What is to be uploaded before the task may become what `ended` says: only its last attempt uploads."""
    if not before.spec.output_files or end.delivered or end.reason not in _DELIVERS:
        return ()
    if after is before or after.state is not TaskState.COMPLETED:
        return ()
    return tuple(file for file in before.spec.output_files if file.condition.holds(end.status))


def category(code: str) -> str:
    """Whose fault a failure code is, as the public service tells it."""
    return "servererror" if code in _SERVER_CODES else "usererror"


def terminated(task: Task, now: Instant, message: str) -> Task:
    """The task completed as failed because someone ended it; its process may still have to be killed."""
    return replace(
        _completed(task, now, End(now, "killed:terminate"), Failure("usererror", "TaskEnded", message)),
        kill_reason=TERMINATE,
    )


def cancelled(task: Task, now: Instant) -> Task:
    """An active task that ends because one it depends on failed (our extension)."""
    message = "The task was ended because a task it depends on failed."
    return _completed(task, now, End(now, "cancelled"), Failure("usererror", DEPENDENCY_FAILED, message))


def _exited(task: Task, job_retries: int, end: End, now: Instant) -> Task:
    if end.status == 0:
        return _completed(task, now, end, None)
    allowed = job_retries if task.spec.max_retries is None else task.spec.max_retries
    if allowed < 0 or task.retry_count < allowed:
        return _again(task, now, retry_count=task.retry_count + 1, last_retry_at=now)
    details = (("Message", f"The task exited with an exit code representing a failure: {end.status}"),)
    message = "The task exited with an exit code representing a failure"
    return _completed(task, now, end, Failure("usererror", "FailureExitCode", message, details))


def _lost(task: Task, end: End, now: Instant) -> Task:
    """Lost by its node: run it again, a bounded number of times; never a retry of the user's."""
    if task.system_requeues < SYSTEM_REQUEUES_MAX:
        return _again(task, now, system_requeues=task.system_requeues + 1)
    message = f"The task was lost by its nodes {task.system_requeues + 1} times and is not tried again."
    failure = Failure("usererror", "MaxInternalRetryCountReached", message, end.details)
    return _completed(task, now, end, failure)


def _again(task: Task, now: Instant, **counters: Instant) -> Task:
    advance(f"task {task.id}", TASK, task.state, TaskState.ACTIVE)
    waiting = replace(
        task,
        state=TaskState.ACTIVE,
        state_at=now,
        previous_state=task.state,
        previous_at=task.state_at,
        kill_reason=None,
    )
    return replace(waiting, **counters)  # type: ignore[arg-type]


def spent(task: Task, execution: Execution, end: End) -> TaskUsage:
    """What a run took. Time is that of the task's own command only, not of coordination commands beside it. Of a task
    that was completed before its processes were dead, the run is what is counted, not what the task says by now."""
    if execution.name != task.execution:
        return end.used
    present = task.state in (TaskState.PREPARING, TaskState.RUNNING)
    began = _began(task, end) if present else end.started_at or execution.since
    return replace(end.used, wall=max(0, end.at - (began or end.at)))


def _began(task: Task, end: End) -> Instant | None:
    """When the run began: the public start time includes downloads."""
    return task.started_at if end.started_at is None or task.spec.resource_files else end.started_at


def _completed(task: Task, now: Instant, end: End, failure: Failure | None) -> Task:
    failure = end.undelivered or failure
    advance(f"task {task.id}", TASK, task.state, TaskState.COMPLETED)
    started_at = _began(task, end)
    return replace(
        task,
        state=TaskState.COMPLETED,
        state_at=now,
        previous_state=task.state,
        previous_at=task.state_at,
        started_at=started_at,
        ended_at=max(end.at, started_at or 0),
        exit_code=end.status,
        failure=failure,
        result=ExecutionResult.SUCCESS if failure is None else ExecutionResult.FAILURE,
        kill_reason=None,
    )
