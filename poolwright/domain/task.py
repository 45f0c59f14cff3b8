"""A task: one command line to run once on some node of the job's pool."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.clock import FOREVER, Instant, Micros
from poolwright.domain.containers import ContainerSettings
from poolwright.domain.dependencies import Dependencies
from poolwright.domain.exits import ExitConditions
from poolwright.domain.limits import RETENTION_DEFAULT
from poolwright.domain.multi_instance import SIZE_BASE, MultiInstance
from poolwright.domain.node import Failure
from poolwright.domain.package import PackageReference
from poolwright.domain.pool import UserIdentity
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.task_usage import TaskUsage
from poolwright.domain.transfer import OutputFile, ResourceFile


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What the caller asked for and the service acts upon."""

    command_line: str
    environment: tuple[tuple[str, str], ...] = ()
    user: UserIdentity = UserIdentity()
    max_retries: int | None = None  # None: the job's; -1: without limit
    max_wall_clock: Micros = FOREVER
    retention: Micros = RETENTION_DEFAULT
    required_slots: int = 1
    affinity_id: str | None = None
    display_name: str | None = None
    depends_on: Dependencies | None = None
    exit_conditions: ExitConditions | None = None
    job_token: bool = False  # it is given a token for its own job
    resource_files: tuple[ResourceFile, ...] = ()
    output_files: tuple[OutputFile, ...] = ()
    packages: tuple[PackageReference, ...] = ()
    multi: MultiInstance | None = None
    container: ContainerSettings | None = None

    @property
    def size(self) -> int:
        """What it is counted and queued under: slots of one node, or SIZE_BASE and its number of instances."""
        return self.required_slots if self.multi is None else SIZE_BASE + self.multi.instances


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to be added: id, spec and the caller's own JSON (echoed, never read inside)."""

    id: str
    spec: TaskSpec
    document: bytes


@dataclass(frozen=True, slots=True)
class Task:
    """A task as stored. `pk` grows in order of creation; `attempt` grows with every assignment to a node."""

    pk: int
    job_pk: int
    id: str
    spec: TaskSpec
    document: bytes
    state: TaskState
    state_at: Instant
    created_at: Instant
    modified_at: Instant
    previous_state: TaskState | None = None
    previous_at: Instant | None = None
    attempt: int = 0
    node: str | None = None  # node id of the running or last execution
    pool: str | None = None
    fence: int = 0  # the node's fence the execution belongs to
    started_at: Instant | None = None
    ended_at: Instant | None = None
    exit_code: int | None = None
    result: ExecutionResult | None = None
    failure: Failure | None = None
    retry_count: int = 0
    last_retry_at: Instant | None = None
    requeue_count: int = 0
    last_requeue_at: Instant | None = None
    system_requeues: int = 0
    kill_reason: str | None = None  # a kill was ordered; why ("terminate", "requeue", ...)
    used: TaskUsage | None = None  # by all its runs that are over
    unmet: int = 0  # what it still waits for; kept by the store

    @property
    def execution(self) -> str:
        """The name of the present execution, as agents know it."""
        return execution_name(self.pk, self.attempt)

    def retention_on(self, node: str) -> Micros:
        """How long after its end its files are kept on a node; that of its primary may differ from the others'."""
        multi = self.spec.multi
        others = None if multi is None or node == self.node else multi.retention
        return self.spec.retention if others is None else others


@dataclass(frozen=True, slots=True)
class Execution:
    """A live execution: one attempt of one task (or a node's start task) on one machine, until its end is known."""

    name: str  # see execution_name
    task_pk: int
    job_pk: int
    account: str
    pool: str
    node: str
    machine: str
    fence: int
    slots: int
    since: Instant
    kill_reason: str | None = None


def execution_name(task_pk: int, attempt: int) -> str:
    """`t<pk>.<attempt>`: unique for ever, so a late message can never be taken for a newer execution."""
    return f"t{task_pk}.{attempt}"


def parse_execution(name: str) -> tuple[int, int] | None:
    """(task pk, attempt) of an execution name, or None if it is not a task's."""
    if not name.startswith("t"):
        return None
    pk, dot, attempt = name[1:].partition(".")
    if not (dot and pk.isdigit() and attempt.isdigit()):
        return None
    return int(pk), int(attempt)
