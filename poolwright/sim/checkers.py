"""What must always hold, one small checker each: a list of complaints, empty when all is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from poolwright.decide import pool_plan
from poolwright.decide.task_life import TERMINATE
from poolwright.domain.job import Job
from poolwright.domain.multi_instance import parse_subtask
from poolwright.domain.states import ExecutionResult, JobState, NodeState, TaskState
from poolwright.domain.task import Task, parse_execution
from poolwright.reconcile import snapshots
from poolwright.reconcile.explanations import Explanations
from poolwright.reconcile.kit import Kit
from poolwright.sim import schedules
from poolwright.sim.begun import OfBegun
from poolwright.sim.exit_rules import satisfied
from poolwright.sim.host import Host
from poolwright.sim.seen import ACCOUNT, Seen
from poolwright.sim.virtual import SeededIds
from poolwright.store.base import Tx


class NotRunningTwice:
    """No two live processes of one task, on any live machines, at any moment. Fed by the host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.complaints: list[str] = []
        host.hears.append(self._begun)

    def _begun(self, machine: str, name: str) -> None:
        parsed = parse_execution(name)
        if parsed is None:
            return
        for where, other in self._host.running():
            twin = parse_execution(other)
            if other != name and twin is not None and twin[0] == parsed[0]:
                self.complaints.append(f"{name} began on {machine} while {other} runs on {where}")

    def check(self, _: Seen) -> list[str]:
        return self.complaints


class NoTaskLost:
    """Every task that was accepted and not deleted is there; a running one has exactly one live execution."""

    def __init__(self) -> None:
        self.accepted: dict[int, str] = {}

    def check(self, seen: Seen) -> list[str]:
        found = {task.pk for _, task in seen.tasks}
        said = [f"task {name} is lost" for pk, name in self.accepted.items() if pk not in found]
        for job, task in seen.tasks:
            if task.state not in (TaskState.PREPARING, TaskState.RUNNING):
                continue
            live = [e.name for e in seen.tx.executions.of_task(task.pk) if parse_subtask(e.name) is None]
            if live != [task.execution]:
                said.append(f"task {job.id}/{task.id} runs as {task.execution}, live executions are {live}")
        return said


class GangsWhole(OfBegun):
    """A multi-instance task that runs has all its instances, each on a node of its own; the primary's process begins
    only when all coordination commands have succeeded, in rows and in processes."""

    def begun(self, machine: str, name: str, task: Task) -> list[str]:
        if task.spec.multi is None or task.execution != name:
            return []
        rows = self._store.read_now(lambda tx: tx.subtasks.of_task(task.pk))
        late = [row.id for row in rows if row.ready_at is None or row.attempt != task.attempt]
        if len(rows) == task.spec.multi.instances and not late:
            return []
        return [f"{name} began on {machine} with {len(rows)} instances, of which {late} are not ready"]

    def check(self, seen: Seen) -> list[str]:
        said = list(self.complaints)
        for job, task in seen.tasks:
            multi = task.spec.multi
            if multi is None or task.state not in (TaskState.PREPARING, TaskState.RUNNING):
                continue
            live = [e for e in seen.tx.executions.of_task(task.pk) if parse_subtask(e.name) is not None]
            nodes = {execution.node for execution in live}
            if len(live) != multi.instances or len(nodes) != multi.instances:
                said.append(f"gang {job.id}/{task.id} runs with {[e.name for e in live]} on {sorted(nodes)}")
        return said


