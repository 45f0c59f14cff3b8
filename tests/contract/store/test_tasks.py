"""Tasks and live executions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from poolwright.domain.job import Job, JobSpec, TaskCounts
from poolwright.domain.node import Failure
from poolwright.domain.states import ExecutionResult, JobState, TaskState
from poolwright.domain.task import Task
from poolwright.store.base import Duplicate, Stale, Store, StoreError, Tx
from tests.contract.store.values import A, execution, job, new_task


async def _job(store: Store, id: str = "Job-1", spec: JobSpec | None = None) -> Job:
    return await store.write(lambda tx: tx.jobs.insert(job(id, spec)))


async def _add(store: Store, job_pk: int, *ids: str, slots: int = 1) -> list[Task]:
    def add(tx: Tx) -> list[Task | None]:
        return tx.tasks.insert_many(job_pk, [new_task(id, slots) for id in ids], 7)

    return [task for task in await store.write(add) if task is not None]


def _running(task: Task, node: str = "n1", pool: str = "Pool-1", at: int = 9) -> Task:
    return replace(
        task, state=TaskState.RUNNING, previous_state=task.state, attempt=task.attempt + 1, node=node, pool=pool,
        started_at=at, state_at=at,
    )  # fmt: skip


async def _update(store: Store, tasks: Sequence[Task]) -> None:
    await store.write(lambda tx: tx.tasks.update_many(tasks))


async def _ready(store: Store, limit: int = 100, slots: int = 256, pool: str = "pool-1") -> list[str]:
    return [task.id for task in await store.read(lambda tx: tx.tasks.ready(A, pool, limit, slots))]


async def test_tasks_come_back_as_they_were_in_order_of_creation(store: Store) -> None:
    made = await _job(store)
    tasks = await _add(store, made.pk, "b", "A", "c")
    assert [task.pk for task in tasks] == sorted(task.pk for task in tasks)
    assert tasks[0].state is TaskState.ACTIVE
    assert await store.read(lambda tx: [tx.tasks.get(made.pk, id) for id in ("B", "a", "C", "d")]) == [
        *tasks,
        None,
    ]
    pks = [task.pk for task in tasks]
    assert await store.read(lambda tx: tx.tasks.by_pks([*pks, 10**9])) == {task.pk: task for task in tasks}


async def test_an_id_is_taken_once_also_within_one_call(store: Store) -> None:
    made = await _job(store)
    await _add(store, made.pk, "a")
    outcome = await store.write(
        lambda tx: tx.tasks.insert_many(made.pk, [new_task(id) for id in ("b", "A", "B", "c")], 8)
    )
    assert [task and task.id for task in outcome] == ["b", None, None, "c"]
    assert (await store.read(lambda tx: tx.tasks.counts(made.pk)))[0] == TaskCounts(active=3)
    other = await _job(store, "other")
    assert [task.id for task in await _add(store, other.pk, "a")] == ["a"]


async def test_a_task_needs_a_job_and_a_job_with_tasks_stays(store: Store) -> None:
    with pytest.raises(StoreError):
        await _add(store, 10**6, "a")
    made = await _job(store)
    (task,) = await _add(store, made.pk, "a")
    with pytest.raises(StoreError):
        await store.write(lambda tx: tx.jobs.delete(A, "job-1"))
    await store.write(lambda tx: tx.tasks.delete(task.pk))
    await store.write(lambda tx: tx.jobs.delete(A, "job-1"))
    assert await store.read(lambda tx: tx.jobs.get(A, "job-1")) is None


async def test_numbers_of_tasks_are_never_used_again(store: Store) -> None:
    made = await _job(store)
    (first,) = await _add(store, made.pk, "a")
    await store.write(lambda tx: tx.tasks.delete(first.pk))
    (second,) = await _add(store, made.pk, "a")
    assert second.pk > first.pk


async def test_every_mutable_field_is_written(store: Store) -> None:
    made = await _job(store)
    (task,) = await _add(store, made.pk, "a")
    changed = replace(
        task, state=TaskState.COMPLETED, state_at=11, modified_at=12, previous_state=TaskState.RUNNING, previous_at=10,
        attempt=2, node="N1", pool="Pool-1", fence=4, started_at=9, ended_at=11, exit_code=3,
        result=ExecutionResult.FAILURE, failure=Failure("usererror", "FailureExitCode", "m", (("k", "v"),)),
        retry_count=1, last_retry_at=8, requeue_count=2, last_requeue_at=7, system_requeues=3, kill_reason="terminate",
    )  # fmt: skip
    await _update(store, [task, changed])
    assert await store.read(lambda tx: tx.tasks.get(made.pk, "a")) == changed
    spec = replace(changed, spec=replace(task.spec, max_retries=5), document=b"new", modified_at=13)
    await store.write(lambda tx: tx.tasks.replace_spec(spec))
    assert await store.read(lambda tx: tx.tasks.get(made.pk, "a")) == spec
    with pytest.raises(Stale):
        await store.write(
            lambda tx: tx.tasks.replace_spec(replace(spec, spec=replace(spec.spec, required_slots=2)))
        )
    await store.write(lambda tx: tx.tasks.delete(task.pk))
    with pytest.raises(Stale):
        await _update(store, [task])


async def test_tasks_page_in_order_of_lower_cased_id(store: Store) -> None:
    made = await _job(store)
    await _add(store, made.pk, "b", "A10", "a9", "C", "a1")
    seen: list[str] = []

    def following(tx: Tx) -> list[Task]:
        return tx.tasks.page(made.pk, seen[-1] if seen else None, 2)

    while page := await store.read(following):
        seen += [task.id for task in page]
    assert seen == ["a1", "A10", "a9", "b", "C"]


async def test_ready_takes_priority_then_age(store: Store) -> None:
    low = await _job(store, "low", JobSpec("pool-1", priority=-1))
    one = await _job(store, "one", JobSpec("POOL-1"))
    two = await _job(store, "two", JobSpec("Pool-1"))
    urgent = await _job(store, "urgent", JobSpec("Pool-1", priority=7))
    elsewhere = await _job(store, "elsewhere", JobSpec("Pool-2", priority=9))
    await _add(store, low.pk, "l1")
    await _add(store, one.pk, "a1")
    await _add(store, two.pk, "b1", slots=3)
    await _add(store, one.pk, "a2", slots=2)
    await _add(store, two.pk, "b2")
    await _add(store, urgent.pk, "u1")
    await _add(store, elsewhere.pk, "e1")
    assert await _ready(store) == ["u1", "a1", "b1", "a2", "b2", "l1"]
    assert await _ready(store, slots=2) == ["u1", "a1", "b2", "a2", "l1"]
    assert await _ready(store, limit=2) == ["u1", "a1"]
    await store.write(lambda tx: tx.jobs.update(replace(urgent, state=JobState.DISABLED)))
    assert await _ready(store, limit=2) == ["a1", "b1"]
    assert await _ready(store, pool="nowhere") == []


async def test_jobs_of_one_priority_take_turns_or_follow_one_another(store: Store) -> None:
    jobs = [await _job(store, f"j{n}") for n in range(3)]
    for number in range(2):
        for made in reversed(jobs):
            await _add(store, made.pk, f"{made.id}t{number}")

    async def ready(limit: int, turn: int | None) -> list[str]:
        return [task.id for task in await store.read(lambda tx: tx.tasks.ready(A, "pool-1", limit, 1, turn))]

    assert await ready(9, 0) == ["j0t0", "j1t0", "j2t0", "j0t1", "j1t1", "j2t1"]
    assert await ready(2, jobs[0].pk) == ["j1t0", "j2t0"], "the turn goes on after the job served last"
    assert await ready(1, jobs[2].pk) == ["j0t0"]
    assert await ready(9, None) == ["j0t0", "j0t1", "j1t0", "j1t1", "j2t0", "j2t1"]


async def test_ready_reads_long_queues_in_order(store: Store) -> None:
    jobs = [await _job(store, f"j{n}") for n in range(3)]
    order = []
    for number in range(20):
        for made in jobs:
            order += [task.id for task in await _add(store, made.pk, f"t{number}-{made.id}")]
    assert await _ready(store, limit=60) == order
    assert await _ready(store, limit=7) == order[:7]


async def test_ready_respects_the_parallel_limit(store: Store) -> None:
    made = await _job(store, spec=JobSpec("Pool-1", max_parallel_tasks=3))
    tasks = await _add(store, made.pk, *(f"t{n}" for n in range(4)))
    big = await _add(store, made.pk, "big", slots=2)
    assert await _ready(store) == ["t0", "t1", "t2"]
    await _update(store, [_running(tasks[0]), _running(big[0])])
    assert await _ready(store) == ["t1"]
    await _update(store, [_running(tasks[1])])
    assert await _ready(store) == []


async def test_a_task_with_a_live_execution_is_not_ready(store: Store) -> None:
    made = await _job(store)
    first, _ = await _add(store, made.pk, "a", "b")
    await store.write(lambda tx: tx.executions.insert_many([execution(first)]))
    assert await _ready(store) == ["b"]
    await store.write(lambda tx: tx.executions.delete_many([execution(first).name]))
    assert await _ready(store) == ["a", "b"]


def _ids(tasks: Sequence[Task]) -> list[str]:
    return sorted(task.id for task in tasks)


async def test_running_tasks_by_pool_node_and_job(store: Store) -> None:
    made = await _job(store)
    foreign = await store.write(lambda tx: tx.jobs.insert(job("f", account="other")))
    a, b, c, _ = await _add(store, made.pk, "a", "b", "c", "d")
    (f,) = await _add(store, foreign.pk, "f")
    preparing = replace(_running(b, "N2"), state=TaskState.PREPARING)
    await _update(store, [_running(a), preparing, _running(c, "n1", "Pool-2"), _running(f)])
    assert _ids(await store.read(lambda tx: tx.tasks.running_of_pool(A, "POOL-1"))) == ["a", "b"]
    assert _ids(await store.read(lambda tx: tx.tasks.running_of_node(A, "pool-1", "N1"))) == ["a"]
    assert _ids(await store.read(lambda tx: tx.tasks.running_of_job(made.pk, 2))) == ["a", "b"]
    assert _ids(await store.read(lambda tx: tx.tasks.running_of_job(made.pk, 9))) == ["a", "b", "c"]
    counts = await store.read(lambda tx: tx.tasks.state_counts_of_pool(A, "pool-1"))
    assert counts == {TaskState.ACTIVE: 1, TaskState.RUNNING: 3, TaskState.COMPLETED: 0}
    waits = await store.read(lambda tx: tx.tasks.waits_of_pool(A, "Pool-1"))
    assert waits == {"tasks": 0, "job": 0, "room": 1}
    await store.write(lambda tx: tx.jobs.update(replace(made, state=JobState.DISABLED)))
    waits = await store.read(lambda tx: tx.tasks.waits_of_pool(A, "Pool-1"))
    assert waits == {"tasks": 0, "job": 1, "room": 0}


async def test_recent_tasks_of_a_node(store: Store) -> None:
    made = await _job(store)
    tasks = await _add(store, made.pk, "a", "b", "c", "d")
    await _update(store, [_running(task, "N1", at=9 - n) for n, task in enumerate(tasks[:3])])
    recent = await store.read(lambda tx: tx.tasks.recent_of_node(A, "pool-1", "n1", 2))
    assert [task.id for task in recent] == ["a", "b"]


async def test_deleting_some_leaves_running_tasks(store: Store) -> None:
    made = await _job(store)
    tasks = await _add(store, made.pk, *(f"t{n}" for n in range(5)))
    done = replace(tasks[1], state=TaskState.COMPLETED, result=ExecutionResult.SUCCESS)
    await _update(store, [_running(tasks[0]), done])
    assert await store.write(lambda tx: tx.tasks.delete_some(made.pk, 3)) == 3
    assert await store.write(lambda tx: tx.tasks.delete_some(made.pk, 3)) == 1
    assert await store.write(lambda tx: tx.tasks.delete_some(made.pk, 3)) == 0
    assert (await store.read(lambda tx: tx.tasks.counts(made.pk)))[0] == TaskCounts(running=1)


async def test_executions(store: Store) -> None:
    made = await _job(store)
    a, b = await _add(store, made.pk, "a", "b")
    (c,) = await _add(store, made.pk, "c", slots=3)
    live = [execution(a), execution(b, node="n2"), execution(c)]
    await store.write(lambda tx: tx.executions.insert_many(live))

    def caught(tx: Tx) -> None:
        with pytest.raises(Duplicate):
            tx.executions.insert_many([execution(a, 2), execution(b)])

    await store.write(caught)
    assert await store.read(lambda tx: tx.executions.of_pool(A, "pool-1")) == live
    assert await store.read(lambda tx: tx.executions.of_machine("m-n1")) == [live[0], live[2]]
    assert await store.read(lambda tx: tx.executions.of_task(b.pk)) == [live[1]]
    assert await store.read(lambda tx: tx.executions.slots(A, "POOL-1")) == {"n1": 4, "n2": 1}
    assert await store.read(lambda tx: tx.executions.taken(A, "POOL-1", 8)) == {"n1": 4, "n2": 1}
    assert await store.read(lambda tx: tx.executions.count_of_job(made.pk)) == 3
    await store.write(lambda tx: tx.executions.order_kill([live[0].name, "unknown"], "terminate"))
    await store.write(lambda tx: tx.executions.delete_many([live[1].name, "unknown"]))
    found = await store.read(lambda tx: tx.executions.get_many([item.name for item in live]))
    assert found == {live[0].name: replace(live[0], kill_reason="terminate"), live[2].name: live[2]}
    assert await store.read(lambda tx: tx.executions.taken(A, "pool-1", 8)) == {"n1": 4}
    await store.write(lambda tx: tx.executions.order_kill([live[2].name], "requeue"))
    assert await store.read(lambda tx: tx.executions.taken(A, "pool-1", 8)) == {"n1": 8}
