"""Why nodes and sizes of pools are as they are: the predicates of the planners, in sentences with a next step."""

from __future__ import annotations

from collections import Counter

from poolwright.decide import front_ports
from poolwright.decide.explain_start import beginning
from poolwright.decide.node_events import NEXT_STEP
from poolwright.decide.placement import takes_tasks
from poolwright.decide.snapshot import ImageMissing, ImagePreparing, PoolSnapshot, allocated, departing
from poolwright.domain.clock import utc
from poolwright.domain.errors import FREE_SPACE
from poolwright.domain.facts import Explanation
from poolwright.domain.limits import NODE_RECOVERIES_MAX
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import (
    SCHEDULABLE,
    AllocationState,
    NodeState,
    PoolState,
    SchedulingState,
)


def node(row: Node, pool: Pool, slots_used: int = 0, transfer: str | None = None) -> Explanation:
    """Why the node takes no (more) tasks, or that it does. `transfer`: what is brought for it, in words."""
    begins = beginning(row, transfer)
    if begins is not None:
        return begins
    if row.drain is not None and row.state is not NodeState.LEAVING_POOL:
        return Explanation(
            "NodeDraining",
            f"The node takes no tasks because it is to be {_PURPOSES[row.drain.purpose]} "
            f"with {row.drain.option.value}; {slots_used} slots are still in use.",
            "Wait for its tasks to end, or terminate them.",
        )
    if row.scheduling is SchedulingState.DISABLED and row.state in (*SCHEDULABLE, NodeState.OFFLINE):
        return Explanation(
            "SchedulingDisabled", "Scheduling is disabled on the node.", "Enable scheduling on it."
        )
    if takes_tasks(row):
        free = pool.spec.slots_per_node - slots_used
        if row.simulated:
            message = f"The node is simulated: nothing runs on it, its tasks end as scripted. {free} slots are free."
            return Explanation("NodeSimulated", message)
        if free > 0:
            return Explanation("NodeReady", f"The node has {free} of {pool.spec.slots_per_node} slots free.")
        return Explanation("NodeFull", f"All {pool.spec.slots_per_node} slots of the node are in use.")
    return _node_state(row)


def resize(snapshot: PoolSnapshot) -> Explanation:
    """Why the pool's size is not what was asked for."""
    pool = snapshot.pool
    counts = _size_evidence(snapshot)
    if pool.state is PoolState.DELETING:
        message = f"The pool is being deleted; {len(snapshot.nodes)} nodes have still to go."
        return Explanation("PoolDeleting", message, "Wait.", counts)
    if pool.allocation is AllocationState.STEADY:
        return _steady(snapshot, counts)
    stopped = _stopped(snapshot, counts)
    if stopped is not None:
        return stopped
    if snapshot.simulated:
        message = "Simulated nodes are being made: no engine of this service runs the pool's image."
        return Explanation("SimulatingNodes", message, "Wait.", counts)
    if isinstance(snapshot.image, ImagePreparing):
        message = f"The image is being made: {snapshot.image.phase}."
        return Explanation("ImagePreparing", message, "Wait; later pools find it ready.", counts)
    leaving = [n for n in snapshot.nodes if departing(n)]
    waiting = [n for n in leaving if snapshot.held_by(n).executions]
    if waiting:
        message = f"{len(waiting)} nodes that are to go still run tasks."
        return Explanation(
            "WaitingForTasks", message, "Wait, stop the resize, or terminate the tasks.", counts
        )
    if any(snapshot.retained_until.get(n.id, 0) > snapshot.now for n in leaving):
        message = "Nodes that are to go keep the data of finished tasks until its retention time is over."
        return Explanation("WaitingForRetention", message, "Stop the resize, or delete the tasks.", counts)
    if leaving:
        return Explanation("RemovingNodes", f"{len(leaving)} machines are being removed.", "Wait.", counts)
    delayed = [e.message for n in snapshot.nodes for e in n.errors if e.code == "MachineDelayed"]
    if delayed:
        return Explanation("MachinesDelayed", delayed[0], "Wait, or free room on the host.", counts)
    if pool.resize.round > 1:
        message = (
            f"Machines are being made, in round {pool.resize.round}: the resize timeout was reached with "
            f"{pool.resize.had} nodes, and a large pool goes on by itself while it gets nodes."
        )
        return Explanation("GrowingOn", message, "Wait, or stop the resize.", counts)
    return Explanation("CreatingNodes", "Machines are being made.", "Wait.", counts)


def _stopped(snapshot: PoolSnapshot, counts: tuple[tuple[str, str], ...]) -> Explanation | None:
    """What keeps every machine of the pool from being made."""
    if isinstance(snapshot.image, ImageMissing):
        return Explanation(
            "ImageMissing", snapshot.image.reason, "Make a pool from an image that exists.", counts
        )
    if snapshot.host_refuses is not None:
        return Explanation("HostRefuses", snapshot.host_refuses, "See what the host lacks.", counts)
    if snapshot.disk_low is not None:
        message = f"{snapshot.disk_low}; no new machine is made."
        return Explanation("HostDiskFull", message, FREE_SPACE, counts)
    return None


_PURPOSES = {
    "remove": "removed",
    "reboot": "rebooted",
    "reimage": "made anew from its image",
    "deallocate": "stopped",
    "offline": "taken out of scheduling",
}

