"""Why something waits, in the words of the planners: the same predicates, turned into sentences with a next step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poolwright.decide import front_ports
from poolwright.decide.explain_start import beginning
from poolwright.decide.node_events import NEXT_STEP
from poolwright.decide.placement import takes_tasks
from poolwright.decide.snapshot import ImageMissing, ImagePreparing, PoolSnapshot, allocated, departing
from poolwright.domain.clock import Instant
from poolwright.domain.dependencies import Blocker
from poolwright.domain.errors import FREE_SPACE
from poolwright.domain.facts import Explanation
from poolwright.domain.job import Job
from poolwright.domain.job_tasks import ManagerTask
from poolwright.domain.limits import NODE_RECOVERIES_MAX, TASK_LIFE
from poolwright.domain.node import SIMULATED_NODES, Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import (
    SCHEDULABLE,
    AllocationState,
    JobState,
    NodeState,
    PoolState,
    SchedulingState,
    TaskState,
)
from poolwright.domain.task import Task


@dataclass(frozen=True, slots=True)
class TaskSituation:
    """What decides whether a task can run: its job, the pool (None: there is none) and the pool's nodes.

    `used` is slots of live executions by node id; `job_running` counts the job's running tasks.
    """

    task: Task
    job: Job
    pool: Pool | None
    nodes: Sequence[Node] = ()
    used: Mapping[str, int] | None = None
    job_running: int = 0
    blockers: Sequence[Blocker] = ()
    barred: frozenset[str] = frozenset()
    transfer: str | None = None  # what is being downloaded or uploaded for it now, in words
    now: Instant = 0


def task(situation: TaskSituation) -> Explanation:
    """Why the task does not run, or what it does."""
    at = situation.task.node
    if at is not None and at.startswith(SIMULATED_NODES) and situation.task.state is not TaskState.ACTIVE:
        over = situation.task.state is TaskState.COMPLETED
        message = f"The task {'was' if over else 'is being'} simulated on node {at}: no command is run there."
        return Explanation("TaskSimulated", message, "Run it on a pool whose image this service can run.")
    state = situation.task.state
    if state is TaskState.COMPLETED:
        return Explanation("TaskCompleted", "The task has completed.")
    if state is TaskState.PREPARING:
        message = f"The job's preparation task runs on node {situation.task.node}."
        return Explanation("JobPreparing", message, "Read its stdout.txt and stderr.txt on the node.")
    if state is not TaskState.ACTIVE and situation.transfer is not None:
        text = f"The task is on node {situation.task.node}; {situation.transfer}."
        return Explanation("TransferringFiles", text, "Wait, or see whether the storage answers.")
    if state is not TaskState.ACTIVE:
        return Explanation("TaskRunning", f"The task runs on node {situation.task.node}.")
    if situation.now - situation.task.created_at >= TASK_LIFE:
        message = "The task was added more than 180 days ago; it will not run any more."
        return Explanation("TaskExpired", message, "Delete it and add it anew.")
    return _job_holds(situation) or _tasks_hold(situation) or _pool_holds(situation) or _nodes_hold(situation)


def node(row: Node, pool: Pool, slots_used: int = 0, transfer: str | None = None) -> Explanation:
    """Why the node takes no (more) tasks, or that it does. `transfer`: what is brought for it, in words."""
    begins = beginning(row, transfer)
    if begins is not None:
        return begins
    if row.drain is not None:
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


_JOB_TEXTS = {
    JobState.DISABLED: ("JobDisabled", "The job is disabled.", "Enable the job."),
    JobState.DISABLING: ("JobDisabled", "The job is being disabled.", "Enable the job."),
    JobState.ENABLING: ("JobEnabling", "The job is being enabled.", "Wait."),
    JobState.TERMINATING: ("JobTerminating", "The job is being terminated; the task will not run.", ""),
    JobState.COMPLETED: ("JobCompleted", "The job has completed; the task will not run.", ""),
    JobState.DELETING: ("JobDeleting", "The job is being deleted; the task will not run.", ""),
}


def _job_holds(situation: TaskSituation) -> Explanation | None:
    job = situation.job
    if job.state in _JOB_TEXTS:
        return Explanation(*_JOB_TEXTS[job.state])
    limit = job.spec.max_parallel_tasks
    if 0 < limit <= situation.job_running:
        message = (
            f"The job runs {situation.job_running} tasks, as many as its maxParallelTasks ({limit}) allows."
        )
        return Explanation("MaxParallelTasks", message, "Wait, or raise maxParallelTasks.")
    return None


def _manager(situation: TaskSituation) -> ManagerTask | None:
    manager = situation.job.spec.manager
    return manager if manager is not None and manager.id.lower() == situation.task.id.lower() else None


def _tasks_hold(situation: TaskSituation) -> Explanation | None:
    unmet, blockers = situation.task.unmet, situation.blockers
    if not unmet:
        return None
    evidence = tuple(("blockedBy", f"{blocker.id}: {blocker.state}") for blocker in blockers)
    failed = [blocker.id for blocker in blockers if blocker.state == "failed"]
    missing = [blocker.id for blocker in blockers if blocker.state == "missing"]
    if failed:
        message = f"The task waits for {unmet} tasks; {failed[0]} failed, so it will never start."
        step = f"Reactivate {failed[0]}, or terminate this task."
        return Explanation("BlockedByFailedTask", message, step, evidence)
    if missing:
        message = f"The task waits for {unmet} tasks; {missing[0]} does not exist."
        return Explanation("BlockedByMissingTask", message, f"Add the task {missing[0]}.", evidence)
    first = blockers[0].id if blockers else "others"
    message = f"The task waits for {unmet} tasks, {first} among them."
    return Explanation("BlockedByTask", message, "Wait for them.", evidence)


def _pool_holds(situation: TaskSituation) -> Explanation | None:
    pool, needed = situation.pool, situation.task.spec.required_slots
    name = situation.job.spec.pool
    if pool is None and situation.job.spec.auto_pool is not None:
        message = f"The pool {name}, which was made for the job, was deleted by force."
        return Explanation("AutoPoolGone", message, "Terminate the job, and add it anew.")
    if pool is None:
        return Explanation(
            "PoolNotFound", f"The job's pool {name} does not exist.", f"Create the pool {name}."
        )
    if pool.state is PoolState.DELETING:
        return Explanation(
            "PoolDeleting", f"The pool {name} is being deleted.", "Point the job at another pool."
        )
    if needed > pool.spec.slots_per_node:
        message = f"The task needs {needed} slots, a node of the pool has {pool.spec.slots_per_node}."
        return Explanation(
            "NeedsMoreSlots", message, "Lower requiredSlots, or use a pool with more slots a node."
        )
    gang = _gang_needs(situation, pool)
    if gang is not None:
        return gang
    if not situation.nodes:
        errors = tuple((error.code, error.message) for error in pool.resize_errors)
        step = "Wait." if pool.allocation is AllocationState.RESIZING else "Resize the pool."
        return Explanation("PoolEmpty", f"The pool {name} has no nodes.", step, errors)
    return None


def _gang_needs(situation: TaskSituation, pool: Pool) -> Explanation | None:
    """What keeps a multi-instance task from ever running in the pool as it is."""
    multi = situation.task.spec.multi
    if multi is None:
        return None
    if not pool.spec.inter_node:
        message = "A multi-instance task needs a pool with enableInterNodeCommunication; this one has not."
        return Explanation("NeedsInterNodeCommunication", message, "Point the job at such a pool.")
    if pool.spec.slots_per_node != 1:
        has = pool.spec.slots_per_node
        message = f"A multi-instance task needs a pool with taskSlotsPerNode 1; this one has {has}."
        return Explanation("NeedsOneSlotNodes", message, "Point the job at such a pool.")
    if situation.nodes and len(situation.nodes) < multi.instances:
        message = f"The task needs {multi.instances} nodes at once; the pool has {len(situation.nodes)}."
        return Explanation("NeedsMoreNodes", message, "Resize the pool.")
    return None


def _nodes_hold(situation: TaskSituation) -> Explanation:
    pool, used = situation.pool, situation.used or {}
    assert pool is not None
    needed, manager = situation.task.spec.required_slots, _manager(situation)
    able = [n for n in situation.nodes if takes_tasks(n)]
    if manager is not None and not manager.low_priority and able:
        able = [n for n in able if n.dedicated]
        if not able:
            message = "The job manager task asks for a dedicated node; the pool has none that takes tasks."
            return Explanation("NeedsDedicatedNode", message, "Resize the pool to have dedicated nodes.")
    if able and all(n.id in situation.barred for n in able):
        message = f"The job's preparation task failed on all {len(able)} nodes that take the task."
        step = "Read its stderr.txt on the nodes; reimage them, or make the job anew with one that works."
        return Explanation("JobPreparationTaskFailed", message, step)
    if manager is not None and manager.exclusive:
        needed = pool.spec.slots_per_node
    able = [n for n in able if n.id not in situation.barred]
    multi = situation.task.spec.multi
    if multi is not None and len(situation.nodes) >= multi.instances > len(able) and able:
        message = f"The task needs {multi.instances} nodes at once; {len(able)} take its tasks now."
        return Explanation("NeedsMoreNodes", message, "Wait until its nodes are of use, or mend them.")
    if not able:
        reasons = Counter(node(n, pool, used.get(n.id, 0)).code for n in situation.nodes)
        evidence = tuple((code, str(count)) for code, count in reasons.most_common())
        code, count = reasons.most_common(1)[0]
        one = next(n for n in situation.nodes if node(n, pool, used.get(n.id, 0)).code == code)
        why = node(one, pool, used.get(one.id, 0))
        message = f"None of the {len(situation.nodes)} nodes takes tasks; {count} of them: {why.message}"
        return Explanation("NoUsableNode", message, why.next_step, evidence)
    free = [pool.spec.slots_per_node - used.get(n.id, 0) for n in able]
    if multi is not None and sum(free) < multi.instances:
        message = f"The task needs {multi.instances} nodes at once; {sum(free)} are free."
        return Explanation("WaitingForNodes", message, "Wait; free nodes are kept for it for a while.")
    evidence = (("nodes", str(len(able))), ("slotsFree", str(sum(free))), ("slotsNeeded", str(needed)))
    if max(free) < needed:
        message = f"No node has {needed} slots free; {len(able)} nodes are busy."
        return Explanation("SlotsTaken", message, "Wait, or resize the pool.", evidence)
    message = "Room is free; the task is placed in the next pass, unless tasks of higher priority come first."
    return Explanation("AboutToRun", message, "Wait.", evidence)


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
        ("resizeEndsAt", str(_ends_at(pool))),
        *_ports_evidence(snapshot),
        *((f"nodes.{state}", str(count)) for state, count in sorted(states.items())),
    )


def _ports_evidence(snapshot: PoolSnapshot) -> tuple[tuple[str, str], ...]:
    have = [node for node in snapshot.nodes if node.front_ports]
    nat_pools = snapshot.pool.spec.network.nat_pools
    return tuple(
        (f"frontendPorts.{nat.name}", f"{len(have)} of {nat.size} given to nodes") for nat in nat_pools
    )


def _ends_at(pool: Pool) -> Instant:
    return pool.resize.started_at + pool.resize.timeout
