"""The store contract: Store and Tx, written for SQLite and for PostgreSQL.

A transaction is a plain function given a `Tx`; it may be run again on a conflict, so it must have no other effect.
`write` resolves only when the change is durable (on disk, synced); many writes share one commit (group commit).
Ids are kept as given and compared without regard to case. Lists come in order of lower-cased id (tasks: see below)
and are paged by `after` (the last id seen, exclusive), so that a page costs the same at any depth.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Protocol, TypeVar

from poolwright.domain.account import Account, ServicePrincipal
from poolwright.domain.clock import Instant
from poolwright.domain.dependencies import Blocker
from poolwright.domain.facts import DirtyKey
from poolwright.domain.job import Job, JobStats, TaskCounts
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.resource import DiskRow, Lineage, Operation, Resource
from poolwright.domain.states import JobState, NodeState, TaskState
from poolwright.domain.task import NewTask, Task
from poolwright.domain.task_usage import TaskUsage
from poolwright.store.base_applications import Applications
from poolwright.store.base_certificates import Certificates
from poolwright.store.base_executions import Executions, Subtasks
from poolwright.store.base_job_nodes import JobNodes
from poolwright.store.base_journal import Journal
from poolwright.store.base_samples import Samples
from poolwright.store.base_schedules import AutoPools, Schedules
from poolwright.store.base_storage import WithStorage

T = TypeVar("T")


class StoreError(Exception):
    """The store could not do what it was asked."""


class Full(StoreError):
    """The disk has no room for the write: nothing of it was kept, everything acknowledged before is."""


class Duplicate(StoreError):
    """A row of that identity exists already."""


class Stale(StoreError):
    """The row changed (or went) since it was read: its revision is not the one the update names."""


class Busy(StoreError):
    """Too many writes are waiting; the caller should answer ServerBusy."""


class Accounts(Protocol):
    def get(self, name: str) -> Account | None: ...
    def insert(self, account: Account) -> None: ...
    def update(self, account: Account) -> None: ...
    def delete(self, name: str) -> None: ...
    def all(self) -> list[Account]: ...
    def principal(self, client_id: str) -> ServicePrincipal | None: ...
    def principals(self) -> list[ServicePrincipal]: ...
    def put_principal(self, principal: ServicePrincipal) -> None: ...
    def setting(self, name: str) -> str | None: ...
    def put_setting(self, name: str, value: str) -> None: ...


class Pools(Protocol):
    def get(self, account: str, id: str) -> Pool | None: ...

    def insert(self, pool: Pool) -> None:
        """Raises Duplicate."""
        ...

    def update(self, pool: Pool) -> Pool:
        """Write all fields if `pool.revision` is the stored one; returns it with the next revision. Raises Stale."""
        ...

    def delete(self, account: str, id: str) -> None:
        """Remove the pool row and the lineage row of its image; its nodes must be gone (StoreError otherwise)."""
        ...

    def page(self, account: str, after: str | None, limit: int) -> list[Pool]: ...
    def count(self, account: str) -> int: ...

    def every(self) -> list[Pool]:
        """All pools of all accounts, for the periodic pass."""
        ...

    def with_image(self, resource_key: str) -> list[Pool]:
        """Pools (of any account) whose image id, lower-cased, is `resource_key`."""
        ...


class Nodes(Protocol):
    def get(self, account: str, pool: str, id: str) -> Node | None: ...
    def by_machine(self, machine: str) -> Node | None: ...

    def insert_many(self, nodes: Sequence[Node]) -> None:
        """All or none. Their pool must be there (StoreError otherwise). Raises Duplicate."""
        ...

    def update(self, node: Node) -> Node:
        """As Pools.update, except that the task totals stay as stored and `seen_at` never goes back, since these
        change without a new revision. Raises Stale."""
        ...

    def delete(self, account: str, pool: str, id: str) -> None: ...
    def of_pool(self, account: str, pool: str) -> list[Node]: ...
    def page(self, account: str, pool: str, after: str | None, limit: int) -> list[Node]: ...

    def counts(self, account: str, pool: str) -> dict[tuple[NodeState, bool], int]:
        """Nodes by (state, dedicated)."""
        ...

    def machines(self) -> dict[str, tuple[str, str, str]]:
        """machine -> (account, pool, node id) of every node row."""
        ...

    def touch(self, machines: Iterable[str], at: Instant) -> None:
        """Note word from the agent of these machines (`seen_at`), without a new revision."""
        ...

    def add_task_totals(self, account: str, pool: str, deltas: dict[str, tuple[int, int]]) -> None:
        """node id -> (run, succeeded) to add, without a new revision."""
        ...


class Jobs(Protocol):
    def get(self, account: str, id: str) -> Job | None: ...
    def by_pk(self, pk: int) -> Job | None: ...

    def insert(self, job: Job) -> Job:
        """Returns it with its pk. Raises Duplicate."""
        ...

    def update(self, job: Job) -> Job:
        """As Pools.update. Raises Stale."""
        ...

    def delete(self, account: str, id: str) -> None:
        """Remove the job row; its tasks must be gone (StoreError otherwise)."""
        ...

    def page(self, account: str, after: str | None, limit: int) -> list[Job]: ...
    def count_active(self, account: str) -> int: ...

    def page_of_schedule(self, account: str, schedule: str, after: str | None, limit: int) -> list[Job]:
        """As `page`, of the jobs that a job schedule made."""
        ...

    def open_of_schedule(self, account: str, schedule: str, limit: int) -> list[Job]:
        """The schedule's jobs that have not completed, by id."""
        ...

    def of_pool(self, account: str, pool: str, states: frozenset[JobState]) -> list[Job]:
        """Jobs bound to the pool in these states, by (priority descending, created_at, pk)."""
        ...

    def unsettled(self) -> list[Job]:
        """Jobs in disabling, enabling, terminating or deleting, for the periodic pass."""
        ...

    def due(self, now: Instant) -> list[Job]:
        """Jobs that ought to end by themselves, by pk: their wall clock limit has passed (and they are not ending
        yet), or they are active, end when all tasks have completed, and have no task that is active or running (or, if
        they end when idle, none but such as wait for others), or what waits for failed tasks is to be ended."""
        ...


