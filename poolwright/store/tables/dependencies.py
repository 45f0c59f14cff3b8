"""What tasks wait for, and what becomes free when one is done.

The cost of an end is one or two rows for the end itself and one for each task that waits for it; of a new task, its
ids and at most 62 rows a range.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from poolwright.domain.dependencies import Blocker, Dependencies, blocks, keys_of, number_of
from poolwright.domain.states import TaskState
from poolwright.store.connection import Db
from poolwright.store.rows import to_json
from poolwright.store.sql import load

_SQL = load("dependencies")
#: (job pk, slots) of a task that waits no more.
Freed = tuple[int, int]


class DependencyTable:
    """The part of the tasks' table that knows of dependencies."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def used_by(self, job_pk: int) -> bool:
        """Whether the job uses dependencies."""
        row = self._db.one(_SQL["job_depends"], (job_pk,))
        return row is not None and bool(row[0])

    def open_ids(self, job_pk: int, given: Dependencies) -> list[str]:
        """Keys of the parents named by id that are not done."""
        keys = list(dict.fromkeys(id.lower() for id in given.ids))
        met = {row[0] for row in self._db.all(_SQL["known_met"], (job_pk, to_json(keys)))}
        return [key for key in keys if key not in met]

    def open_numbers(self, job_pk: int, given: Dependencies) -> int:
        """How many numbers of the ranges are not done."""
        left = 0
        for first, last in given.ranges:
            row = self._db.one(_SQL["count_met"], (job_pk, first, last))
            left += last - first + 1 - (row[0] if row else 0)
        return left

    def insert(self, job_pk: int, task_pk: int, ids: Iterable[str], given: Dependencies) -> None:
        """Note what a new task waits for."""
        self._db.many(_SQL["insert"], [(job_pk, key, task_pk) for key in ids])
        rows = [(job_pk, *block, task_pk) for first, last in given.ranges for block in blocks(first, last)]
        self._db.many(_SQL["insert_block"], rows)

    def meet(self, job_pk: int, key: str) -> list[Freed]:
        """The task of this id is done; returns the active tasks that wait for nothing any more."""
        freed: Counter[int] = Counter()
        if self._db.changed(_SQL["meet"], (job_pk, key)):
            freed.update(row[0] for row in self._db.all(_SQL["waiting_for"], (job_pk, key)))
        number = number_of(key)
        if number is not None and self._db.changed(_SQL["meet_number"], (job_pk, number)):
            waiting = self._db.all(_SQL["waiting_for_number"], (to_json(keys_of(number)), job_pk))
            freed.update(row[0] for row in waiting)
        found = []
        for task_pk, count in freed.items():
            row = self._db.one(_SQL["free"], (count, task_pk))
            if row is not None and row[2] == TaskState.ACTIVE.value and row[3] == 0:
                found.append((row[0], row[1]))
        return found

    def forget(self, job_pk: int, limit: int) -> int:
        """Forget up to `limit` ids that were done, of a job that goes."""
        gone = self._db.changed(_SQL["forget_met"], (job_pk, limit))
        return gone + self._db.changed(_SQL["forget_met_numbers"], (job_pk, limit))

    def blockers(self, job_pk: int, task_pk: int, given: Dependencies, limit: int) -> list[Blocker]:
        """The first of what the task waits for, by id, then by number."""
        found = [
            Blocker(id or key, _word(state))
            for key, id, state in self._db.all(_SQL["parents_of"], (task_pk, limit))
        ]
        for first, last in given.ranges:
            at = first
            while len(found) < limit and at <= last:
                met = {row[0] for row in self._db.all(_SQL["met_numbers"], (job_pk, at, last, 1000))}
                stop = last if len(met) < 1000 else max(met)
                while at <= stop and len(found) < limit:
                    if at not in met:
                        row = self._db.one(_SQL["of_number"], (job_pk, at))
                        found.append(Blocker(*(row[0], _word(row[1])) if row else (str(at), "missing")))
                    at += 1
        return found

    def behind_failed(self, job_pk: int, limit: int) -> list[int]:
        """Active tasks that wait for one that failed and will not be done: their numbers."""
        found = dict.fromkeys(row[0] for row in self._db.all(_SQL["behind_failed"], (job_pk, limit)))
        if len(found) < limit and self._db.one(_SQL["has_blocks"], (job_pk,)):
            for (number,) in self._db.all(_SQL["failed_numbers"], (job_pk,)):
                rows = self._db.all(_SQL["behind_number"], (to_json(keys_of(number)), job_pk, limit))
                found.update(dict.fromkeys(row[0] for row in rows))
                if len(found) >= limit:
                    break
        return list(found)[:limit]


def _word(state: str | None) -> str:
    if state is None:
        return "missing"
    # Still waited for although it has completed: it failed, and its end does not satisfy.
    return "failed" if state == TaskState.COMPLETED.value else state
