"""Directories of tasks that nobody can ask for any more, removed from their nodes.

No list of what to remove is kept: what lies on a node is compared with the rows, so nothing is forgotten by a crash and
the path of a task's life pays nothing. A directory goes when its task or job was deleted, or when its task's retention
time is over. Deletions wake the look; a slow periodic one finds the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from poolwright.decide.node_life import HEARD
from poolwright.domain.clock import HOUR, SECOND, Clock, Instant, Micros
from poolwright.domain.facts import DirtyKey
from poolwright.domain.job import Job
from poolwright.domain.job_schedule import workitem
from poolwright.domain.node import Node
from poolwright.domain.states import TaskState
from poolwright.domain.task import Execution, Task
from poolwright.store.base import Store, Tx

#: Nodes are looked at this often without being told to: how late the end of a retention time may be noticed.
LOOK_PERIOD: Micros = HOUR
#: Deletions within this time share a look.
GAP: Micros = 5 * SECOND
#: A look is followed by a pause of this many times its length, so that it never takes more than 2 % of the time.
GAP_FACTOR = 50
#: Tasks looked up in one transaction.
CHUNK = 200
WORKITEMS = "workitems"


class FilesAway(Exception):
    """The files cannot be looked at or removed now; another time may do."""


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory on a node; `changed_at` tells whether it is still the same when it is to be removed."""

    name: str
    changed_at: Instant


class NodeFiles(Protocol):
    """Directories below the root directories of nodes."""

    async def directories(self, machine: str, path: str) -> Sequence[Directory]:
        """The directories in one, up to the agent's bound; none if it does not exist. Raises FilesAway."""
        ...

    async def remove(self, machine: str, path: str, changed_at: Instant | None) -> None:
        """Remove a directory with all that is in it, unless it was changed since; with None, only an empty one. What
        does not exist is removed. Raises FilesAway."""
        ...


class TaskFiles:
    """The loop of the noun "files", whose keys are those of pools."""

    def __init__(self, store: Store, files: NodeFiles, clock: Clock) -> None:
        self._store = store
        self._files = files
        self._clock = clock
        self._rests_until: dict[tuple[str, str], Instant] = {}
        self._looked_at: dict[tuple[str, str], Instant] = {}

    def keys(self, tx: Tx) -> list[DirtyKey]:
        """Pools whose nodes were not looked at for long."""
        now = self._clock.now()
        pools = [(pool.account, pool.id.lower()) for pool in tx.pools.every()]
        self._looked_at = {pool: at for pool, at in self._looked_at.items() if pool in set(pools)}
        self._rests_until = {pool: at for pool, at in self._rests_until.items() if at > now}
        due = [pool for pool in pools if self._looked_at.get(pool, 0) + LOOK_PERIOD <= now]
        return [DirtyKey("files", account, pool) for account, pool in due]

    async def one(self, key: DirtyKey) -> Instant | None:
        """Look at the nodes of one pool. Returns when to look again, if something could not be done yet."""
        began = self._clock.now()
        pool = (key.account, key.id)
        if self._rests_until.get(pool, 0) > began:
            return self._rests_until[pool]
        self._looked_at[pool] = began
        nodes = await self._store.read(lambda tx: tx.nodes.of_pool(*pool))
        done = True
        for node in nodes:
            if node.state in HEARD:
                done = await self._node(node) and done
        now = self._clock.now()
        self._rests_until[pool] = now + max(GAP, GAP_FACTOR * (now - began))
        return None if done else self._rests_until[pool]

    async def _node(self, node: Node) -> bool:
        """Whether nothing is left to do on this node."""
        try:
            done = True
            for item in await self._files.directories(node.machine, WORKITEMS):
                done = await self._item(node, item.name) and done
        except FilesAway:
            return False
        return done

    async def _item(self, node: Node, item: str) -> bool:
        """The jobs of a work item: a job by itself, or all those of a schedule."""
        path, done = f"{WORKITEMS}/{item}", True
        for number in await self._files.directories(node.machine, path):
            for job in (item, f"{item}:{number.name}"):
                if workitem(job) == (item, number.name) and not await self._is_gone(node, job):
                    break
            done = await self._job(node, f"{path}/{number.name}", job) and done
        if await self._store.read(lambda tx: _unknown(tx, node.account, item)):
            await self._files.remove(node.machine, path, None)
        return done

    async def _job(self, node: Node, path: str, job: str) -> bool:
        found = await self._files.directories(node.machine, path)
        done = True
        for start in range(0, len(found), CHUNK):
            some = found[start : start + CHUNK]
            over, waits = await self._judge(node, job, some)
            # An id may be given anew meanwhile; its directory is another one then, which `changed_at` tells.
            for directory in over:
                await self._files.remove(node.machine, f"{path}/{directory.name}", directory.changed_at)
            done = done and not waits
        if await self._is_gone(node, job):
            await self._files.remove(node.machine, path, None)
        return done

    async def _judge(
        self, node: Node, job: str, directories: Sequence[Directory]
    ) -> tuple[list[Directory], bool]:
        now = self._clock.now()
        return await self._store.read(lambda tx: over(tx, node, job, directories, now))

    async def _is_gone(self, node: Node, job: str) -> bool:
        return await self._store.read(lambda tx: tx.jobs.get(node.account, job) is None)


