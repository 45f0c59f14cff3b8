"""What becomes of a node when something happened to it: each function takes the node and returns its next row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from poolwright.decide.task_life import PUT_ASIDE, STALE, End, category
from poolwright.domain.clock import MINUTE, SECOND, Instant, Micros
from poolwright.domain.containers import PULL_ERROR
from poolwright.domain.limits import ERRORS_PER_NODE_MAX, NODE_RECOVERIES_MAX
from poolwright.domain.node import Failure, Logins, Node, NodeError, StartTaskInfo
from poolwright.domain.package import NO_PACKAGES, PACKAGE_ERROR, NodePackages
from poolwright.domain.pool import StartTask
from poolwright.domain.states import (
    NODE,
    ExecutionResult,
    NodeState,
    SchedulingState,
    StartTaskState,
    advance,
)

HISTORY_MAX = 30
#: The detail of a node's error that says what to do.
NEXT_STEP = "NextStep"
GIVEN_UP = (
    f"The service tried {NODE_RECOVERIES_MAX} times and leaves it to you: remove the cause, then reboot the node, "
    "or remove the node."
)
_RECOVERS = "Wait: the service makes the node's machine again. If that goes on, remove the cause or the node."
#: A node whose mounts failed is restarted after this long, as often as any recovery: the server may be back.
TROUBLE_RETRY: Micros = MINUTE
#: A machine that lasted this long did not fail because of its last recovery: the count starts anew.
STABLE_AFTER: Micros = 10 * MINUTE
#: Waits before the first, second, third recovery in a row.
RECOVERY_WAITS: tuple[Micros, ...] = (0, 10 * SECOND, 60 * SECOND)
#: Retries of a start task up to this many come at once, later ones wait longer each time.
QUICK_RETRIES = 3
RETRY_WAIT_MAX: Micros = 30 * SECOND
#: A preempted node asks for a machine again after this long.
RETURN_WAIT: Micros = 30 * SECOND


_COMMON = frozenset({NodeState.IDLE, NodeState.RUNNING})
_BEFORE_STARTING = frozenset({NodeState.CREATING, NodeState.REBOOTING, NodeState.REIMAGING})
_WITHOUT_MACHINE = frozenset(
    {NodeState.LEAVING_POOL, NodeState.PREEMPTED, NodeState.DEALLOCATING, NodeState.DEALLOCATED}
)


@dataclass(frozen=True, slots=True)
class Booted:
    """What the engine said of a machine it made."""

    address: str | None = None
    notes: tuple[str, ...] = ()
    phases_ms: Mapping[str, float] = field(default_factory=dict)
    troubles: tuple[NodeError, ...] = ()
    agent: str = ""


#: What its user can do about a node that does not have what its pool wants.
_STEPS = {
    PACKAGE_ERROR: "Upload and activate the package, or take it out of the pool's references; then reboot the node.",
    PULL_ERROR: "See that the registry has the image and lets it be pulled with the pool's credentials; then reboot "
    "the node, or make the pool anew with other images.",
}


def move(node: Node, state: NodeState, now: Instant, reason: str) -> Node:
    """The node in its next state, with the move in its history. Raises IllegalTransition."""
    if state is node.state:
        return node
    story = tuple(f"{at} {was}: {why}" for at, was, why in node.history)
    advance(f"node {node.id}", NODE, node.state, state, story)
    kept = node.history
    if state in _COMMON and len(kept) > 1 and kept[-1][1] in _COMMON and kept[-2][1] in _COMMON:
        kept = kept[:-1]  # of many turns between idle and running only the last are news
    history = (*kept, (now, state.value, reason))[-HISTORY_MAX:]
    return replace(node, state=state, state_at=now, history=history)


def with_error(node: Node, code: str, message: str, next_step: str) -> Node:
    """The node with one more current error, which says what happened and what helps; an older one of the same code
    is replaced."""
    kept = without_error(node, code).errors
    error = NodeError(code, message, ((NEXT_STEP, next_step),))
    return replace(node, errors=(*kept, error)[-ERRORS_PER_NODE_MAX:])


def without_error(node: Node, code: str) -> Node:
    """The node without its error of this code."""
    return replace(node, errors=tuple(error for error in node.errors if error.code != code))


def given_up(node: Node) -> Node:
    """The service has tried often enough to make this node usable: from now on only its user helps."""
    if not node.errors or (NEXT_STEP, GIVEN_UP) in node.errors[-1].details:
        return node
    last = node.errors[-1]
    kept = tuple((name, value) for name, value in last.details if name != NEXT_STEP)
    return replace(node, errors=(*node.errors[:-1], replace(last, details=(*kept, (NEXT_STEP, GIVEN_UP)))))


def rest(node: Node, busy: bool, start_task: StartTask | None, now: Instant, reason: str) -> Node:
    """The node in the state it has when nothing is being done to it, by its start task, tasks and scheduling."""
    if node.packages.pending:
        return move(node, NodeState.STARTING, now, f"its {_brought(node)} are being brought")
    info = node.start_task
    if start_task is not None and start_task.wait_for_success and info is not None:
        if info.state is StartTaskState.RUNNING:
            return move(node, NodeState.WAITING_FOR_START_TASK, now, reason)
        if info.result is ExecutionResult.FAILURE:
            waiting = move(node, NodeState.WAITING_FOR_START_TASK, now, reason)
            return move(waiting, NodeState.START_TASK_FAILED, now, reason)
    if busy:
        return move(node, NodeState.RUNNING, now, reason)
    if node.scheduling is SchedulingState.DISABLED:
        return move(node, NodeState.OFFLINE, now, reason)
    return move(node, NodeState.IDLE, now, reason)


def joined(
    node: Node,
    booted: Booted,
    start_task: StartTask | None,
    now: Instant,
    packages: NodePackages = NO_PACKAGES,
) -> Node:
    """The machine of this life runs and its agent answers: errors are over, the start task begins."""
    if node.state not in (*_BEFORE_STARTING, NodeState.STARTING):
        return replace(node, seen_at=max(node.seen_at, now))
    node = replace(
        node,
        booted_at=now,
        seen_at=now,
        address=booted.address,
        notes=booted.notes,
        phases_ms=dict(booted.phases_ms),
        errors=booted.troubles,
        retry_at=0,
        start_task=None,
        packages=packages,
        agent_version=booted.agent,
        agent_since=node.agent_since if booted.agent == node.agent_version else now,
    )
    node = move(node, NodeState.STARTING, now, "the machine runs and its agent answers")
    if booted.troubles:
        return troubled(node, booted.troubles, now)
    return begin(node, start_task, now, "ready")


def begin(node: Node, start_task: StartTask | None, now: Instant, reason: str) -> Node:
    """A starting node goes on: to its start task, which this life has not seen yet, or to rest."""
    if start_task is None or node.packages.pending:
        return rest(node, False, None, now, reason)
    node = replace(node, start_task=StartTaskInfo(StartTaskState.RUNNING, now, 1))
    return rest(node, False, start_task, now, "the start task begins")


def installed(node: Node, start_task: StartTask | None, now: Instant) -> Node:
    """The application packages of the pool are there: the node goes on."""
    if not node.packages.pending:
        return node
    node = replace(node, packages=replace(node.packages, pending=False))
    if node.state is not NodeState.STARTING:
        return node  # put aside meanwhile; it goes on when it comes back
    return begin(node, start_task, now, f"its {_brought(node)} are there")


def without_packages(node: Node, why: str, now: Instant, code: str = PACKAGE_ERROR) -> Node:
    """A package or container image of the pool cannot be had. The service does not try again by itself (public rule):
    only a new life of the node does."""
    node = move(node, NodeState.UNUSABLE, now, why)
    return with_error(node, code, why, _STEPS.get(code, _STEPS[PACKAGE_ERROR]))


def _brought(node: Node) -> str:
    return "container images and application packages" if node.packages.containers else "application packages"


def troubled(node: Node, troubles: tuple[NodeError, ...], now: Instant) -> Node:
    """The machine runs but is of no use while it has these troubles: its start task is to end, as its tasks are. What
    only a restart can mend is tried later."""
    codes = {error.code for error in troubles}
    kept = tuple(error for error in node.errors if not error.source and error.code not in codes)
    node = move(node, NodeState.UNUSABLE, now, troubles[-1].message)
    if node.start_task is not None and node.start_task.state is StartTaskState.RUNNING:
        node = replace(node, start_task=replace(node.start_task, ends=True))
    return replace(node, errors=(*kept, *troubles)[-ERRORS_PER_NODE_MAX:], retry_at=now + TROUBLE_RETRY)


def start_ended(node: Node, start_task: StartTask | None, end: End, busy: bool, now: Instant) -> Node:
    """The start task's present attempt ended. A nonzero exit is tried again as the pool says; a start task that
    could not be launched is not. An attempt that was lost, or was ended because the node was put aside, is repeated
    without being counted. Nothing follows from the end of a start task that the pool has no more (None)."""
    info = node.start_task
    if info is None or info.state is not StartTaskState.RUNNING:
        return node
    aside = node.state is NodeState.UNUSABLE
    info = replace(info, ends=False)
    next_one = replace(info, attempt=info.attempt + 1)
    if start_task is None or end.reason in ("lost", f"killed:{PUT_ASIDE}") or end.code == STALE:
        return replace(node, start_task=next_one)
    if end.reason == "exit" and end.status == 0:
        return _start_succeeded(node, info, start_task, end, busy, now)
    failure = _start_failure(end)
    allowed = start_task.max_retries
    if end.reason == "exit" and (allowed < 0 or info.retry_count < allowed):
        retries = info.retry_count + 1
        again = replace(
            next_one, exit_code=end.status, failure=failure, retry_count=retries, last_retry_at=now
        )
        return replace(
            node, start_task=again, retry_at=node.retry_at if aside else now + _retry_wait(retries)
        )
    info = replace(info, state=StartTaskState.COMPLETED, ended_at=end.at, result=ExecutionResult.FAILURE)
    node = replace(node, start_task=replace(info, exit_code=end.status, failure=failure))
    if node.state is NodeState.WAITING_FOR_START_TASK:
        return move(node, NodeState.START_TASK_FAILED, now, f"start task: {failure.message}")
    return node


def awaits_machine(node: Node) -> bool:
    """Whether the machine of the present life is still to be made."""
    return node.state in _BEFORE_STARTING or (node.state is NodeState.STARTING and node.booted_at is None)


def deallocated(node: Node, now: Instant) -> Node:
    """The machine is known to be stopped; its storage stays."""
    node = move(node, NodeState.DEALLOCATED, now, "the machine is stopped, its storage is kept")
    return replace(node, booted_at=None, address=None, errors=(), retry_at=0, phases_ms={})


def machine_gone(node: Node, why: str, now: Instant) -> Node:
    """The machine of the present life does not exist any more although nobody asked for that."""
    if node.state in _WITHOUT_MACHINE or awaits_machine(node):
        return node
    lasted = now - (node.booted_at or now)
    attempts = 0 if lasted >= STABLE_AFTER else node.attempts
    wait = RECOVERY_WAITS[min(attempts, len(RECOVERY_WAITS) - 1)]
    node = move(node, NodeState.UNUSABLE, now, why)
    node = with_error(node, "MachineLost", f"The node's machine is gone: {why}.", _RECOVERS)
    return replace(node, attempts=attempts, retry_at=now + wait)


def next_life(node: Node, state: NodeState, now: Instant, reason: str) -> Node:
    """The node about to be made again: the fence grows, so that nothing of its former life counts any more."""
    node = move(node, state, now, reason)
    if state is NodeState.REIMAGING:
        node = replace(node, logins=Logins())  # they go with the disk they are on
    return replace(
        node,
        fence=node.fence + 1,
        start_task=None,
        retry_at=0,
        address=None,
        packages=NO_PACKAGES,
        certificates=(),
    )


def preempted(node: Node, now: Instant, why: str) -> Node:
    """The machine of a low-priority node is taken away; the id stays."""
    node = move(node, NodeState.PREEMPTED, now, why)
    return replace(node, drain=None, start_task=None, logins=Logins())


def evicted(node: Node, now: Instant) -> Node:
    """The machine of a preempted node is known to be gone; a new one may be asked for after a while."""
    return replace(node, booted_at=None, address=None, retry_at=now + RETURN_WAIT)


def refused(node: Node, why: str, now: Instant) -> Node:
    """The engine will never make this machine again as it stands: only the user can help."""
    node = move(node, NodeState.UNUSABLE, now, why)
    step = (
        "Change what the message names (the pool's image, disks or accounts), then reboot or remove the node."
    )
    return with_error(node, "MachineRejected", f"The engine refuses this machine: {why}", step)


def put_off(node: Node, now: Instant, why: str, wait: Micros | None = None) -> Node:
    """The machine could not be made now; ask again after a wait that grows with the time already waited."""
    grown = min(max((now - node.state_at) // 4, SECOND), RETRY_WAIT_MAX)
    step = "Wait: it is tried again. If the host lacks room, free some, or make the pool smaller."
    node = with_error(node, "MachineDelayed", f"The machine could not be made yet: {why}", step)
    return replace(node, retry_at=now + (wait if wait is not None else grown))


def _start_succeeded(
    node: Node, info: StartTaskInfo, start_task: StartTask, end: End, busy: bool, now: Instant
) -> Node:
    info = replace(
        info,
        state=StartTaskState.COMPLETED,
        ended_at=end.at,
        exit_code=0,
        failure=None,
        result=ExecutionResult.SUCCESS,
    )
    node = replace(node, start_task=info)
    if node.state is NodeState.UNUSABLE:
        return node
    node = replace(node, retry_at=0)
    if node.state is not NodeState.WAITING_FOR_START_TASK:
        return node
    return rest(node, busy, start_task, now, "the start task succeeded")


def _start_failure(end: End) -> Failure:
    if end.reason == "exit":
        message = f"The start task exited with {end.status}"
        return Failure("usererror", "FailureExitCode", message, end.details)
    if end.reason == "failed":
        code = end.code or "CommandLaunchFailed"
        return Failure(category(code), code, end.message, end.details)
    return Failure("servererror", "TaskEnded", f"The start task was ended ({end.reason})", end.details)


def _retry_wait(retries: int) -> Micros:
    if retries <= QUICK_RETRIES:
        return 0
    return min(SECOND << min(retries - QUICK_RETRIES - 1, 10), RETRY_WAIT_MAX)