class MachinesHaveRows:
    """Every machine that exists has a node row that names it."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def check(self, seen: Seen) -> list[str]:
        rows = seen.tx.nodes.machines()
        return [f"machine {name} has no row" for name in self._host.machines if name not in rows]


class DependenciesKept:
    """A task waits for no more than its parents that are not done, and never runs before they are."""

    def __init__(self) -> None:
        self._met: set[tuple[int, str]] = set()

    def saw(self, task: Task) -> None:
        """A task as it was before a caller deleted it: what is done stays done."""
        if satisfied(task):
            self._met.add((task.job_pk, task.id))

    def check(self, seen: Seen) -> list[str]:
        rows = seen.tasks
        for _, task in rows:
            self.saw(task)
        said = []
        for job, task in rows:
            given = task.spec.depends_on
            if given is None:
                continue
            parents = {*given.ids, *(str(n) for first, last in given.ranges for n in range(first, last + 1))}
            unmet = sum((task.job_pk, parent) not in self._met for parent in parents)
            if unmet < task.unmet:
                said.append(f"task {job.id}/{task.id} waits for {task.unmet} tasks, {unmet} are not done")
            if unmet and task.attempt:
                said.append(f"task {job.id}/{task.id} ran before {unmet} tasks that it waits for")
        return said


class PreparedFirst:
    """No task runs on a node before its job's preparation task succeeded there, where the job waits for that; and a
    completed job has no release task that still runs."""

    def check(self, seen: Seen) -> list[str]:
        said = []
        for job, task in seen.tasks:
            spec = job.spec.preparation
            if spec is None or not spec.wait_for_success or task.state is not TaskState.RUNNING:
                continue
            assert task.node is not None
            row = seen.tx.job_nodes.of_nodes(job.pk, job.spec.pool, [task.node]).get(task.node)
            if row is None or row.preparation.result is not ExecutionResult.SUCCESS:
                said.append(f"task {job.id}/{task.id} runs on {task.node}, whose preparation is {row}")
        for job in seen.jobs:
            beside = seen.tx.executions.beside_tasks(job.pk)
            left = [e.name for e in beside if e.kill_reason != TERMINATE]  # by force: not waited for
            if job.state is JobState.COMPLETED and left:
                said.append(f"job {job.id} has completed, {left} still run")
        return said


class SlotsNotOverCommitted:
    """Neither the rows nor the processes on a machine take more slots than a node has."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def check(self, seen: Seen) -> list[str]:
        said = []
        for pool in seen.pools:
            limit = pool.spec.slots_per_node
            for node, used in seen.tx.executions.slots(pool.account, pool.id).items():
                if used > limit:
                    said.append(f"node {node} holds {used} of {limit} slots")
        return said + self._processes(seen)

    def _processes(self, seen: Seen) -> list[str]:
        said = []
        on_machine: dict[str, list[int]] = {}
        for machine, name in self._host.running():
            parsed = parse_execution(name)
            if parsed is not None:
                on_machine.setdefault(machine, []).append(parsed[0])
        slots = {task.pk: task.spec.required_slots for _, task in seen.tasks}
        for pool, node in seen.nodes:
            running = sum(slots.get(pk, 0) for pk in on_machine.get(node.machine, ()))
            if running > pool.spec.slots_per_node:
                limit = pool.spec.slots_per_node
                said.append(f"machine {node.machine} runs {running} of {limit} slots")
        return said


