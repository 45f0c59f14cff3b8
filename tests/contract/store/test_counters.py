"""Counters of a job are what a recount of its tasks gives, whatever happened to them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.domain.job import TaskCounts
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.task import Task
from poolwright.store.base import Tx
from poolwright.store.sync import SyncStore
from tests.contract.store.values import job, new_task

_OUTCOMES = [(state, None) for state in (TaskState.ACTIVE, TaskState.PREPARING, TaskState.RUNNING)] + [
    (TaskState.COMPLETED, result) for result in ExecutionResult
]
_STEPS = st.one_of(
    st.tuples(st.just("add"), st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=6)),
    st.tuples(
        st.just("move"), st.lists(st.tuples(st.integers(0, 12), st.sampled_from(_OUTCOMES)), max_size=6)
    ),
    st.tuples(st.just("delete"), st.integers(0, 12)),
    st.tuples(st.just("some"), st.integers(0, 4)),
    st.tuples(st.just("fail"), st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=3)),
)


class _Undone(Exception):
    pass


def _apply(tx: Tx, job_pk: int, kind: str, given: object) -> None:
    match kind, given:
        case "add" | "fail", list(pairs):
            tx.tasks.insert_many(job_pk, [new_task(f"t{n}", slots) for n, slots in pairs], 1)
            if kind == "fail":
                raise _Undone
        case "move", list(moves):
            changed = []
            for number, (state, result) in moves:
                task = tx.tasks.get(job_pk, f"t{number}")
                if task is not None:
                    changed.append(replace(task, state=state, result=result))
            tx.tasks.update_many(changed)
        case "delete", int(number):
            task = tx.tasks.get(job_pk, f"t{number}")
            if task is not None:
                tx.tasks.delete(task.pk)
        case "some", int(limit):
            tx.tasks.delete_some(job_pk, limit)


def _recount(tasks: list[Task], weigh: bool) -> TaskCounts:
    totals = [0, 0, 0, 0]
    for task in tasks:
        if task.state is TaskState.COMPLETED:
            bucket = 2 if task.result is ExecutionResult.SUCCESS else 3
        else:
            bucket = 0 if task.state is TaskState.ACTIVE else 1
        totals[bucket] += task.spec.required_slots if weigh else 1
    return TaskCounts(*totals)


@settings(max_examples=60, deadline=None)
@given(st.lists(_STEPS, max_size=12))
def test_counters_equal_a_recount(steps: list[tuple[str, object]]) -> None:
    store = SyncStore()
    try:
        job_pk = store.write_now(lambda tx: tx.jobs.insert(job()).pk)
        for kind, given_ in steps:
            try:
                store.write_now(partial(_apply, job_pk=job_pk, kind=kind, given=given_))
            except _Undone:
                pass
            tasks = store.read_now(lambda tx: tx.tasks.page(job_pk, None, 100))
            expected = (_recount(tasks, False), _recount(tasks, True))
            assert store.read_now(lambda tx: tx.tasks.counts(job_pk)) == expected
            ready = store.read_now(lambda tx: tx.tasks.ready("acct", "pool-1", 100, 2))
            fit = [t for t in tasks if t.state is TaskState.ACTIVE and t.spec.required_slots <= 2]
            assert ready == sorted(fit, key=lambda task: task.pk)
    finally:
        store.close_now()
