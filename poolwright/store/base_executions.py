"""The part of the store contract that knows what runs on machines; see store/base.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolwright.domain.multi_instance import Subtask
from poolwright.domain.task import Execution


class Executions(Protocol):
    """Live executions: what machines may still be running, whatever the task's row says (see domain/task.py).

    A row is written when a task is placed and goes only when the machine's agent said the execution ended, or the
    machine is known to be gone. Slots are counted here, so a killed task's slot is free only once it is dead.
    """

    def insert_many(self, executions: Sequence[Execution]) -> None:
        """Raises Duplicate: no execution is ever recorded twice."""
        ...

    def get_many(self, names: Sequence[str]) -> dict[str, Execution]: ...
    def delete_many(self, names: Sequence[str]) -> None: ...

    def order_kill(self, names: Sequence[str], reason: str) -> None:
        """Note that these are to be killed (kept until the end is known, so the order is repeated if lost)."""
        ...

    def of_pool(self, account: str, pool: str) -> list[Execution]: ...
    def of_machine(self, machine: str) -> list[Execution]: ...
    def of_task(self, task_pk: int) -> list[Execution]: ...

    def slots(self, account: str, pool: str) -> dict[str, int]:
        """node id -> slots held by live executions."""
        ...

    def taken(self, account: str, pool: str, most: int) -> dict[str, int]:
        """As `slots`, but a node that is being cleared (executions of it are to be requeued) has at least `most`."""
        ...

    def count_of_job(self, job_pk: int) -> int: ...  # of its tasks
    def beside_tasks(self, job_pk: int) -> list[Execution]: ...  # of its preparation and release


class Subtasks(Protocol):
    """Instances of multi-instance tasks: those of each task's newest attempt. Rows go with their task."""

    def begin(self, rows: Sequence[Subtask]) -> None:
        """Write the instances of a new attempt; those of a former one are forgotten."""
        ...

    def put_many(self, rows: Sequence[Subtask]) -> None:
        """Write how instances fare."""
        ...

    def of_task(self, task_pk: int) -> list[Subtask]: ...  # by id

    def recent_of_machine(self, machine: str, limit: int) -> list[Subtask]:
        """Instances that ran there beside the master of their task, the newest first."""
        ...