def _unknown(tx: Tx, account: str, id: str) -> bool:
    """Whether neither a job nor a schedule has this id."""
    return tx.jobs.get(account, id) is None and tx.schedules.get(account, id) is None


def over(
    tx: Tx, node: Node, job_id: str, directories: Sequence[Directory], now: Instant
) -> tuple[list[Directory], bool]:
    """Which of these directories of a job's tasks on a node nobody can ask for any more, and whether some must wait
    because a process of a deleted task, or of a deleted job's preparation or release, may still run in them."""
    job = tx.jobs.get(node.account, job_id)
    if job is not None and job.id != job_id:
        job = None  # ids are compared without regard to case, directories are not
    live = tx.executions.of_machine(node.machine)
    dying = _some_dying(tx, live)
    kept = {} if job is None else _job_tasks(job)
    beside = job is not None and any(e.job_pk == job.pk and not e.task_pk for e in live)
    gone: list[Directory] = []
    waits = False
    for directory in directories:
        task = None if job is None else tx.tasks.get(job.pk, directory.name)
        if job is not None and directory.name in kept:
            ended_at = None if beside else job.ended_at
            unwanted = ended_at is not None and ended_at + kept[directory.name] <= now
        elif task is None or task.id != directory.name:
            unwanted = True
        else:
            unwanted = _expired(task, node.id, now) and not tx.executions.of_task(task.pk)
        # Ids may be given anew, so what dies may also be in a directory that bears the name of something known.
        waits = waits or (unwanted and dying)
        if unwanted and not dying:
            gone.append(directory)
    return gone, waits


def _some_dying(tx: Tx, live: Sequence[Execution]) -> bool:
    """Whether one of these belongs to what was deleted. Jobs deleted by force do not wait for their executions."""
    tasks = tx.tasks.by_pks([execution.task_pk for execution in live if execution.task_pk])
    if any(execution.task_pk not in tasks for execution in live if execution.task_pk):
        return True
    return any(tx.jobs.by_pk(pk) is None for pk in {e.job_pk for e in live if not e.task_pk})


def _job_tasks(job: Job) -> dict[str, Micros]:
    """How long the directories of the job's preparation and release tasks are kept after its end, by id."""
    given = (job.spec.preparation, job.spec.release)
    return {task.id: task.retention for task in given if task is not None}


def _expired(task: Task, node: str, now: Instant) -> bool:
    if task.state is not TaskState.COMPLETED or task.ended_at is None:
        return False
    return task.ended_at + task.retention_on(node) <= now
