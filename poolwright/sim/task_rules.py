"""Rules of tasks that show only over time: every attempt is counted once, and data is kept as long as was asked."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.domain.clock import HOUR, MINUTE, Micros
from poolwright.domain.job import Job
from poolwright.domain.limits import SYSTEM_REQUEUES_MAX, TASK_LIFE
from poolwright.domain.states import DeallocationOption, NodeState, TaskState
from poolwright.domain.task import Task, execution_name
from poolwright.sim.begun import OfBegun
from poolwright.sim.host import Host
from poolwright.sim.seen import PAGE, Reader, Seen
from poolwright.store.base import Tx

#: Which tasks are too old is looked up once an hour.
_LOOKED_UP: Micros = HOUR + MINUTE


class AttemptsCounted:
    """Retries, requeues by request and losses are three counters: every attempt that did not complete its task is in
    exactly one of them, retries stay within what was asked and stand on a process that failed, losses are bounded."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._before: dict[int, tuple[int, int]] = {}
        self._changed: set[int] = set()

    def reactivated(self, task: Task) -> None:
        """A caller asked for the task to run again: `task` as it is after that, its retries are counted anew."""
        self._before[task.pk] = task.attempt, task.requeue_count + task.system_requeues

    def changed(self, tasks: Sequence[Task]) -> None:
        """A caller asked for other retries of these, which may have used more than that already."""
        self._changed |= {task.pk for task in tasks}

    def check(self, seen: Seen) -> list[str]:
        return [
            f"task {job.id}/{task.id}: {problem}"
            for job, task in seen.tasks
            if (problem := self._problem(job, task))
        ]

    def _problem(self, job: Job, task: Task) -> str:
        first, counted = self._before.get(task.pk, (0, 0))
        attempts = task.attempt - first
        others = task.requeue_count + task.system_requeues - counted
        over = attempts - task.retry_count - others
        allowed = job.spec.max_task_retries if task.spec.max_retries is None else task.spec.max_retries
        same = task.pk not in self._changed
        if same and task.retry_count > allowed >= 0:
            return f"was tried again {task.retry_count} times of {allowed}"
        if task.system_requeues > SYSTEM_REQUEUES_MAX:
            return f"was lost {task.system_requeues} times and is tried again"
        if (
            same
            and task.failure is not None
            and task.failure.code == "FailureExitCode"
            and task.retry_count != allowed
        ):
            return f"failed after {task.retry_count} of {allowed} retries"
        wanted = {TaskState.ACTIVE: (0,), TaskState.COMPLETED: (0, 1)}.get(task.state, (1,))
        # An attempt whose preparation failed has not run and is in no counter.
        if over not in wanted and (over < 0 or job.spec.preparation is None):
            return f"is {task.state.value} after {attempts} attempts, {task.retry_count} retries, {others} others"
        if task.spec.multi is None and task.retry_count > self._failed(task, first):
            return f"counts {task.retry_count} retries, {self._failed(task, first)} attempts failed"
        return ""

    def _failed(self, task: Task, first: int) -> int:
        exits = self._host.exits
        names = (execution_name(task.pk, attempt) for attempt in range(first + 1, task.attempt + 1))
        return sum(any(exits.get(name, ())) for name in names)


class NoneTooOld(OfBegun):
    """A task that was added longer ago than a task may live does not begin."""

    def begun(self, machine: str, name: str, task: Task) -> list[str]:
        if self._host.time.now() - task.created_at <= TASK_LIFE + _LOOKED_UP:
            return []
        return [f"{name} began on {machine}, longer after it was added than a task lives"]


class DataRetained:
    """A node that is to go with `retaineddata` stays until the retention time of all it ran is over."""

    _WHY = f"removed with {DeallocationOption.RETAINED_DATA.value}"

    def __init__(self, store: Reader, host: Host) -> None:
        self._store = store
        self.complaints: list[str] = []
        host.deletes.append(self._deleted)

    def _deleted(self, machines: Sequence[str]) -> None:
        self.complaints += self._store.read_now(lambda tx: self._lost(tx, machines))

    def _lost(self, tx: Tx, machines: Sequence[str]) -> list[str]:
        nodes = [node for name in machines if (node := tx.nodes.by_machine(name)) is not None]
        return [
            f"node {node.id} leaves while it keeps the data of task {task.id}"
            for node in nodes
            if node.state is NodeState.LEAVING_POOL and node.history[-1][2] == self._WHY
            for task in tx.tasks.recent_of_node(node.account, node.pool, node.id, PAGE)
            if task.ended_at is not None
            and task.ended_at <= node.state_at < task.ended_at + task.spec.retention
        ]

    def check(self, _: Seen) -> list[str]:
        return self.complaints
