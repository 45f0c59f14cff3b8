"""Preparation and release exactly as documented: once a life of a node, and on every node that was prepared."""

from __future__ import annotations

from poolwright.decide.job_nodes import released
from poolwright.domain.job import Job
from poolwright.domain.job_tasks import JobNode, job_task_name, parse_job_task
from poolwright.domain.multi_instance import parse_subtask
from poolwright.domain.states import JobState, NodeState, StartTaskState
from poolwright.domain.task import parse_execution
from poolwright.sim.host import Host
from poolwright.sim.seen import Reader, Seen
from poolwright.store.base import Tx

_RESTS = (NodeState.IDLE, NodeState.RUNNING)
_ENDING = (JobState.TERMINATING, JobState.DELETING)


class JobTasksInOrder:
    """A preparation that succeeded is not run again in the same life of its node; a release runs when the job ends and
    its tasks are dead, once, where the job was prepared; a job completes only when that was done on every prepared node
    that is still of use. What is said to run has an execution. Fed by the host."""

    def __init__(self, store: Reader, host: Host) -> None:
        self._store = store
        self._host = host
        self._lives: dict[str, tuple[str, int]] = {}
        self._done: set[int] = set()
        self._forced: set[int] = set()
        self.complaints: list[str] = []
        host.hears.append(self._begun)

    def forced(self, job: Job) -> None:
        """A caller wants the job to end without waiting for its releases."""
        self._forced.add(job.pk)

    def _begun(self, machine: str, name: str) -> None:
        parsed = parse_job_task(name)
        if parsed is None:
            return
        kind, pk, attempt = parsed
        fence = next(m.fence for m in self._host.fleet.machines() if m.name == machine)
        self._lives[name] = life = machine, fence
        earlier = [job_task_name(kind, pk, one) for one in range(1, attempt)]
        for other in earlier:
            exits = self._host.exits.get(other, set())
            if self._lives.get(other) == life and (0 in exits or (kind == "r" and exits)):
                self.complaints.append(f"{name} began on {machine}, where {other} had ended with {exits}")
        if kind == "r":
            self.complaints += self._store.read_now(lambda tx: self._release(tx, machine, name, pk))

    def _release(self, tx: Tx, machine: str, name: str, pk: int) -> list[str]:
        row = tx.job_nodes.get(pk)
        job = None if row is None else tx.jobs.by_pk(row.job_pk)
        if row is None or job is None or job.pk in self._forced:
            return []
        said = []
        if job.state not in _ENDING:
            said.append(f"{name} began although its job is {job.state.value}")
        if row.preparation.state is not StartTaskState.COMPLETED:
            said.append(f"{name} began on {machine}, which is not prepared")
        return said + [
            f"{name} began on {machine} while {other} of its job runs on {where}"
            for where, other in self._host.running()
            if (parsed := parse_execution(other) or parse_subtask(other)) is not None
            and (task := tx.tasks.by_pks([parsed[0]]).get(parsed[0])) is not None
            and task.job_pk == job.pk
        ]

    def check(self, seen: Seen) -> list[str]:
        said = list(self.complaints)
        for job in seen.jobs:
            said += _untrue(seen.tx, job)
            if job.state is not JobState.COMPLETED or job.pk in self._done or job.spec.release is None:
                continue
            self._done.add(job.pk)
            if job.pk not in self._forced:
                rows = seen.tx.job_nodes.page(job.pk, 0, 1000)
                said += [
                    f"job {job.id} has completed, {row.node} was not released"
                    for row in rows
                    if _left_out(seen.tx, job, row)
                ]
        return said


def _untrue(tx: Tx, job: Job) -> list[str]:
    """Preparations and releases that are told to run but do not, as none of a completed job does."""
    if job.spec.preparation is None:
        return []
    over = job.state is JobState.COMPLETED
    live = set() if over else {execution.name for execution in tx.executions.beside_tasks(job.pk)}
    told = [
        job_task_name(kind, row.pk, info.attempt)
        for row in tx.job_nodes.page(job.pk, 0, 1000)
        for kind, info in (("p", row.preparation), ("r", row.release))
        if info is not None and info.state is StartTaskState.RUNNING
    ]
    return [f"{name} of job {job.id} is told to run, but does not" for name in told if name not in live]


def _left_out(tx: Tx, job: Job, row: JobNode) -> bool:
    """Whether the node was prepared and fit for the release, in this life and until the job completed."""
    node = tx.nodes.get(row.account, row.pool, row.node)
    if node is None or (node.machine, node.fence) != (row.machine, row.fence) or row.wiped:
        return False
    if row.preparation.state is not StartTaskState.COMPLETED or node.state not in _RESTS:
        return False
    return not released(row) and node.state_at <= (job.ended_at or 0)
