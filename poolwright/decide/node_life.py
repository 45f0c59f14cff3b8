"""What to do with one node now: the part of the pool's plan that time and orders ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from poolwright.decide import node_logins, node_troubles
from poolwright.decide.node_events import (
    RECOVERY_WAITS,
    given_up,
    move,
    next_life,
    rest,
    with_error,
    without_error,
)
from poolwright.decide.snapshot import ImageMissing, ImagePreparing, ImageReady, PoolSnapshot
from poolwright.decide.task_life import PUT_ASIDE, REQUEUE, TERMINATE
from poolwright.domain.clock import MINUTE, Instant, Micros
from poolwright.domain.containers import PULL_ERROR
from poolwright.domain.limits import NODE_JOIN_DEADLINE, NODE_LEASE, NODE_RECOVERIES_MAX, NODE_UNKNOWN_AFTER
from poolwright.domain.node import Drain, Node
from poolwright.domain.package import PACKAGE_ERROR
from poolwright.domain.states import NODE, DeallocationOption, NodeState, StartTaskState

#: The agent counts its own lease from the moment it lost us, which is up to one note of contact later than ours.
LEASE_MARGIN: Micros = MINUTE
#: A node is unknown for at least this long before it is given up: after a restart or a sleep of this machine all
#: signs of life are old, and the agents get time for a new one.
UNKNOWN_AT_LEAST: Micros = MINUTE

#: The error of a node nothing is heard of, gone when it is heard of again.
SILENT = "NodeUnreachable"
_IMMEDIATE = {DeallocationOption.REQUEUE: REQUEUE, DeallocationOption.TERMINATE: TERMINATE}
_SETTLED = frozenset({NodeState.IDLE, NodeState.RUNNING, NodeState.OFFLINE})
#: States in which the machine is thought to run, so that silence means something.
HEARD = _SETTLED | {NodeState.STARTING, NodeState.WAITING_FOR_START_TASK, NodeState.START_TASK_FAILED}


def start_due(node: Node, now: Instant) -> bool:
    """Whether the present attempt of the node's start task is to run now: not on a node that is put aside, goes, or is
    not heard of, which may be put aside as soon as it is."""
    info = node.start_task
    running = info is not None and info.state is StartTaskState.RUNNING and not info.ends
    return running and node.state in HEARD and node.booted_at is not None and node.retry_at <= now


def start_ends(node: Node) -> bool:
    """Whether the end of the start task's present attempt is to be ordered (again)."""
    info = node.start_task
    ends = info is not None and info.state is StartTaskState.RUNNING and info.ends
    return ends and (node.state in HEARD or node_troubles.held(node))


class Act(Enum):
    """What the engine or the agent must do for a node."""

    CREATE = auto()  # make the machine of this life
    RESTART = auto()  # stop the machine of the former life, keep its storage, make the one of this life
    REIMAGE = auto()  # delete the machine of the former life with its storage, make the one of this life
    STOP = auto()  # stop the machine of the former life, keep its storage; none follows
    REMOVE = auto()  # delete the machine, then the row
    EVICT = auto()  # delete the machine, keep the row
    INSTALL = auto()  # see that the pool's application packages are installed
    START_TASK = auto()  # see that the start task runs
    LOGINS = auto()  # tell the machine who may log in


