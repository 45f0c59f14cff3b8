"""Tasks a job has besides those that are added to it: its manager, and preparation and release on each of its nodes."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.clock import FOREVER, MINUTE, Micros
from poolwright.domain.containers import ContainerSettings
from poolwright.domain.limits import RETENTION_DEFAULT
from poolwright.domain.node import StartTaskInfo
from poolwright.domain.pool import UserIdentity
from poolwright.domain.task import TaskSpec
from poolwright.domain.transfer import ResourceFile

PREPARATION_ID, RELEASE_ID = "jobpreparation", "jobrelease"  # public defaults
RELEASE_WALL_CLOCK_MAX: Micros = 15 * MINUTE  # public default and maximum


@dataclass(frozen=True, slots=True)
class PreparationTask:
    """Runs on a node before the first task of the job there."""

    command_line: str
    id: str = PREPARATION_ID
    environment: tuple[tuple[str, str], ...] = ()
    user: UserIdentity = UserIdentity()
    max_retries: int = 0
    max_wall_clock: Micros = FOREVER
    retention: Micros = RETENTION_DEFAULT
    wait_for_success: bool = True
    rerun_after_reboot: bool = True
    resource_files: tuple[ResourceFile, ...] = ()
    container: ContainerSettings | None = None


@dataclass(frozen=True, slots=True)
class ReleaseTask:
    """Runs when the job ends, on nodes where its preparation completed; never tried again."""

    command_line: str
    id: str = RELEASE_ID
    environment: tuple[tuple[str, str], ...] = ()
    user: UserIdentity = UserIdentity("task")
    max_wall_clock: Micros = RELEASE_WALL_CLOCK_MAX
    retention: Micros = RETENTION_DEFAULT
    resource_files: tuple[ResourceFile, ...] = ()
    container: ContainerSettings | None = None


@dataclass(frozen=True, slots=True)
class ManagerTask:
    """A task made with the job, scheduled before all others of it. `document` is its JSON for echoing."""

    id: str
    spec: TaskSpec
    document: str = "{}"
    kill_job: bool = True
    exclusive: bool = True
    low_priority: bool = True


@dataclass(frozen=True, slots=True)
class JobNode:
    """How preparation and release of one job fare on one node.

    `fence` is the life of the node in which the preparation ran last (0: none, it has to run again), `release_fence`
    the same of the release; `wiped` says that the node was made anew from its image since.
    """

    pk: int
    job_pk: int
    account: str
    pool: str
    node: str
    machine: str
    fence: int
    preparation: StartTaskInfo
    release: StartTaskInfo | None = None
    release_fence: int = 0
    wiped: bool = False


def job_task_name(kind: str, pk: int, attempt: int) -> str:
    """The name of an execution of a preparation ("p") or release ("r"): unique for ever."""
    return f"{kind}{pk}.{attempt}"


def parse_job_task(name: str) -> tuple[str, int, int] | None:
    """(kind, pk of the JobNode, attempt) of such a name, or None for any other."""
    pk, dot, attempt = name[1:].partition(".")
    if name[:1] not in ("p", "r") or not (dot and pk.isdigit() and attempt.isdigit()):
        return None
    return name[0], int(pk), int(attempt)