class EndsOnce:
    """A completed task stays as it completed; a success stands on a process that exited with 0, once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ends: dict[int, tuple[object, ...]] = {}

    def reactivated(self, pk: int) -> None:
        """A caller asked for the task to run again: it will end once more."""
        self._ends.pop(pk, None)

    def check(self, seen: Seen) -> list[str]:
        said = []
        for job, task in seen.tasks:
            end = (task.state, task.ended_at, task.exit_code, task.result)
            known = self._ends.get(task.pk)
            if known is not None and known != end:
                said.append(f"task {job.id}/{task.id} ended as {known}, now it is {end}")
            if task.state is TaskState.COMPLETED:
                self._ends[task.pk] = end
                if task.failure is None and self._host.exits.get(task.execution) != {0}:
                    exits = self._host.exits.get(task.execution)
                    said.append(
                        f"task {job.id}/{task.id} succeeded, its process {task.execution} exited {exits}"
                    )
        return said


class WaitingExplained:
    """Every job, every task, every node and every pool has a reason in words."""

    def __init__(self, kit: Kit) -> None:
        self._say = Explanations(kit)

    def some(self, seen: Seen, rng: Random) -> list[str]:
        """A few of those that wait and one job in whatever state, as all of them would cost more than the story."""
        waiting = [(job, task) for job, task in seen.tasks if task.state is not TaskState.COMPLETED]
        few = rng.sample(waiting, min(2, len(waiting)))
        return self._silent(seen.tx, rng.sample(seen.jobs, min(1, len(seen.jobs))), few)

    def check(self, seen: Seen) -> list[str]:
        tx = seen.tx
        said = self._silent(tx, seen.jobs, seen.tasks)
        said += [
            f"schedule {schedule.id} has no explanation"
            for schedule in schedules.all_schedules(tx, ACCOUNT)
            if not self._say.job_schedule(tx, ACCOUNT, schedule.id).message
        ]
        for pool in tx.pools.every():
            if not self._say.pool(tx, ACCOUNT, pool.id).message:
                said.append(f"pool {pool.id} has no explanation")
            said += [
                f"node {node.id} has no explanation"
                for node in tx.nodes.of_pool(ACCOUNT, pool.id)
                if not self._say.node(tx, ACCOUNT, pool.id, node.id).message
            ]
        return said

    def _silent(self, tx: Tx, jobs: Sequence[Job], tasks: Sequence[tuple[Job, Task]]) -> list[str]:
        words = {f"job {job.id}": self._say.job(tx, ACCOUNT, job.id) for job in jobs}
        words |= {f"task {job.id}/{t.id}": self._say.task(tx, ACCOUNT, job.id, t.id) for job, t in tasks}
        return [
            f"{who} has no explanation" for who, said in words.items() if not (said.code and said.message)
        ]


def unsettled(tx: Tx, kit: Kit, host: Host, ids: SeededIds) -> list[str]:
    """What still moves or waits although nothing hinders it; empty for a settled system."""
    said = []
    now = kit.clock.now()
    for pool in tx.pools.every():
        view = snapshots.load(tx, kit, pool.account, pool.id, now)
        assert view is not None
        plan = pool_plan.plan(view.snapshot, ids)
        if not plan.settled:
            states = Counter(node.state.value for node in view.snapshot.nodes)
            said.append(f"pool {pool.id} plans {plan.acts or plan.changed or 'more'}; nodes {dict(states)}")
        said += [f"execution {execution.name} is still live" for execution in view.executions]
    if said:
        return said  # what waits beside may wait for that, and costs more to look at
    live = {pool.id.lower() for pool in tx.pools.every() if tx.nodes.counts(pool.account, pool.id)}
    for job, task in Seen(tx).tasks:
        if job.state is not JobState.ACTIVE or job.spec.pool.lower() not in live:
            continue
        if task.state is not TaskState.COMPLETED and not _must_wait(tx, kit, job, task):
            said.append(f"task {job.id}/{task.id} is {task.state.value}")
    said += [f"job {job.id} is {job.state.value}" for job in tx.jobs.unsettled()]
    said += schedules.stuck(tx, ACCOUNT, now, kit.settings.quotas.active_jobs)
    rows = tx.nodes.machines()
    said += [f"row of machine {name} has no machine" for name in rows if name not in host.machines]
    return said


def _must_wait(tx: Tx, kit: Kit, job: Job, task: Task) -> bool:
    """Whether nothing but a caller can help this task: it is too big, or the pool's start task always fails."""
    words = Explanations(kit).task(tx, ACCOUNT, job.id, task.id)
    if words.code == "NoUsableNode":
        rows = tx.nodes.of_pool(ACCOUNT, job.spec.pool)
        return all(node.state is NodeState.START_TASK_FAILED for node in rows)
    return words.code in _FOR_THE_CALLER


#: Reasons to wait that only a caller can remove.
_FOR_THE_CALLER = frozenset(
    {
        "NeedsMoreSlots",
        "NeedsMoreNodes",
        "NeedsInterNodeCommunication",
        "NeedsOneSlotNodes",
        "NeedsDedicatedNode",
        "JobPreparationTaskFailed",
        "BlockedByFailedTask",
        "BlockedByMissingTask",
        "BlockedByTask",
        "TaskExpired",
    }
)