_NODE_TEXTS: dict[NodeState, tuple[str, str, str]] = {
    NodeState.CREATING: ("NodeCreating", "The node's machine is being made.", "Wait."),
    NodeState.STARTING: ("NodeStarting", "The node's machine runs and its agent is starting.", "Wait."),
    NodeState.REBOOTING: ("NodeRebooting", "The node is being rebooted.", "Wait."),
    NodeState.REIMAGING: ("NodeReimaging", "The node is being made anew.", "Wait."),
    NodeState.DEALLOCATING: ("NodeDeallocating", "The node's machine is being stopped.", "Wait."),
    NodeState.DEALLOCATED: (
        "NodeDeallocated",
        "The node's machine was stopped by request; its storage is kept.",
        "Start the node, or remove it.",
    ),
    NodeState.LEAVING_POOL: ("NodeLeaving", "The node is leaving the pool.", "Wait."),
    NodeState.PREEMPTED: (
        "NodePreempted",
        "The node's machine was taken away.",
        "Wait until the host has room.",
    ),
    NodeState.UNKNOWN: (
        "NodeUnknown",
        "Nothing was heard from the node's agent; its tasks are left alone until its lease is over.",
        "See whether the host agent runs.",
    ),
    NodeState.OFFLINE: ("NodeOffline", "Scheduling is disabled on the node.", "Enable scheduling on it."),
}


def _node_state(row: Node) -> Explanation:
    evidence = tuple((str(at), f"{state}: {reason}") for at, state, reason in row.history[-3:])
    if row.state is NodeState.WAITING_FOR_START_TASK:
        tries = row.start_task.attempt if row.start_task is not None else 1
        message = f"The pool's start task runs on the node (try {tries})."
        return Explanation("StartTaskRunning", message, "Read startup/stdout.txt and stderr.txt.", evidence)
    if row.state is NodeState.START_TASK_FAILED:
        info = row.start_task
        cause = (
            info.failure.message if info is not None and info.failure is not None else "for an unknown reason"
        )
        step = "Read startup/stderr.txt on the node, correct the start task, reboot the node."
        said = info.failure.details if info is not None and info.failure is not None else ()
        return Explanation("StartTaskFailed", f"The start task failed: {cause}", step, (*evidence, *said))
    if row.state is NodeState.UNUSABLE:
        cause = row.errors[-1].message if row.errors else "No cause is recorded."
        told = dict(row.errors[-1].details).get(NEXT_STEP) if row.errors else None
        spent = row.attempts >= NODE_RECOVERIES_MAX
        step = told or ("Reboot or remove the node." if spent else "Wait for its recovery, or reboot it.")
        return Explanation("NodeUnusable", cause, step, evidence)
    code, message, step = _NODE_TEXTS.get(row.state, ("NodeBusy", f"The node is {row.state.value}.", "Wait."))
    if row.errors:
        message = f"{message} {row.errors[-1].message}"
    return Explanation(code, message, step, evidence)


def _steady(snapshot: PoolSnapshot, counts: tuple[tuple[str, str], ...]) -> Explanation:
    pool = snapshot.pool
    if pool.resize_errors:
        error = pool.resize_errors[0]
        return Explanation(
            error.code, error.message, "Remove the cause and resize again to the same size.", counts
        )
    low = sum(1 for n in snapshot.nodes if not n.dedicated)
    if low < pool.target_low_priority:
        short = front_ports.shortage(snapshot)
        exhausted = None
        if short is not None and short.free <= 0:
            exhausted = f"every front-end port of the NAT pool {short.nat_pool.name} is taken"
        why = snapshot.pressure or exhausted or "there is no room for them now"
        message = f"{pool.target_low_priority - low} low-priority nodes are still sought: {why}."
        return Explanation("SeekingLowPriority", message, "Wait; the service seeks them for ever.", counts)
    return Explanation("PoolSteady", "The pool has the size that was asked for.", "", counts)


def _size_evidence(snapshot: PoolSnapshot) -> tuple[tuple[str, str], ...]:
    pool = snapshot.pool
    states: Counter[str] = Counter(n.state.value for n in snapshot.nodes)
    have = [n for n in snapshot.nodes if allocated(n)]
    return (
        ("targetDedicated", str(pool.target_dedicated)),
        ("currentDedicated", str(sum(1 for n in have if n.dedicated))),
        ("targetLowPriority", str(pool.target_low_priority)),
        ("currentLowPriority", str(sum(1 for n in have if not n.dedicated))),
        *_end_evidence(pool),
        *_ports_evidence(snapshot),
        *((f"nodes.{state}", str(count)) for state, count in sorted(states.items())),
    )


def _ports_evidence(snapshot: PoolSnapshot) -> tuple[tuple[str, str], ...]:
    have = [node for node in snapshot.nodes if node.front_ports]
    nat_pools = snapshot.pool.spec.network.nat_pools
    return tuple(
        (f"frontendPorts.{nat.name}", f"{len(have)} of {nat.size} given to nodes") for nat in nat_pools
    )


def _end_evidence(pool: Pool) -> tuple[tuple[str, str], ...]:
    if pool.allocation is AllocationState.STEADY:
        return ()
    return (("resizeEndsAt", utc(pool.resize.started_at + pool.resize.timeout)),)