class Tasks(Protocol):
    """Tasks. Nothing here may cost more for a job of a million tasks than for one of ten, but what says so."""

    def insert_many(self, job_pk: int, tasks: Sequence[NewTask], at: Instant) -> list[Task | None]:
        """One entry a task in order: the stored task (active), or None where the id exists already in the job."""
        ...

    def get(self, job_pk: int, id: str) -> Task | None: ...
    def by_pks(self, pks: Sequence[int]) -> dict[int, Task]: ...

    def page(self, job_pk: int, after: str | None, limit: int) -> list[Task]: ...  # by lower-cased id

    def counts(self, job_pk: int) -> tuple[TaskCounts, TaskCounts]:
        """(tasks, slots) by state; kept up to date row by row or by index, not by scanning the job."""
        ...

    def ready(
        self,
        account: str,
        pool: str,
        limit: int,
        slots_max: int,
        turn: int | None = 0,
        skip: Set[int] = frozenset(),
        after: int = 0,
        slots_min: int = 0,
        aside: Set[int] = frozenset(),
    ) -> list[Task]:
        """Active tasks of active jobs bound to the pool that need `slots_min` to `slots_max` slots (a task of N
        instances counts as SIZE_BASE + N, see domain/multi_instance.py), best first: job priority
        descending; among equals the jobs take turns, beginning after the job numbered `turn` (None: all of an older
        job comes first), each with its oldest task; a job's max_parallel_tasks is respected. Never among them: a task
        with a live execution (killed, but not yet known to be dead), one that waits for others, jobs of `skip`, tasks
        up to the number `after`, nor those of `aside`, which do not count for what their job may run either."""
        ...

    def created_until(self, at: Instant) -> int: ...  # the newest pk created by then, or one before the next

    def running_of_pool(self, account: str, pool: str) -> list[Task]:
        """Tasks in preparing or running whose node belongs to this pool (at most slots of the pool)."""
        ...

    def running_of_node(self, account: str, pool: str, node: str) -> list[Task]: ...
    def running_of_job(self, job_pk: int, limit: int) -> list[Task]: ...

    def update_many(
        self, tasks: Sequence[Task], used: Mapping[int, TaskUsage] = MappingProxyType({})
    ) -> bool:
        """Write what changes with a task's life, all but id, spec, document, created_at and unmet (keyed by pk; last
        writer wins inside one transaction; the caller read them in this same transaction). What waits for a task that
        completes and satisfies waits for it no more; returns whether some wait for nothing now. Adds what runs of
        tasks have `used`, by job, to the statistics of the jobs, which must be there. Raises Stale if a task is
        gone."""
        ...

    def stats(self, job_pk: int) -> JobStats: ...

    def blockers(self, task: Task, limit: int) -> list[Blocker]: ...  # the first of what the task waits for

    def behind_failed(self, job_pk: int, limit: int) -> list[Task]:
        """Active tasks that wait for a task that failed. Costs as much as the job has failed tasks."""
        ...

    def replace_spec(self, task: Task) -> None:
        """Write the task's spec, document and modified_at, which `update_many` leaves alone. Raises Stale if the task
        is gone or its required slots would change."""
        ...

    def delete(self, pk: int) -> None: ...

    def delete_some(self, job_pk: int, limit: int) -> int:
        """Delete up to `limit` tasks of the job that are not running, or when there are none what was kept of its
        dependencies; returns how many rows went."""
        ...

    def recent_of_node(self, account: str, pool: str, node: str, limit: int) -> list[Task]: ...

    def state_counts_of_pool(self, account: str, pool: str) -> dict[TaskState, int]:
        """Tasks of jobs bound to the pool by state (from job counters)."""
        ...

    def waits_of_pool(self, account: str, pool: str) -> dict[str, int]:
        """Active tasks of jobs bound to the pool by what they wait for (from job counters): other `tasks`, their `job`
        (it is not active), or `room` on a node."""
        ...


