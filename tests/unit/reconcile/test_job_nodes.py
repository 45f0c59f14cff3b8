"""Preparation, release and the manager of a job, pass by pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolwright.domain.job import Job
from poolwright.domain.job_tasks import JobNode, ManagerTask, PreparationTask, ReleaseTask
from poolwright.domain.node import StartTaskInfo
from poolwright.domain.states import (
    ExecutionResult,
    JobState,
    NodeState,
    SchedulingState,
    StartTaskState,
    TaskState,
)
from poolwright.domain.task import NewTask, TaskSpec
from poolwright.reconcile import jobs
from poolwright.reconcile.explanations import Explanations
from poolwright.reconcile.jobs import JobWork
from tests.unit.decide.parts import NOW
from tests.unit.reconcile.world import ACCOUNT, World, exited


class Prepared(World):
    """A world whose job has a preparation and a release task."""

    def __init__(self, nodes: int = 1, slots: int = 1, **preparation: Any) -> None:
        super().__init__(nodes, slots)
        spec = replace(self.job().spec, preparation=PreparationTask("prep", **preparation))
        self.set_job(spec=replace(spec, release=ReleaseTask("release")))

    def job(self) -> Job:
        found = self.store.read_now(lambda tx: tx.jobs.get(ACCOUNT, "j"))
        assert found is not None
        return found

    def rows(self) -> list[JobNode]:
        return self.store.read_now(lambda tx: tx.job_nodes.page(self.job_pk, 0, 100))

    def look_at_job(self) -> JobWork:
        return self.write(lambda tx: jobs.run(tx, self.kit, ACCOUNT, "j", self.clock.at))

    def names(self) -> list[str]:
        """What the next pass starts."""
        return [spec.name for spec in self.look().starts]


def test_the_first_task_on_a_node_waits_for_the_preparation() -> None:
    world = Prepared(slots=2)
    world.add("a", "b")
    (prep,) = world.look().starts
    assert (prep.name, prep.command, prep.env["AZ_BATCH_TASK_ID"]) == ("p1.1", "prep", "jobpreparation")
    assert "AZ_BATCH_JOB_PREP_DIR" not in prep.env
    assert world.task("a").state is world.task("b").state is TaskState.PREPARING
    world.hear(exited(prep))
    starts = world.look().starts
    assert [spec.name for spec in starts] == ["t1.1", "t2.1"]
    assert starts[0].env["AZ_BATCH_JOB_PREP_DIR"].endswith("workitems/j/job-1/jobpreparation")
    assert world.task("a").state is TaskState.RUNNING
    world.hear(exited(starts[0]), exited(starts[1]))
    world.add("c")
    assert world.names() == ["t3.1"], "it ran here already"
    assert world.node("n0").tasks_run == 2, "preparations are no tasks"


def test_a_failed_preparation_is_tried_again_then_bars_the_node_for_the_job_alone() -> None:
    world = Prepared(max_retries=1)
    world.add("a")
    (first,) = world.look().starts
    world.hear(exited(first, 1))
    assert world.task("a").state is TaskState.PREPARING
    (second,) = world.look().starts
    assert second.name == "p1.2"
    world.hear(exited(second, 1))
    assert (world.task("a").state, world.task("a").requeue_count) == (TaskState.ACTIVE, 0)
    assert (world.names(), world.live()) == ([], [])
    say = Explanations(world.kit)
    words = world.store.read_now(lambda tx: say.task(tx, ACCOUNT, "j", "a"))
    assert words.code == "JobPreparationTaskFailed"
    other = world.write(
        lambda tx: tx.jobs.insert(
            replace(world.job(), id="o", spec=replace(world.job().spec, preparation=None))
        )
    )
    world.write(lambda tx: tx.tasks.insert_many(other.pk, [NewTask("x", TaskSpec("run"), b"{}")], 1))
    assert world.names() == ["t2.1"], "other jobs use the node"
    world.write(lambda tx: tx.job_nodes.wiped(ACCOUNT, "p", "n0"))
    world.write(lambda tx: tx.executions.delete_many(["t2.1"]))
    assert "p1.3" in world.names(), "a reimaged node is as good as new"


def test_a_preparation_nobody_waits_for_runs_beside_the_task() -> None:
    world = Prepared(wait_for_success=False)
    world.add("a", "b")
    assert world.names() == ["p1.1", "t1.1"]
    assert world.task("a").state is TaskState.RUNNING


@pytest.mark.parametrize("again", [True, False])
def test_after_a_reboot_it_runs_again_if_the_job_says_so(again: bool) -> None:
    world = Prepared(rerun_after_reboot=again)
    world.add("a")
    world.hear(exited(world.look().starts[0]))
    world.hear(exited(world.look().starts[0]))
    world.set_node("n0", fence=2)
    world.add("b")
    assert world.names() == ["p1.2" if again else "t2.1"]


def test_a_task_whose_node_is_lost_while_it_prepares_runs_elsewhere() -> None:
    world = Prepared(nodes=1)
    world.add("a")
    world.look()
    world.hear({"t": "machine", "name": "mn0", "fence": 1, "state": "gone"})
    assert (world.task("a").state, world.live()) == (TaskState.ACTIVE, [])
    assert (world.task("a").used, world.node("n0").tasks_run) == (None, 0), "it has not run"
    world.set_node("n0", state=NodeState.IDLE, fence=2)
    assert world.names() == ["p1.2"]


def test_releases_run_where_the_preparation_completed_before_the_job_does() -> None:
    world = Prepared(nodes=3)
    world.add("a", "b", "c")
    preps = world.look().starts
    world.hear(exited(preps[0]), exited(preps[1]))
    tasks = world.look().starts
    world.set_job(state=JobState.TERMINATING)
    work = world.look_at_job()
    assert [world.task(id).state for id in "abc"] == [TaskState.COMPLETED] * 3
    for kill in work.kills:
        lost = {"t": "exec", "machine": kill.machine, "fence": 1, "exec": kill.name, "state": "exited"}
        world.hear({**lost, "reason": "lost"})
    assert len(tasks) == 2
    killed = world.look_at_job()
    assert [(kill.name, kill.reason) for kill in killed.kills] == [("p3.1", "terminate")]
    world.hear(exited(preps[2], reason="killed:terminate", exit_code=None, signal=15))
    first, second = world.look_at_job().starts
    assert (first.name, first.user.scope, first.wall_clock_s) == ("r1.1", "task", 900)
    assert world.look_at_job().starts == []
    world.hear(exited(first, 1))
    assert world.job().state is JobState.TERMINATING
    world.set_node("n1", fence=2)
    world.write(lambda tx: tx.executions.delete_many([second.name]))
    (again,) = world.look_at_job().starts
    assert (again.name, again.fence) == ("r2.2", 2)
    world.hear(exited(again))
    world.look_at_job()
    assert world.job().state is JobState.COMPLETED
    results = [row.release and row.release.result for row in world.rows()]
    assert results == [ExecutionResult.FAILURE, ExecutionResult.SUCCESS, None]


def test_a_node_that_left_is_not_waited_for_nor_is_any_by_force() -> None:
    for force in (False, True):
        world = Prepared(nodes=1)
        world.add("a")
        world.hear(exited(world.look().starts[0]))
        world.hear(exited(world.look().starts[0]))
        world.set_job(state=JobState.TERMINATING, disable_tasks="force" if force else None)
        if not force:
            (release,) = world.look_at_job().starts
            world.hear(exited(release, reason="lost"))
            world.write(lambda tx: tx.nodes.delete(ACCOUNT, "p", "n0"))
        assert world.look_at_job().starts == []
        assert world.job().state is JobState.COMPLETED
        assert world.rows()[0].preparation.state is StartTaskState.COMPLETED


@pytest.mark.parametrize("force", [False, True])
def test_a_preparation_that_fails_while_its_job_ends_is_not_tried_again(force: bool) -> None:
    world = Prepared(max_retries=-1)
    world.add("a")
    (prep,) = world.look().starts
    world.set_job(state=JobState.TERMINATING, disable_tasks="force" if force else None)
    world.look_at_job()
    if force:
        world.look_at_job()
        assert world.job().state is JobState.COMPLETED, "by force it does not wait"
    world.hear(exited(prep, 1))  # before the kill came to it
    assert world.live() == ["t1.1"], "only the task's own, whose end is still to be heard"
    (row,) = world.rows()
    assert (row.preparation.attempt, row.preparation.result) == (1, ExecutionResult.FAILURE)
    assert world.names() == []


def _told(info: StartTaskInfo | None) -> tuple[Any, ...]:
    assert info is not None
    failure = info.failure
    code = None if failure is None else (failure.category, failure.code)
    return info.state.value, info.ended_at is not None, info.exit_code, info.result, code


INTERRUPTED = ("completed", True, None, ExecutionResult.FAILURE, ("servererror", "TaskEnded"))
ENDED = ("completed", True, None, ExecutionResult.FAILURE, ("usererror", "TaskEnded"))


@pytest.mark.parametrize("force", [False, True])
def test_no_row_of_a_completed_job_says_that_its_preparation_runs(force: bool) -> None:
    world = Prepared(nodes=2)
    world.add("a", "b")
    first, second = world.look().starts
    world.hear({"t": "machine", "name": first.machine, "fence": 1, "state": "gone"})
    assert _told(world.rows()[0].preparation) == INTERRUPTED, "it does not run any more"
    world.set_job(state=JobState.TERMINATING, disable_tasks="force" if force else None)
    kills = world.look_at_job().kills + world.look().kills
    assert second.name in {kill.name for kill in kills} or not force
    if force:
        world.look_at_job()
        assert world.job().state is JobState.COMPLETED
        assert _told(world.rows()[1].preparation) == ENDED, "nobody waits for its end"
    for name in [name for name in world.live() if name.startswith("t")]:
        world.hear(exited(second, reason="lost", exit_code=None, exec=name))
    world.look_at_job()
    killed = exited(second, reason="killed:terminate", exit_code=None, signal=15, start_us=NOW + 1)
    world.hear(killed)
    world.look_at_job()
    assert (world.job().state, world.live()) == (JobState.COMPLETED, [])
    rows = [_told(row.preparation) for row in world.rows()]
    assert rows == [INTERRUPTED, ENDED if force else (*ENDED[:2], 143, *ENDED[3:])]
    entries = world.store.read_now(lambda tx: tx.journal.after(0, 100, 100, ACCOUNT, ["task.special"]))
    assert [entry.fact.detail["node"] for entry in entries] == ["n1"], "told once"


def test_no_row_of_a_completed_job_says_that_its_release_runs() -> None:
    world = Prepared(nodes=2)
    world.add("a", "b")
    world.hear(*(exited(spec) for spec in world.look().starts))
    world.hear(*(exited(spec) for spec in world.look().starts))
    world.set_job(state=JobState.TERMINATING)
    first, second = world.look_at_job().starts
    world.hear({"t": "machine", "name": first.machine, "fence": 1, "state": "gone"})
    row, _ = world.rows()
    assert (_told(row.release), row.release_fence) == (INTERRUPTED, 0)
    world.set_node("n0", state=NodeState.IDLE, fence=2)
    (again,) = world.look_at_job().starts
    assert again.name == "r1.2", "it was interrupted, and runs anew"
    world.write(lambda tx: tx.jobs.update(replace(world.job(), disable_tasks="force")))
    world.look_at_job()
    assert world.job().state is JobState.COMPLETED
    assert [_told(row.release) for row in world.rows()] == [ENDED, ENDED]
    world.hear(exited(again), exited(second, 1))
    assert [_told(row.release) for row in world.rows()] == [ENDED, ENDED], "as it was told, so it stays"


def test_a_preparation_that_was_interrupted_is_no_reason_for_a_release() -> None:
    world = Prepared()
    world.add("a")
    (prep,) = world.look().starts
    world.set_node("n0", scheduling=SchedulingState.DISABLED)
    world.hear(exited(prep, reason="lost", exit_code=None))
    world.set_job(state=JobState.TERMINATING)
    assert world.look_at_job().starts == []
    assert world.job().state is JobState.COMPLETED


def _managed(world: World, **manager: Any) -> None:
    task = ManagerTask("boss", TaskSpec("run"), **manager)
    world.set_job(spec=replace(_spec(world), manager=task))
    world.add("boss", "a", "b")


def _spec(world: World) -> Any:
    job = world.store.read_now(lambda tx: tx.jobs.get(ACCOUNT, "j"))
    assert job is not None
    return job.spec


def test_a_manager_has_its_node_for_itself_and_its_end_is_the_jobs() -> None:
    world = World(nodes=2, slots=2)
    _managed(world)
    starts = world.look().starts
    where = {spec.env["AZ_BATCH_TASK_ID"]: spec.machine for spec in starts}
    assert where["a"] == where["b"] != where["boss"]
    world.hear(exited(starts[0]))
    job = world.set_job()
    assert (job.state, job.terminate_reason) == (JobState.TERMINATING, "JMComplete")


def test_a_requeued_manager_does_not_end_the_job_and_comes_first_again() -> None:
    world = World(nodes=1, slots=1)
    _managed(world, kill_job=True)
    (boss,) = world.look().starts
    reaction = world.hear(exited(boss, reason="lost"))
    assert [spec.name for spec in reaction.starts] == ["t1.2"]
    assert world.set_job().state is JobState.ACTIVE


def test_a_manager_may_ask_for_a_dedicated_node_and_others_do_not_wait_for_it() -> None:
    world = World(nodes=1, slots=3)
    world.set_node("n0", dedicated=False)
    _managed(world, low_priority=False)
    assert [spec.env["AZ_BATCH_TASK_ID"] for spec in world.look().starts] == ["a", "b"]
    row = replace(world.set_job(), id="o", spec=replace(_spec(world), manager=None))
    other = world.write(lambda tx: tx.jobs.insert(row))
    world.write(lambda tx: tx.tasks.insert_many(other.pk, [NewTask("x", TaskSpec("run"), b"{}")], 1))
    assert [spec.env["AZ_BATCH_TASK_ID"] for spec in world.look().starts] == ["x"]
    say = Explanations(world.kit)
    words = world.store.read_now(lambda tx: say.task(tx, ACCOUNT, "j", "boss"))
    assert words.code == "NeedsDedicatedNode"
