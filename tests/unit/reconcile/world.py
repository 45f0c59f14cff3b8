"""A store in memory, a pool of idle nodes and a job, and the passes on them without any loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

from poolwright.decide.snapshot import ImageMissing, ImagePreparing
from poolwright.domain.account import Account
from poolwright.domain.job import Job
from poolwright.domain.limits import Settings
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import AllocationState, NodeState
from poolwright.domain.task import NewTask, Task, TaskSpec
from poolwright.reconcile import events, pools
from poolwright.reconcile.events import Reaction
from poolwright.reconcile.fleet import Event, ExecSpec, read_event
from poolwright.reconcile.images import DiskSet
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.pools import PoolWork
from poolwright.store.base import Tx
from poolwright.store.sync import SyncStore
from tests.unit.decide import parts

T = TypeVar("T")
ACCOUNT = "acct"


class HandClock:
    """Moves when told."""

    def __init__(self) -> None:
        self.at = parts.NOW

    def now(self) -> int:
        return self.at


class Images:
    def __init__(self) -> None:
        self.answer: DiskSet | ImagePreparing | ImageMissing = DiskSet("/image/os")
        self.older: dict[str, DiskSet] = {}

    def disks_for(self, tx: Tx, pool: Pool) -> DiskSet | ImagePreparing | ImageMissing:
        return self.answer

    def disks_of(self, tx: Tx, image: str) -> DiskSet | None:
        return self.older.get(image)

    def prepare(self, pool: Pool) -> None:
        """Nothing to do."""


class World:
    """Rows and passes."""

    def __init__(self, nodes: int = 2, slots: int = 1, *, task_facts: bool = True, **pool: Any) -> None:
        self.store = SyncStore(task_facts=task_facts)
        self.clock = HandClock()
        self.images = Images()
        self.kit = Kit(
            self.clock, parts.CountingIds(), Random(1), self.images, Settings(), lambda a: f"https://{a}"
        )
        self.write(lambda tx: tx.accounts.insert(Account(ACCOUNT, "/a", "", "", parts.NOW)))
        row = parts.pool(nodes, allocation=AllocationState.STEADY, **pool)
        self.write(lambda tx: tx.pools.insert(replace(row, spec=replace(row.spec, slots_per_node=slots))))
        rows = [parts.node(f"n{i}") for i in range(nodes)]
        self.write(lambda tx: tx.nodes.insert_many(rows))
        self.job_pk = self.write(lambda tx: tx.jobs.insert(parts.job(max_task_retries=1))).pk

    def write(self, fn: Callable[[Tx], T]) -> T:
        return self.store.write_now(fn)

    def add(self, *ids: str, **spec: Any) -> None:
        """Tasks of the job."""
        news = [NewTask(id, replace(TaskSpec("run"), **spec), b"{}") for id in ids]
        self.write(lambda tx: tx.tasks.insert_many(self.job_pk, news, self.clock.at))

    def look(self) -> PoolWork:
        """One pass over the pool; what it sends counts as sent."""
        work = self.write(lambda tx: pools.run(tx, self.kit, ACCOUNT, "p", self.clock.at))
        self.kit.delivery.note([spec.name for spec in work.starts], self.clock.at)
        for kill in work.kills:
            self.kit.delivery.note_kill(kill.name, self.clock.at)
        return work

    def hear(self, *items: dict[str, Any]) -> Reaction:
        """Reports of agents, as they come off the wire."""
        read = [event for event in (read_event(item, self.clock.at) for item in items) if event is not None]
        return self.apply(read)

    def apply(self, read: list[Event]) -> Reaction:
        return self.write(lambda tx: events.apply(tx, self.kit, read, self.clock.at))

    def task(self, id: str) -> Task:
        found = self.store.read_now(lambda tx: tx.tasks.get(self.job_pk, id))
        assert found is not None
        return found

    def node(self, id: str) -> Node:
        found = self.store.read_now(lambda tx: tx.nodes.get(ACCOUNT, "p", id))
        assert found is not None
        return found

    def set_node(self, id: str, **changes: Any) -> Node:
        return self.write(lambda tx: tx.nodes.update(replace(self.node(id), **changes)))

    def pool(self) -> Pool:
        found = self.store.read_now(lambda tx: tx.pools.get(ACCOUNT, "p"))
        assert found is not None
        return found

    def set_pool(self, **changes: Any) -> Pool:
        return self.write(lambda tx: tx.pools.update(replace(self.pool(), **changes)))

    def set_job(self, **changes: Any) -> Job:
        def change(tx: Tx) -> Job:
            job = tx.jobs.get(ACCOUNT, "j")
            assert job is not None
            return tx.jobs.update(replace(job, **changes))

        return self.write(change)

    def live(self) -> list[str]:
        return [e.name for e in self.store.read_now(lambda tx: tx.executions.of_pool(ACCOUNT, "p"))]

    def states(self) -> list[NodeState]:
        return [node.state for node in self.store.read_now(lambda tx: tx.nodes.of_pool(ACCOUNT, "p"))]


def exited(spec: ExecSpec, code: int = 0, **changes: Any) -> dict[str, Any]:
    """The report of an end."""
    end = {
        "state": "exited",
        "reason": "exit",
        "exit_code": code,
        "start_us": parts.NOW,
        "end_us": parts.NOW + 5,
    }
    where = {"t": "exec", "machine": spec.machine, "fence": spec.fence, "exec": spec.name}
    return {**where, **end, **changes}
