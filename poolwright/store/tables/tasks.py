"""Tasks and their counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

from poolwright.domain.clock import Instant
from poolwright.domain.dependencies import Blocker, Dependencies, number_of
from poolwright.domain.job import JobStats, TaskCounts
from poolwright.domain.multi_instance import SIZE_BASE
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.task import NewTask, Task
from poolwright.domain.task_ends import satisfies
from poolwright.domain.task_usage import TaskUsage
from poolwright.store.base import Stale
from poolwright.store.connection import Db
from poolwright.store.ready import ready_pks
from poolwright.store.rows import Rows, to_json
from poolwright.store.sql import load
from poolwright.store.tables.dependencies import DependencyTable
from poolwright.store.tables.job_stats import JobStatsTable

_SQL = load("tasks")
_TASK = Rows(Task)
_CHANGES = Rows(Task, omit=("pk", "job_pk", "id", "spec", "document", "created_at", "unmet"))
_COMPLETED = TaskState.COMPLETED.value
_NONE: frozenset[int] = frozenset()
_UNUSED: Mapping[int, TaskUsage] = MappingProxyType({})
_SUCCESS = ExecutionResult.SUCCESS.value

#: Where a task counts: active, running, succeeded, failed; and of the active ones those that wait for others.
_ACTIVE, _RUNNING, _SUCCEEDED, _FAILED, _WAITING = range(5)
_BUCKETS = {
    TaskState.ACTIVE.value: _ACTIVE,
    TaskState.PREPARING.value: _RUNNING,
    TaskState.RUNNING.value: _RUNNING,
}


def _bucket(state: str, result: str | None) -> int:
    if state == _COMPLETED:
        return _SUCCEEDED if result == _SUCCESS else _FAILED
    return _BUCKETS[state]


class _Moves:
    """Changes of counters, gathered so that each counter row is written once."""

    def __init__(self) -> None:
        self._deltas: dict[tuple[int, int], list[int]] = {}

    def add(self, job_pk: int, slots: int, bucket: int, amount: int) -> None:
        self._deltas.setdefault((job_pk, slots), [0, 0, 0, 0, 0])[bucket] += amount

    def task(self, job_pk: int, slots: int, state: str, result: str | None, unmet: int, amount: int) -> None:
        bucket = _bucket(state, result)
        self.add(job_pk, slots, bucket, amount)
        if bucket == _ACTIVE and unmet:
            self.add(job_pk, slots, _WAITING, amount)

    def rows(self) -> list[tuple[int, ...]]:
        return [(*delta, *key) for key, delta in self._deltas.items() if any(delta)]


class TaskTable:
    """See store/base.py, Tasks."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._dependencies = DependencyTable(db)
        self._stats = JobStatsTable(db)

    def insert_many(self, job_pk: int, tasks: Sequence[NewTask], at: Instant) -> list[Task | None]:
        keys = [task.id.lower() for task in tasks]
        taken = {row[0] for row in self._db.all(_SQL["known"], (job_pk, to_json(keys)))}
        stored: list[Task | None] = []
        rows: list[tuple[Any, ...]] = []
        bodies: list[tuple[int, str, bytes]] = []
        added: dict[int, list[int]] = {}
        depends = self._dependencies.used_by(job_pk)
        waits: list[tuple[int, list[str], Dependencies]] = []
        pk = self._reserve(len(tasks))
        for task, key in zip(tasks, keys, strict=True):
            if key in taken:
                stored.append(None)
                continue
            taken.add(key)
            spec = task.spec
            slots, unmet = spec.size, 0
            if spec.depends_on is not None and depends:
                open_ids = self._dependencies.open_ids(job_pk, spec.depends_on)
                unmet = len(open_ids) + self._dependencies.open_numbers(job_pk, spec.depends_on)
                waits.append((pk, open_ids, spec.depends_on))
            count = added.setdefault(slots, [0, 0])
            count[0] += 1
            count[1] += unmet > 0
            rows.append(
                (pk, job_pk, task.id, key, slots, at, at, at, unmet, number_of(key) if depends else None)
            )
            bodies.append((pk, to_json(spec), task.document))
            new = Task(pk, job_pk, task.id, spec, task.document, TaskState.ACTIVE, at, at, at, unmet=unmet)
            stored.append(new)
            pk += 1
        self._db.many(_SQL["insert"], rows)
        self._db.many(_SQL["insert_body"], bodies)
        self._db.many(_SQL["count_new"], [(job_pk, slots, *count) for slots, count in added.items()])
        for task_pk, open_ids, given in waits:
            self._dependencies.insert(job_pk, task_pk, open_ids, given)
        return stored

    def _reserve(self, count: int) -> int:
        """The first of `count` fresh numbers."""
        row = self._db.one(_SQL["reserve"], (count,))
        assert row is not None
        return int(row[0]) - count + 1

    def get(self, job_pk: int, id: str) -> Task | None:
        return _TASK.maybe(self._db.one(_SQL["get"], (job_pk, id.lower())))

    def by_pks(self, pks: Sequence[int]) -> dict[int, Task]:
        return {row[0]: _TASK.read(row) for row in self._db.all(_SQL["by_pks"], (to_json(list(pks)),))}

    def page(self, job_pk: int, after: str | None, limit: int) -> list[Task]:
        return self._read(self._db.all(_SQL["page"], (job_pk, (after or "").lower(), limit)))

    def counts(self, job_pk: int) -> tuple[TaskCounts, TaskCounts]:
        tasks, held = [0] * 5, [0] * 5
        for slots, *numbers in self._db.all(_SQL["counts"], (job_pk,)):
            for bucket, number in enumerate(numbers):
                tasks[bucket] += number
                held[bucket] += number * (slots if slots < SIZE_BASE else slots - SIZE_BASE)
        return TaskCounts(*tasks), TaskCounts(*held)

    def ready(
        self, account: str, pool: str, limit: int, slots_max: int, turn: int | None = 0, skip: Set[int] = _NONE,
        after: int = 0, slots_min: int = 0, aside: Set[int] = _NONE,
    ) -> list[Task]:  # fmt: skip
        pks = ready_pks(
            self._db, account, pool.lower(), limit, slots_max, turn, skip, after, slots_min, aside
        )
        found = self.by_pks(pks)
        return [found[pk] for pk in pks]

    def created_until(self, at: Instant) -> int:
        row = self._db.one(_SQL["last_pk"])
        low, high = 0, int(row[0]) if row else 0
        while low < high:  # numbers grow with time: halve
            middle = (low + high + 1) // 2
            found = self._db.one(_SQL["from_pk"], (middle,))
            if found is not None and found[1] <= at:
                low = max(middle, found[0])
            else:
                high = middle - 1
        return low

    def running_of_pool(self, account: str, pool: str) -> list[Task]:
        return self._read(self._db.all(_SQL["running_of_pool"], (pool.lower(), account)))

    def running_of_node(self, account: str, pool: str, node: str) -> list[Task]:
        return self._read(self._db.all(_SQL["running_of_node"], (pool.lower(), node.lower(), account)))

    def running_of_job(self, job_pk: int, limit: int) -> list[Task]:
        return self._read(self._db.all(_SQL["running_of_job"], (job_pk, limit)))

    def update_many(self, tasks: Sequence[Task], used: Mapping[int, TaskUsage] = _UNUSED) -> bool:
        latest = {task.pk: task for task in tasks}
        moves = _Moves()
        before = self._db.all(_SQL["buckets"], (to_json(list(latest)),))
        if len(before) != len(latest):
            gone = sorted(set(latest) - {row[0] for row in before})
            raise Stale(f"no such task: {', '.join(map(str, gone[:10]))}")
        done: list[Task] = []
        ended: dict[int, list[Task]] = {}
        for pk, job_pk, slots, state, result, unmet, depends in before:
            task = latest[pk]
            moves.task(job_pk, slots, state, result, unmet, -1)
            moves.task(job_pk, slots, task.state.value, task.result and task.result.value, unmet, 1)
            if task.state is TaskState.COMPLETED and state != _COMPLETED:
                ended.setdefault(job_pk, []).append(task)
                if depends and satisfies(task):
                    done.append(task)
        self._db.many(_SQL["update"], [_changes(task) for task in latest.values()])
        freed = [item for task in done for item in self._dependencies.meet(task.job_pk, task.id.lower())]
        for job_pk, slots in freed:
            moves.add(job_pk, slots, _WAITING, -1)
        self._db.many(_SQL["count_moved"], moves.rows())
        self._stats.add(ended, used)
        return bool(freed)

    def stats(self, job_pk: int) -> JobStats:
        return self._stats.get(job_pk)

    def blockers(self, task: Task, limit: int) -> list[Blocker]:
        given = task.spec.depends_on
        return [] if given is None else self._dependencies.blockers(task.job_pk, task.pk, given, limit)

    def behind_failed(self, job_pk: int, limit: int) -> list[Task]:
        return list(self.by_pks(self._dependencies.behind_failed(job_pk, limit)).values())

    def replace_spec(self, task: Task) -> None:
        if not self._db.changed(_SQL["set_modified"], (task.modified_at, task.pk, task.spec.size)):
            raise Stale(f"task {task.id} is gone, or its required slots were to change")
        self._db.execute(_SQL["replace_spec"], (to_json(task.spec), task.document, task.pk))

    def delete(self, pk: int) -> None:
        self._uncount(self._db.all(_SQL["delete"], (pk,)))

    def delete_some(self, job_pk: int, limit: int) -> int:
        gone = self._uncount(self._db.all(_SQL["delete_some"], (job_pk, limit)))
        return gone or self._dependencies.forget(job_pk, limit)

    def _uncount(self, gone: Sequence[tuple[Any, ...]]) -> int:
        moves = _Moves()
        for job_pk, slots, state, result, unmet in gone:
            moves.task(job_pk, slots, state, result, unmet, -1)
        self._db.many(_SQL["count_moved"], moves.rows())
        return len(gone)

    def recent_of_node(self, account: str, pool: str, node: str, limit: int) -> list[Task]:
        where = (node.lower(), pool.lower(), account, limit)
        return self._read(self._db.all(_SQL["recent_of_node"], where))

    def state_counts_of_pool(self, account: str, pool: str) -> dict[TaskState, int]:
        row = self._db.one(_SQL["state_counts_of_pool"], (account, pool.lower()))
        assert row is not None
        return {TaskState.ACTIVE: row[0], TaskState.RUNNING: row[1], TaskState.COMPLETED: row[2]}

    def waits_of_pool(self, account: str, pool: str) -> dict[str, int]:
        row = self._db.one(_SQL["waits_of_pool"], (account, pool.lower()))
        assert row is not None
        return dict(zip(("tasks", "job", "room"), row, strict=True))

    @staticmethod
    def _read(rows: Iterable[tuple[Any, ...]]) -> list[Task]:
        return [_TASK.read(row) for row in rows]


def _changes(task: Task) -> list[Any]:
    row = _CHANGES.values(task)
    row.append(task.node and task.node.lower())
    row.append(task.pool and task.pool.lower())
    row.append(task.pk)
    return row
