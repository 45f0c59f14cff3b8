"""Ids as numbers, ranges as blocks, and what waits for what, through the store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from poolwright.domain.dependencies import Dependencies, blocks, keys_of, merged, number_of
from poolwright.domain.exits import ExitConditions, ExitOptions
from poolwright.domain.job import Job
from poolwright.domain.states import ExecutionResult, JobState, TaskState
from poolwright.reconcile import jobs
from poolwright.reconcile.explanations import Explanations
from poolwright.reconcile.fleet import ExecSpec
from tests.unit.reconcile.world import ACCOUNT, World, exited


def test_an_id_is_a_number_only_if_it_is_one() -> None:
    known = {"3": 3, "0": 0, "004": 4, "2147483647": 2**31 - 1}
    assert {id: number_of(id) for id in known} == known
    for id in ("5flamingoes", "-3", "1_0", "", "2147483648", "\u0663"):
        assert number_of(id) is None, id


def test_ranges_that_touch_are_one() -> None:
    assert merged([(5, 9), (1, 4), (20, 30), (8, 12)]) == ((1, 12), (20, 30))


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_blocks_of_a_range_hold_just_its_numbers(first: int, length: int) -> None:
    found = blocks(first, first + length)
    assert len(found) <= 62
    for number in range(max(0, first - 3), first + length + 4):
        hits = sum((level, block) in found for level, block in enumerate(keys_of(number)))
        assert hits == (first <= number <= first + length)


def test_the_whole_line_of_numbers_is_few_blocks() -> None:
    assert blocks(0, 2**31 - 1) == [(31, 0)]
    assert len(blocks(1, 2**31 - 2)) == 60


def _world(nodes: int = 1, **spec: Any) -> World:
    world = World(nodes=nodes)
    world.set_job(spec=replace(_job(world).spec, uses_dependencies=True, max_task_retries=0, **spec))
    return world


def _job(world: World) -> Job:
    found = world.store.read_now(lambda tx: tx.jobs.get(ACCOUNT, "j"))
    assert found is not None
    return found


def _figures(world: World) -> tuple[int, int]:
    counts = world.store.read_now(lambda tx: tx.tasks.counts(world.job_pk))[0]
    figures = world.store.read_now(lambda tx: tx.samples.task_figures(ACCOUNT, "p"))
    assert figures.active == counts.active - counts.waiting
    return counts.active, counts.waiting


def _on(*ids: str, ranges: tuple[tuple[int, int], ...] = ()) -> Dependencies:
    return Dependencies(ids, ranges)


def _end(world: World, code: int = 0) -> list[str]:
    """End what the next pass starts; returns the ids of the tasks that follow on the freed slot."""
    (spec,) = world.look().starts
    return _end_one(world, spec, code)


def _end_one(world: World, spec: ExecSpec, code: int = 0) -> list[str]:
    starts = world.hear(exited(spec, code)).starts
    return [start.env["AZ_BATCH_TASK_ID"] for start in starts]


def test_a_task_starts_when_all_it_waits_for_is_done_in_the_same_transaction() -> None:
    world = _world(nodes=2)
    world.add("a", "b")
    world.add("child", depends_on=_on("A", "b"))
    assert _figures(world) == (3, 1)
    first, second = world.look().starts
    assert _end_one(world, first) == []
    assert world.task("child").unmet == 1
    assert _end_one(world, second) == ["child"]
    assert _figures(world) == (0, 0)


def test_a_range_waits_for_each_number_once_whatever_its_zeros() -> None:
    world = _world(nodes=4)
    world.add("1", "02", "2", "x3")
    world.add("child", depends_on=_on(ranges=((1, 2),)))
    one, zero_two, two, _ = world.look().starts
    assert _end_one(world, two) == []
    assert _end_one(world, zero_two) == [], "the same number again"
    assert _end_one(world, one) == ["child"]


def test_a_parent_may_come_later_and_a_done_one_stays_done() -> None:
    world = _world()
    world.add("child", depends_on=_on("late"))
    assert world.look().starts == []
    world.add("late")
    assert _end(world) == ["child"]
    world.write(lambda tx: tx.tasks.delete(world.task("late").pk))
    world.add("late")
    world.add("again", depends_on=_on("late", ranges=((7, 7),)))
    assert world.task("again").unmet == 1
    world.add("after", depends_on=_on("late"))
    assert world.task("after").unmet == 0


def test_a_failed_parent_blocks_until_it_is_reactivated_and_succeeds() -> None:
    world = _world()
    world.add("bad")
    world.add("child", depends_on=_on("bad"))
    assert _end(world, 1) == []
    say = Explanations(world.kit)
    words = world.store.read_now(lambda tx: say.task(tx, ACCOUNT, "j", "child"))
    assert (words.code, words.evidence) == ("BlockedByFailedTask", (("blockedBy", "bad: failed"),))
    again = replace(world.task("bad"), state=TaskState.ACTIVE, failure=None, result=None, exit_code=None)
    world.write(lambda tx: tx.tasks.update_many([again]))
    assert _end(world) == ["child"]


def test_exit_options_decide_whether_a_failure_satisfies_and_a_success_blocks() -> None:
    world = _world(nodes=2)
    fine = ExitConditions(codes=((3, ExitOptions(dependency_action="satisfy")),))
    strict = ExitConditions(codes=((0, ExitOptions(dependency_action="block")),))
    world.add("three", exit_conditions=fine)
    world.add("zero", exit_conditions=strict)
    world.add("x", depends_on=_on("three"))
    world.add("y", depends_on=_on("zero"))
    three, zero = world.look().starts
    assert _end_one(world, three, 3) == ["x"]
    _end_one(world, zero, 0)
    assert world.task("y").unmet == 1


def test_dependents_of_a_failed_task_are_ended_where_the_job_says_so() -> None:
    world = _world(cancel_dependents=True)
    world.add("7")
    world.add("a", depends_on=_on(ranges=((6, 8),)))
    world.add("b", depends_on=_on("a"))
    world.add("free", depends_on=_on("other"))
    _end(world, 1)
    assert [job.id for job in world.store.read_now(lambda tx: tx.jobs.due(world.clock.at))] == ["j"]
    for _ in range(3):
        world.write(lambda tx: jobs.run(tx, world.kit, ACCOUNT, "j", world.clock.at))
    for id in ("a", "b"):
        task = world.task(id)
        assert task.state is TaskState.COMPLETED
        assert task.failure is not None
        assert (task.failure.code, task.result) == ("DependencyFailed", ExecutionResult.FAILURE)
    assert world.task("free").state is TaskState.ACTIVE


def test_a_job_that_ends_when_idle_does_not_wait_for_blocked_tasks() -> None:
    world = _world(on_all_tasks_complete="terminatejobwhenidle")
    world.add("bad")
    world.add("child", depends_on=_on("bad"))

    def due() -> list[Job]:
        return world.store.read_now(lambda tx: tx.jobs.due(world.clock.at))

    assert due() == []
    _end(world, 1)
    assert [job.id for job in due()] == ["j"]
    world.write(lambda tx: jobs.run(tx, world.kit, ACCOUNT, "j", world.clock.at))
    job = _job(world)
    assert (job.state, job.terminate_reason) == (JobState.TERMINATING, "AllTasksComplete")


def test_a_deleted_job_leaves_nothing_of_its_dependencies() -> None:
    world = _world()
    world.add("1")
    world.add("child", depends_on=_on("1", "2", ranges=((1, 100),)))
    _end(world)
    job = world.set_job(state=JobState.DELETING)
    for _ in range(10):
        world.write(lambda tx: jobs.run(tx, world.kit, ACCOUNT, "j", world.clock.at))
    assert world.store.read_now(lambda tx: tx.jobs.by_pk(job.pk)) is None
    assert world.write(lambda tx: tx.tasks.delete_some(job.pk, 100)) == 0
