"""A job: tasks bound to a pool, with a priority and constraints."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.auto_pool import AutoPool
from poolwright.domain.clock import FOREVER, Instant, Micros
from poolwright.domain.job_tasks import ManagerTask, PreparationTask, ReleaseTask
from poolwright.domain.node import Failure
from poolwright.domain.states import JobState
from poolwright.domain.task_usage import NOTHING, TaskUsage

#: What may happen when all tasks are complete; the last is ours: it also ends a job whose tasks all wait for others.
NO_ACTION, TERMINATE_DONE, TERMINATE_IDLE = "noaction", "terminatejob", "terminatejobwhenidle"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What the caller asked for and the service acts upon. With `auto_pool`, `pool` is the pool made for the job."""

    pool: str
    priority: int = 0
    max_parallel_tasks: int = -1
    max_wall_clock: Micros = FOREVER
    max_task_retries: int = 0
    on_all_tasks_complete: str = NO_ACTION
    environment: tuple[tuple[str, str], ...] = ()
    display_name: str | None = None
    uses_dependencies: bool = False
    cancel_dependents: bool = False  # ours: end what waits for a task that failed
    on_task_failure: str = "noaction"  # | "performexitoptionsjobaction"
    auto_pool: AutoPool | None = None
    manager: ManagerTask | None = None
    preparation: PreparationTask | None = None
    release: ReleaseTask | None = None
    preemptible: bool = False  # its tasks give way to jobs of higher priority

    def manages(self, task_id: str) -> bool:
        """Whether the task of this id is the job's manager."""
        return self.manager is not None and self.manager.id.lower() == task_id.lower()


#: Said of a job that ends without waiting for its nodes.
FORCE = "force"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as stored. `pk` is the store's own small number for it, never reused."""

    account: str
    id: str
    spec: JobSpec
    document: bytes
    state: JobState
    state_at: Instant
    created_at: Instant
    modified_at: Instant
    started_at: Instant
    previous_state: JobState | None = None
    previous_at: Instant | None = None
    ended_at: Instant | None = None
    terminate_reason: str | None = None
    disable_tasks: str | None = None  # "requeue" | "terminate" | "wait", while disabling; FORCE, while ending
    pk: int = 0
    revision: int = 0
    schedule: str | None = None  # the job schedule that made it
    scheduling_error: Failure | None = None  # why it never began


@dataclass(frozen=True, slots=True)
class JobStats:
    """What a job's tasks came to so far; a task that is reactivated counts again when it completes again."""

    used: TaskUsage = NOTHING  # by all runs that are over
    waited: Micros = 0
    retries: int = 0
    last_at: Instant = 0


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """Tasks of a job by state; `preparing` counts as running. `waiting` is how many active ones wait for others."""

    active: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    waiting: int = 0

    @property
    def completed(self) -> int:
        return self.succeeded + self.failed
