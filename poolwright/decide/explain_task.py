"""Why a task does not run: the predicates of the planners, in sentences with a next step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from poolwright.decide.explain import node
from poolwright.decide.placement import takes_tasks
from poolwright.decide.preempt_tasks import insists
from poolwright.domain.clock import Instant, Micros
from poolwright.domain.dependencies import Blocker
from poolwright.domain.facts import Explanation
from poolwright.domain.job import Job
from poolwright.domain.job_tasks import ManagerTask
from poolwright.domain.limits import TASK_LIFE
from poolwright.domain.node import SIMULATED_NODES, Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import (
    AllocationState,
    ExecutionResult,
    JobState,
    PoolState,
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
    life: Micros = TASK_LIFE  # what a task has from its creation to its end


def task(situation: TaskSituation) -> Explanation:
    """Why the task does not run, or what it does."""
    at = situation.task.node
    if at is not None and at.startswith(SIMULATED_NODES) and situation.task.state is not TaskState.ACTIVE:
        over = situation.task.state is TaskState.COMPLETED
        message = f"The task {'was' if over else 'is being'} simulated on node {at}: no command is run there."
        return Explanation("TaskSimulated", message, "Run it on a pool whose image this service can run.")
    state = situation.task.state
    if state is TaskState.COMPLETED:
        return _ended(situation.task)
    if state is TaskState.PREPARING:
        message = f"The job's preparation task runs on node {situation.task.node}."
        return Explanation("JobPreparing", message, "Read its stdout.txt and stderr.txt on the node.")
    if state is not TaskState.ACTIVE and situation.transfer is not None:
        text = f"The task is on node {situation.task.node}; {situation.transfer}."
        return Explanation("TransferringFiles", text, "Wait, or see whether the storage answers.")
    if state is not TaskState.ACTIVE:
        return Explanation("TaskRunning", f"The task runs on node {situation.task.node}.")
    if situation.now - situation.task.created_at >= situation.life:
        span = str(timedelta(microseconds=situation.life)).removesuffix(", 0:00:00")
        message = f"The task was added more than {span} ago; it will not run any more."
        return Explanation("TaskExpired", message, "Delete it and add it anew.")
    return _job_holds(situation) or _tasks_hold(situation) or _pool_holds(situation) or _nodes_hold(situation)


def _ended(row: Task) -> Explanation:
    """How the task ended; of a failure what went wrong, as far as it is known."""
    where = "" if row.node is None else f" on node {row.node}"
    code = "" if row.exit_code is None else f" with exit code {row.exit_code}"
    if row.result is not ExecutionResult.FAILURE:
        return Explanation("TaskCompleted", f"The task succeeded{where}{code}.")
    tries = f", retried {row.retry_count} times" if row.retry_count else ""
    if row.failure is None:
        return Explanation("TaskFailed", f"The task failed{where}{code}{tries}.", _READ_OUTPUT)
    why = f"{row.failure.code}: {row.failure.message.rstrip('.')}"
    step = _STEPS.get(row.failure.code, "Mend what is named, then reactivate the task.")
    return Explanation(
        "TaskFailed", f"The task failed{where}{code}{tries}. {why}.", step, row.failure.details
    )


_READ_OUTPUT = "Read its stderr.txt and stdout.txt; reactivate it to run it again."
_STEPS = {"FailureExitCode": _READ_OUTPUT, "TaskEnded": "Reactivate it to run it again."}

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
    return situation.job.spec.manager if situation.job.spec.manages(situation.task.id) else None


def _tasks_hold(situation: TaskSituation) -> Explanation | None:
    unmet, blockers = situation.task.unmet, situation.blockers
    if not unmet:
        return None
    evidence = tuple(("blockedBy", f"{blocker.id}: {blocker.state}") for blocker in blockers)
    waits = f"The task waits for {unmet} task{'' if unmet == 1 else 's'}"
    failed = [blocker.id for blocker in blockers if blocker.state == "failed"]
    missing = [blocker.id for blocker in blockers if blocker.state == "missing"]
    if failed:
        message = f"{waits}; {failed[0]} failed, so it will never start."
        step = f"Reactivate {failed[0]}, or terminate this task."
        return Explanation("BlockedByFailedTask", message, step, evidence)
    if missing:
        message = f"{waits}; {missing[0]} does not exist."
        return Explanation("BlockedByMissingTask", message, f"Add the task {missing[0]}.", evidence)
    first = blockers[0].id if blockers else "others"
    message = f"{waits}, {first} among them." if unmet > 1 else f"{waits}, {first}."
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
    if max(free) < needed and insists(situation.task, situation.job):
        message = (
            f"No node has {needed} slots free. The job manager task ran before: tasks of jobs of the same or lower "
            "priority are requeued to make room for it; those of higher priority and other job managers are not."
        )
        return Explanation("MakingRoom", message, "Wait, or raise the job's priority.", evidence)
    if max(free) < needed:
        message = f"No node has {needed} slots free; {len(able)} nodes are busy."
        return Explanation("SlotsTaken", message, "Wait, or resize the pool.", evidence)
    message = "Room is free; the task is placed in the next pass, unless tasks of higher priority come first."
    return Explanation("AboutToRun", message, "Wait.", evidence)