#: Orders that end a node's present life: the state that follows and what is to be done.
_NEXT_LIVES = {
    "reboot": (NodeState.REBOOTING, Act.RESTART),
    "reimage": (NodeState.REIMAGING, Act.REIMAGE),
    "deallocate": (NodeState.DEALLOCATING, Act.STOP),
}
#: How the machine of a new life is made, where its predecessor is not simply restarted.
_MAKING = {NodeState.CREATING: Act.CREATE, NodeState.REIMAGING: Act.REIMAGE}


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node's next row and what must be done. `end_tasks` is a kill reason for its live executions; `lost` says
    that they cannot be running any more."""

    node: Node
    act: Act | None = None
    end_tasks: str | None = None
    lost: bool = False
    wake_at: Instant | None = None


def tick(node: Node, snapshot: PoolSnapshot) -> NodePlan:
    """The next step of this node at `snapshot.now`."""
    plan = _tick(node_logins.expired(node, snapshot.now), snapshot)
    if plan.act is None and node_logins.outdated(
        plan.node, snapshot.now, node_logins.travellers(snapshot.pool)
    ):
        plan = replace(plan, act=Act.LOGINS)
    wakes = [at for at in (plan.wake_at, node_logins.wake_at(plan.node, snapshot.now)) if at is not None]
    return replace(plan, wake_at=min(wakes)) if wakes else plan


def _tick(node: Node, snapshot: PoolSnapshot) -> NodePlan:
    if node.state is NodeState.LEAVING_POOL:
        return NodePlan(node, Act.REMOVE)
    if node.state is NodeState.PREEMPTED:
        return _preempted(node, snapshot)
    drained = None if node.drain is None else _drain(node, node.drain, snapshot)
    if drained is not None:
        return drained
    plan = _by_state(node, snapshot)
    until = snapshot.retained_until.get(node.id, 0)
    if node.drain is not None and until > snapshot.now:
        return replace(plan, wake_at=until if plan.wake_at is None else min(until, plan.wake_at))
    return plan


def _by_state(node: Node, snapshot: PoolSnapshot) -> NodePlan:
    match node.state:
        case NodeState.CREATING | NodeState.REBOOTING | NodeState.REIMAGING:
            return _boot(node, snapshot)
        case NodeState.STARTING if node.booted_at is None:
            return _boot(node, snapshot)  # started again after it was deallocated
        case NodeState.DEALLOCATING:
            if node.retry_at > snapshot.now:
                return NodePlan(node, wake_at=node.retry_at)
            return NodePlan(node, Act.STOP)
        case NodeState.DEALLOCATED:
            return NodePlan(node)
        case NodeState.UNKNOWN:
            return _unknown(node, snapshot)
        case NodeState.UNUSABLE:
            return _unusable(node, snapshot)
        case _:
            return _present(node, snapshot)


def _drain(node: Node, drain: Drain, snapshot: PoolSnapshot) -> NodePlan | None:
    """The order to remove, restart or rest the node, once its tasks are dealt with; None: not yet, carry on."""
    held = snapshot.held_by(node)
    reason = _IMMEDIATE.get(drain.option)
    if drain.purpose == "offline":
        if not held.executions:
            node = replace(node, drain=None)
            if node.state in _SETTLED:
                node = rest(node, False, None, snapshot.now, "scheduling is disabled")
            return NodePlan(node)
        if reason is not None and held.ordered < held.executions:
            return NodePlan(node, end_tasks=reason)
        return None
    if reason is None:
        if held.executions:
            return None
        if snapshot.retained_until.get(node.id, 0) > snapshot.now:
            return None
    if drain.purpose in _NEXT_LIVES:
        state, act = _NEXT_LIVES[drain.purpose]
        if state is not node.state and state not in NODE[node.state]:
            return None  # its machine is being made anew just now: when that is done
        node = replace(node, drain=None, attempts=0)
        node = next_life(node, state, snapshot.now, f"{drain.purpose} by request")
        return NodePlan(node, act, end_tasks=reason)
    node = move(node, NodeState.LEAVING_POOL, snapshot.now, f"removed with {drain.option.value}")
    return NodePlan(node, Act.REMOVE, end_tasks=reason)


def _boot(node: Node, snapshot: PoolSnapshot) -> NodePlan:
    now = snapshot.now
    over = node.state_at + NODE_JOIN_DEADLINE
    if over <= now:
        minutes = NODE_JOIN_DEADLINE // MINUTE
        node = move(node, NodeState.UNUSABLE, now, f"no machine within {minutes} minutes")
        return NodePlan(_never_joined(node, snapshot, minutes))
    if not isinstance(snapshot.image, ImageReady) or snapshot.host_refuses is not None:
        return NodePlan(node, wake_at=over)
    if node.state is NodeState.CREATING and snapshot.disk_low is not None:
        return NodePlan(node, wake_at=over)
    if node.retry_at > now:
        return NodePlan(node, wake_at=min(node.retry_at, over))
    return NodePlan(node, _MAKING.get(node.state, Act.RESTART), wake_at=over)


def _never_joined(node: Node, snapshot: PoolSnapshot, minutes: int) -> Node:
    """Told by what stood in the way."""
    image = snapshot.image
    step = "Wait for the service's next tries, or remove the node."
    if isinstance(image, ImageMissing):
        why, step = image.reason, "Bring the image back, or make the pool anew from one that exists."
    elif isinstance(image, ImagePreparing):
        why = f"the image is still being made ({image.phase})"
    elif snapshot.host_refuses is not None:
        why, step = snapshot.host_refuses, "Give the host what it lacks, then reboot the node."
    elif node.errors:
        why = node.errors[-1].message
    else:
        why = "the engine has not answered"
    message = f"The node had no machine after {minutes} minutes: {why}"
    return with_error(node, "NodeJoinTimeout", message.rstrip(".") + ".", step)


def _present(node: Node, snapshot: PoolSnapshot) -> NodePlan:
    """A node whose machine is thought to run: is it heard of, does it rest in the right state, its start task?"""
    now = snapshot.now
    aside = node_troubles.put_aside(node, snapshot)
    if aside is not None:
        return NodePlan(aside, end_tasks=PUT_ASIDE)  # also what takes no slot: preparations and releases
    if node.state in HEARD and _is_silent(node, now):
        return _silent(node, now)
    if node.state in _SETTLED:
        busy = snapshot.held_by(node).executions > 0
        reason = "tasks run" if busy else "no task runs"
        node = rest(node, busy, None, now, reason)
    if node.packages.pending:
        return NodePlan(node, Act.INSTALL)
    info = node.start_task
    if info is None or info.state is not StartTaskState.RUNNING:
        return NodePlan(node)
    if snapshot.pool.spec.start_task is None:
        # The pool's start task was taken away meanwhile: this node need not wait for it any more.
        return NodePlan(
            rest(replace(node, start_task=None), False, None, now, "the start task was taken away")
        )
    if node.retry_at > now:
        return NodePlan(node, wake_at=node.retry_at)
    return NodePlan(node, Act.START_TASK)


def _is_silent(node: Node, now: Instant) -> bool:
    return node.seen_at + NODE_UNKNOWN_AFTER <= now


def _silent(node: Node, now: Instant) -> NodePlan:
    """Nothing is heard of a machine that is thought to run."""
    seconds = (now - node.seen_at) // 1_000_000
    node = move(node, NodeState.UNKNOWN, now, f"no word from its agent for {seconds} s")
    message = f"Nothing was heard from the node's agent for {seconds} seconds; its tasks may still run."
    step = "See whether the service's host agent runs and its host is not overloaded; the node may come back."
    return NodePlan(with_error(node, SILENT, message, step), wake_at=_given_up_at(node))


def _given_up_at(node: Node) -> Instant:
    return max(node.seen_at + NODE_LEASE + LEASE_MARGIN, node.state_at + UNKNOWN_AT_LEAST)


def _unknown(node: Node, snapshot: PoolSnapshot) -> NodePlan:
    """Silent: back where it was when heard of again, unusable when the lease has run out."""
    now = snapshot.now
    if not _is_silent(node, now):
        busy = snapshot.held_by(node).executions > 0
        node = without_error(node, SILENT)
        aside = node_troubles.put_aside(node, snapshot)
        if aside is not None:
            return NodePlan(aside, end_tasks=PUT_ASIDE)
        if any(error.source for error in node.errors):  # it was put aside before, for what is over now
            return NodePlan(node_troubles.back(node, snapshot) or node)
        back = rest(node, busy, snapshot.pool.spec.start_task, now, "its agent is heard of again")
        return NodePlan(back)
    over = _given_up_at(node)
    if over > now:
        return NodePlan(node, wake_at=over)
    node = move(node, NodeState.UNUSABLE, now, "its agent's lease has run out")
    minutes = (now - node.seen_at) // MINUTE
    message = f"No contact with the node's agent for {minutes} minutes; its tasks are run elsewhere."
    step = (
        "Wait: the service makes the node again. If it is lost again, look at its host, or remove the node."
    )
    node = with_error(without_error(node, SILENT), "NodeLost", message, step)
    return NodePlan(replace(node, retry_at=now), lost=True, wake_at=now)


def _unusable(node: Node, snapshot: PoolSnapshot) -> NodePlan:
    """Recovery: make the machine again, a bounded number of times with growing waits."""
    now = snapshot.now
    if any(error.code in (PACKAGE_ERROR, PULL_ERROR) for error in node.errors):
        return NodePlan(node)
    if node_troubles.held(node):
        if _is_silent(node, now):
            return _silent(node, now)  # else what is to end there would be waited for, for ever
        back = node_troubles.back(node, snapshot)
        if back is not None:
            return NodePlan(back)
        held = snapshot.held_by(node)
        if held.executions > held.ordered or held.beside:
            return NodePlan(node, end_tasks=PUT_ASIDE)
        if not node_troubles.mendable(node):
            return NodePlan(node)
    if node.attempts >= NODE_RECOVERIES_MAX or any(e.code == "MachineRejected" for e in node.errors):
        return NodePlan(given_up(node) if node.attempts >= NODE_RECOVERIES_MAX else node)
    if node.retry_at > now:
        return NodePlan(node, wake_at=node.retry_at)
    attempts = node.attempts + 1
    reason = f"recovery {attempts} of {NODE_RECOVERIES_MAX}"
    # A reimage that did not come to its end may not have begun either: the old root must not come back.
    again = len(node.history) > 1 and node.history[-2][1] == NodeState.REIMAGING.value
    state, act = _NEXT_LIVES["reimage" if again else "reboot"]
    node = next_life(replace(node, attempts=attempts), state, now, reason)
    wait = RECOVERY_WAITS[min(attempts, len(RECOVERY_WAITS) - 1)]
    return NodePlan(node, act, wake_at=now + wait)


def _preempted(node: Node, snapshot: PoolSnapshot) -> NodePlan:
    """First the old machine goes, then, when there is room again, a new one is asked for."""
    now = snapshot.now
    if node.drain is not None and node.drain.purpose == "remove":
        return NodePlan(move(node, NodeState.LEAVING_POOL, now, "removed while preempted"), Act.REMOVE)
    if node.booted_at is not None:
        return NodePlan(node, Act.EVICT)
    if node.retry_at > now:
        return NodePlan(node, wake_at=node.retry_at)
    if (snapshot.pressure or snapshot.disk_low) is not None or not isinstance(snapshot.image, ImageReady):
        return NodePlan(node, wake_at=now + MINUTE)
    back = next_life(node, NodeState.CREATING, now, "there may be room again")
    return NodePlan(back, Act.CREATE)
