"""Tasks that run on several nodes at once: what is asked for, and how each of their instances fares."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.clock import Instant, Micros
from poolwright.domain.node import Failure
from poolwright.domain.states import ExecutionResult
from poolwright.domain.transfer import ResourceFile

#: Tasks of N instances are counted and queued under the size SIZE_BASE + N: above every number of slots, so that the
#: search for ordinary tasks never meets them.
SIZE_BASE = 1000
#: The port told in AZ_BATCH_MASTER_NODE; kept from programs by custom only, as in the public service.
MASTER_PORT = 6000


@dataclass(frozen=True, slots=True)
class MultiInstance:
    """What the caller asked for: so many nodes, and what each of them does before the task's own command.

    A retention time that is changed later is the primary's; `retention` is then that of the others (None: the task's).
    """

    coordination: str
    instances: int = 1
    common_files: tuple[ResourceFile, ...] = ()  # paths are relative to the task's shared directory
    retention: Micros | None = None


@dataclass(frozen=True, slots=True)
class Subtask:
    """One instance of a task's newest attempt; instance 0 is where the task's own command runs (its primary).

    `ready_at`: its coordination command exited with 0; its processes may go on until the task is over.
    """

    task_pk: int
    id: int
    attempt: int
    account: str
    pool: str
    node: str
    machine: str
    fence: int
    address: str
    started_at: Instant
    ready_at: Instant | None = None
    ended_at: Instant | None = None
    exit_code: int | None = None
    failure: Failure | None = None
    result: ExecutionResult | None = None

    @property
    def execution(self) -> str:
        """The name of the execution of its coordination command."""
        return subtask_name(self.task_pk, self.attempt, self.id)


def subtask_name(task_pk: int, attempt: int, id: int) -> str:
    """`g<pk>.<attempt>.<id>`: unique for ever, as names of executions are."""
    return f"g{task_pk}.{attempt}.{id}"


def parse_subtask(name: str) -> tuple[int, int, int] | None:
    """(task pk, attempt, id) of such a name, or None for any other."""
    if not name.startswith("g"):
        return None
    parts = name[1:].split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])
