"""Tasks: each rule once, and no trace of what was refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.commands import jobs, tasks
from poolwright.commands.context import Preconditions
from poolwright.domain.clock import FOREVER, MINUTE
from poolwright.domain.errors import ServiceError
from poolwright.domain.job import TaskCounts
from poolwright.domain.limits import ENVIRONMENT_BYTES_MAX, TASK_BYTES_MAX
from poolwright.domain.multi_instance import MultiInstance
from poolwright.domain.states import ExecutionResult, JobState, TaskState
from poolwright.domain.task import NewTask, Task, TaskSpec
from tests.unit.commands.conftest import START, A, World
from tests.unit.commands.values import ANY, JOB, execution, new_task


@pytest.fixture(autouse=True)
def _job(world: World) -> None:
    world.do(jobs.create, "J1", JOB, b"{}")
    world.woken()


def _job_in(world: World, state: JobState) -> None:
    world.write(lambda tx: tx.jobs.update(replace(jobs.get(tx, A, "J1"), state=state)))


def _task(world: World, id: str) -> Task:
    return world.read(lambda tx: tasks.get(tx, A, "j1", id))


def _counts(world: World) -> TaskCounts:
    return world.read(lambda tx: jobs.counts(tx, A, "J1"))[0]


def _run(world: World, task: Task) -> Task:
    """The task running, with its live execution."""
    running = replace(task, state=TaskState.RUNNING, attempt=1, node="n1", pool="P1", started_at=START)
    world.write(lambda tx: tx.tasks.update_many([running]))
    world.write(lambda tx: tx.executions.insert_many([execution(task)]))
    return running


def _finish(world: World, task: Task, result: ExecutionResult) -> None:
    done = replace(
        task, state=TaskState.COMPLETED, result=result, exit_code=1, ended_at=START, retry_count=2, attempt=1
    )
    world.write(lambda tx: tx.tasks.update_many([done]))


def test_add(world: World) -> None:
    task = world.do(tasks.add, "j1", new_task("T1"))
    assert (task.state, task.created_at) == (TaskState.ACTIVE, START)
    assert _task(world, "t1") == task
    assert world.woken() == {("pool", "p1")}
    assert world.kinds("job/J1") == ["job.create", "task.add"]
    assert world.kinds("task/J1/T1") == []
    world.refused("TaskExists", tasks.add, "J1", new_task("t1"))
    world.refused("JobNotFound", tasks.add, "J9", new_task("x"))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (JobState.TERMINATING, "JobBeingTerminated"),
        (JobState.COMPLETED, "JobCompleted"),
        (JobState.DELETING, "JobBeingDeleted"),
    ],
)
def test_a_job_that_ends_takes_no_tasks(world: World, state: JobState, code: str) -> None:
    _job_in(world, state)
    world.refused(code, tasks.add, "J1", new_task("a"))


@pytest.mark.parametrize("state", [JobState.DISABLING, JobState.DISABLED, JobState.ENABLING])
def test_a_disabled_job_takes_tasks(world: World, state: JobState) -> None:
    _job_in(world, state)
    assert world.do(tasks.add, "J1", new_task("a")).state is TaskState.ACTIVE


def _with(**changes: object) -> NewTask:
    return NewTask("a", replace(TaskSpec("/bin/true"), **changes), b"{}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (new_task("a b"), "InvalidPropertyValue"),
        (_with(required_slots=0), "InvalidPropertyValue"),
        (_with(required_slots=257), "InvalidPropertyValue"),
        (_with(max_retries=-2), "InvalidPropertyValue"),
        (_with(max_wall_clock=0), "InvalidPropertyValue"),
        (_with(retention=-1), "InvalidPropertyValue"),
        (_with(environment=(("A", "x" * ENVIRONMENT_BYTES_MAX),)), "RequestEntityTooLarge"),
        (NewTask("a", TaskSpec("x"), b"x" * TASK_BYTES_MAX), "RequestEntityTooLarge"),
    ],
)
def test_tasks_that_are_refused(world: World, new: NewTask, code: str) -> None:
    world.refused(code, tasks.add, "J1", new)


def test_the_ends_of_ranges_are_taken(world: World) -> None:
    largest = TASK_BYTES_MAX - len("x")
    for number, new in enumerate(
        [
            _with(required_slots=256, max_retries=-1, retention=0, max_wall_clock=1),
            _with(environment=(("A", "x" * (ENVIRONMENT_BYTES_MAX - 3)),)),
            NewTask("a", TaskSpec("x"), b"x" * largest),
        ]
    ):
        assert world.do(tasks.add, "J1", replace(new, id=f"t{number}")).spec == new.spec


def test_a_collection_answers_for_each_task(world: World) -> None:
    world.do(tasks.add, "J1", new_task("b"))
    news = [new_task("a"), new_task("B"), new_task("bad id"), new_task("A"), new_task("c")]
    outcomes = world.do(tasks.add_many, "J1", news)
    codes = [item.code if isinstance(item, ServiceError) else item.id for item in outcomes]
    assert codes == ["a", "TaskExists", "InvalidPropertyValue", "TaskExists", "c"]
    assert _counts(world) == TaskCounts(active=3)
    added = world.read(lambda tx: tx.journal.of_subject(A, "job/J1", 1))[0]
    assert (added.kind, added.detail["added"]) == ("task.add", 2)


def test_a_collection_in_which_nothing_is_added_leaves_nothing(world: World) -> None:
    world.do(tasks.add, "J1", new_task("a"))
    world.woken()
    before = world.contents()
    outcomes = world.do(tasks.add_many, "J1", [new_task("?"), NewTask("", TaskSpec("x"), b"")])
    assert [isinstance(item, ServiceError) for item in outcomes] == [True, True]
    assert world.do(tasks.add_many, "J1", []) == []
    assert world.contents() == before
    assert world.woken() == set()


def test_a_collection_is_bounded(world: World) -> None:
    news = [new_task(f"t{n}") for n in range(101)]
    world.refused("RequestBodyTooLarge", tasks.add_many, "J1", news)
    assert len(world.do(tasks.add_many, "J1", news[:100])) == 100
    assert [t.id for t in world.read(lambda tx: tasks.page(tx, A, "j1", "t1", 2))] == ["t10", "t11"]


def test_what_is_not_there(world: World) -> None:
    for command in (tasks.terminate, tasks.delete, tasks.reactivate):
        world.refused("TaskNotFound", command, "J1", "t9", ANY)
        world.refused("JobNotFound", command, "J9", "t9", ANY)
    world.refused("JobNotFound", lambda tx, ctx, account: tasks.page(tx, account, "J9", None, 1))


def test_terminate_an_active_task(world: World) -> None:
    task = world.do(tasks.add, "J1", new_task("a"))
    after = world.do(tasks.terminate, "J1", "A", ANY)
    assert after == _task(world, "a")
    assert (after.state, after.previous_state, after.result) == (
        TaskState.COMPLETED,
        TaskState.ACTIVE,
        ExecutionResult.FAILURE,
    )
    assert after.failure is not None
    assert (after.failure.category, after.failure.code) == ("usererror", "TaskEnded")
    assert after.modified_at > task.modified_at
    assert _counts(world) == TaskCounts(failed=1)
    assert world.kinds("task/J1/a") == ["task.terminate", "task.fail"]
    assert world.woken() == {("pool", "p1"), ("job", "j1")}
    world.refused("TaskCompleted", tasks.terminate, "J1", "a", ANY)


def test_terminate_a_running_task_orders_the_kill(world: World) -> None:
    task = _run(world, world.do(tasks.add, "J1", new_task("a")))
    after = world.do(tasks.terminate, "J1", "a", ANY)
    assert (after.state, after.kill_reason) == (TaskState.COMPLETED, "terminate")
    live = world.read(lambda tx: tx.executions.of_task(task.pk))
    assert [item.kill_reason for item in live] == ["terminate"]
    assert world.read(lambda tx: tx.executions.slots(A, "P1")) == {"n1": 1}


def test_delete(world: World) -> None:
    world.do(tasks.add, "J1", new_task("a"))
    running = _run(world, world.do(tasks.add, "J1", new_task("b")))
    world.do(tasks.delete, "J1", "A", ANY)
    world.woken()
    world.do(tasks.delete, "J1", "b", ANY)
    assert world.woken() == {("pool", "p1"), ("job", "j1"), ("files", "p1")}
    assert _counts(world) == TaskCounts()
    live = world.read(lambda tx: tx.executions.of_task(running.pk))
    assert [item.kill_reason for item in live] == ["terminate"]
    assert world.kinds("task/J1/b") == ["task.delete"]
    assert world.do(tasks.add, "J1", new_task("b")).pk > running.pk


def test_reactivate(world: World) -> None:
    failed, good, active = world.do(tasks.add_many, "J1", [new_task(id) for id in ("f", "g", "a")])
    assert isinstance(failed, Task)
    assert isinstance(good, Task)
    assert isinstance(active, Task)
    _finish(world, failed, ExecutionResult.FAILURE)
    _finish(world, good, ExecutionResult.SUCCESS)
    world.refused("TaskNotCompleted", tasks.reactivate, "J1", "a", ANY)
    world.refused("TaskSucceeded", tasks.reactivate, "J1", "g", ANY)
    world.woken()
    after = world.do(tasks.reactivate, "J1", "f", ANY)
    assert world.woken() == {("pool", "p1")}
    assert after == _task(world, "f")
    assert (after.state, after.exit_code, after.result, after.retry_count) == (
        TaskState.ACTIVE,
        None,
        None,
        0,
    )
    assert after.attempt == 1
    assert _counts(world) == TaskCounts(active=2, succeeded=1)
    assert world.kinds("task/J1/f") == ["task.reactivate"]
    _finish(world, failed, ExecutionResult.FAILURE)
    _job_in(world, JobState.COMPLETED)
    world.refused("JobCompleted", tasks.reactivate, "J1", "f", ANY)


def test_a_task_ended_and_reactivated_waits_for_its_process_to_die(world: World) -> None:
    task = _run(world, world.do(tasks.add, "J1", new_task("a")))
    world.do(tasks.terminate, "J1", "a", ANY)
    world.do(tasks.reactivate, "J1", "a", ANY)
    assert world.read(lambda tx: tx.tasks.ready(A, "P1", 10, 10)) == []
    world.write(lambda tx: tx.executions.delete_many([execution(task).name]))
    assert [t.id for t in world.read(lambda tx: tx.tasks.ready(A, "P1", 10, 10))] == ["a"]


def test_replace_constraints(world: World) -> None:
    task = world.do(tasks.add, "J1", new_task("a"))
    after = world.do(tasks.replace_constraints, "J1", "a", 3, 5 * MINUTE, 6 * MINUTE, ANY)
    assert after == _task(world, "a")
    spec = after.spec
    assert (spec.max_retries, spec.max_wall_clock, spec.retention) == (3, 5 * MINUTE, 6 * MINUTE)
    assert after.modified_at > task.modified_at
    world.refused("InvalidPropertyValue", tasks.replace_constraints, "J1", "a", -2, MINUTE, 0, ANY)
    world.refused("TaskNotFound", tasks.replace_constraints, "J1", "b", 1, MINUTE, 0, ANY)
    _job_in(world, JobState.TERMINATING)
    world.refused("JobBeingTerminated", tasks.replace_constraints, "J1", "a", 1, MINUTE, 0, ANY)


def test_a_new_retention_time_is_that_of_the_primary_only(world: World) -> None:
    gang = TaskSpec("/bin/true", retention=9 * MINUTE, multi=MultiInstance("coordinate", 2))
    world.do(tasks.add, "J1", NewTask("a", gang, b"{}"))
    for retention in (MINUTE, 2 * MINUTE):
        after = world.do(tasks.replace_constraints, "J1", "a", 0, FOREVER, retention, ANY)
        after = replace(after, node="n0")
        assert (after.retention_on("n0"), after.retention_on("n1")) == (retention, 9 * MINUTE)


def test_conditions_and_a_job_being_deleted(world: World) -> None:
    world.do(tasks.add, "J1", new_task("a"))
    unmet = Preconditions(if_match="0x1")
    for command in (tasks.terminate, tasks.delete, tasks.reactivate):
        world.refused("ConditionNotMet", command, "J1", "a", unmet)
    world.refused("ConditionNotMet", tasks.replace_constraints, "J1", "a", 1, MINUTE, 0, unmet)
    _job_in(world, JobState.DELETING)
    for command in (tasks.terminate, tasks.delete, tasks.reactivate):
        world.refused("JobBeingDeleted", command, "J1", "a", ANY)