class Resources(Protocol):
    """Management resources, lineage, disks and operations."""

    def get(self, id: str) -> Resource | None: ...

    def insert(self, resource: Resource) -> None:
        """Raises Duplicate."""
        ...

    def update(self, resource: Resource) -> Resource:
        """As Pools.update. Raises Stale."""
        ...

    def delete(self, id: str) -> None: ...

    def select(self, subscription: str, group: str | None, type: str | None) -> list[Resource]:
        """By key; type compared without regard to case."""
        ...

    def of_type(self, type: str) -> list[Resource]:
        """Resources of one type in all subscriptions, by key."""
        ...

    def unsettled(self) -> list[Resource]:
        """Resources in Creating, Updating or Deleting, or with an operation in progress."""
        ...

    def link(self, edge: Lineage) -> None: ...
    def unlink(self, child: str) -> None: ...
    def parents(self, child: str) -> list[Lineage]: ...
    def children(self, parent: str) -> list[Lineage]: ...
    def put_disk(self, disk: DiskRow) -> None: ...
    def disk(self, name: str) -> DiskRow | None: ...
    def disks_of(self, owner: str) -> list[DiskRow]: ...
    def all_disks(self) -> list[DiskRow]: ...
    def drop_disk(self, name: str) -> None: ...
    def put_operation(self, operation: Operation) -> None: ...
    def operation(self, id: str) -> Operation | None: ...
    def operations_in_progress(self) -> list[Operation]: ...

    def prune_operations(self, ended_before: Instant) -> int:
        """Forget operations that ended before then; returns how many."""
        ...


class Tx(WithStorage, Protocol):
    """One transaction. Everything in it commits together, or nothing does."""

    @property
    def accounts(self) -> Accounts: ...
    @property
    def pools(self) -> Pools: ...
    @property
    def nodes(self) -> Nodes: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def auto_pools(self) -> AutoPools: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def job_nodes(self) -> JobNodes: ...
    @property
    def executions(self) -> Executions: ...
    @property
    def subtasks(self) -> Subtasks: ...
    @property
    def resources(self) -> Resources: ...
    @property
    def applications(self) -> Applications: ...
    @property
    def certificates(self) -> Certificates: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def samples(self) -> Samples: ...

    def mark_dirty(self, key: DirtyKey) -> None:
        """Wake the loop of this noun once the transaction is durable (a hint: the periodic pass finds everything).
        Keys come out with a lower-cased id, so that one noun is one key."""
        ...


class Store(Protocol):
    """The truth."""

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` in a write transaction; resolves when durable. An exception from `fn` undoes only its own changes
        (a savepoint inside the shared commit) and is raised to the caller. Raises Busy, Full."""
        ...

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` on a consistent snapshot; writing in it raises StoreError."""
        ...

    def wakeups(self) -> AsyncIterator[DirtyKey]:
        """Keys marked by durable transactions, as they come (one consumer)."""
        ...

    async def close(self) -> None: ...
