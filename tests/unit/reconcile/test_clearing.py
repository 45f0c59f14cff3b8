"""Room that is made for a task of higher priority, or for a job manager, is kept for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolwright.domain.facts import Explanation
from poolwright.domain.job import Job
from poolwright.domain.job_tasks import ManagerTask
from poolwright.domain.states import SchedulingState
from poolwright.domain.task import NewTask, TaskSpec
from poolwright.reconcile.explanations import Explanations
from poolwright.reconcile.fleet import ExecSpec
from tests.unit.reconcile.world import ACCOUNT, World, exited

CLEARED: dict[str, Any] = {"reason": "killed:requeue", "exit_code": None, "signal": 15}


def test_what_ends_first_does_not_take_its_place_again_while_a_node_is_cleared() -> None:
    world = World(nodes=1, slots=2)
    job = world.set_job()
    world.set_job(spec=replace(job.spec, preemptible=True))
    world.add("low1", "low2")
    first, second = world.look().starts
    urgent = replace(job, id="urgent", pk=0, spec=replace(job.spec, priority=9))
    other = world.write(lambda tx: tx.jobs.insert(urgent))
    high = NewTask("high", TaskSpec("run", required_slots=2), b"{}")
    world.write(lambda tx: tx.tasks.insert_many(other.pk, [high], 1))
    assert {kill.name for kill in world.look().kills} == {first.name, second.name}
    assert world.hear(exited(first, **CLEARED)).starts == [], "the second one has not ended yet"
    assert world.look().starts == []
    starts = world.hear(exited(second, **CLEARED)).starts
    assert [spec.env["AZ_BATCH_TASK_ID"] for spec in starts] == ["high"]


def _clearing_for_a_manager() -> tuple[World, list[ExecSpec]]:
    """A job manager has lost its node, and the only other one is being cleared for it of two tasks of a job of the same
    priority, whose turn it would be. Returns these two."""
    world = World(nodes=2, slots=2)
    world.set_node("n0", scheduling=SchedulingState.DISABLED)
    job = world.set_job()
    yields = replace(job.spec, preemptible=True)
    _add(world, replace(job, id="other", pk=0, spec=yields), "x1", "x2", "x3")
    running = world.look().starts
    world.set_node("n0", scheduling=SchedulingState.ENABLED)
    world.set_job(spec=replace(job.spec, manager=ManagerTask("boss", TaskSpec("run"))))
    world.add("boss", "mine")
    (boss,) = world.look().starts
    world.set_node("n0", scheduling=SchedulingState.DISABLED)
    assert world.hear(exited(boss, reason="lost")).starts == []
    assert {kill.name for kill in world.look().kills} == {spec.name for spec in running}
    return world, running


def _add(world: World, job: Job, *ids: str) -> None:
    news = [NewTask(id, TaskSpec("run"), b"{}") for id in ids]
    world.write(lambda tx: tx.tasks.insert_many(tx.jobs.insert(job).pk, news, world.clock.at))


def _ids(starts: list[ExecSpec]) -> list[str]:
    return [spec.env["AZ_BATCH_TASK_ID"] for spec in starts]


def test_a_node_cleared_for_a_job_manager_goes_to_it_and_not_to_others_whose_turn_it_is() -> None:
    world, (first, second) = _clearing_for_a_manager()
    assert world.hear(exited(first, **CLEARED)).starts == []
    assert _ids(world.hear(exited(second, **CLEARED)).starts) == ["boss"]
    assert world.look().kills == []


def test_a_node_cleared_for_a_job_manager_goes_to_tasks_of_higher_priority_all_the_same() -> None:
    world, running = _clearing_for_a_manager()
    job = world.set_job()
    _add(world, replace(job, id="urgent", pk=0, spec=replace(job.spec, manager=None, priority=9)), "y1", "y2")
    started = world.hear(*(exited(spec, **CLEARED) for spec in running)).starts
    assert _ids(started) == ["y1", "y2"]
    assert world.look().kills == [], "the job manager waits for them"
    assert _ids(world.hear(*(exited(spec) for spec in started)).starts) == ["boss"]


def _full_of_others(priority: int) -> tuple[World, list[ExecSpec]]:
    """A job manager has lost its node; on the only other one run tasks of another job, which allows no preemption.
    Returns these."""
    world = World(nodes=2, slots=2)
    world.set_node("n0", scheduling=SchedulingState.DISABLED)
    job = world.set_job()
    _add(world, replace(job, id="other", pk=0, spec=replace(job.spec, priority=priority)), "x1", "x2", "x3")
    running = world.look().starts
    world.set_node("n0", scheduling=SchedulingState.ENABLED)
    world.set_job(spec=replace(job.spec, manager=ManagerTask("boss", TaskSpec("run"))))
    world.add("boss")
    (boss,) = world.look().starts
    world.set_node("n0", scheduling=SchedulingState.DISABLED)
    assert world.hear(exited(boss, reason="lost")).starts == []
    return world, running


def _words(world: World, task: str) -> Explanation:
    return world.store.read_now(lambda tx: Explanations(world.kit).task(tx, ACCOUNT, "j", task))


@pytest.mark.parametrize("priority", [0, -5])
def test_a_job_manager_clears_a_node_of_tasks_of_other_jobs_of_its_priority_or_less(priority: int) -> None:
    world, running = _full_of_others(priority)
    assert {kill.name for kill in world.look().kills} == {spec.name for spec in running}
    words = _words(world, "boss")
    assert (words.code, "same or lower" in words.message) == ("MakingRoom", True)
    first, second = running
    assert world.hear(exited(first, **CLEARED)).starts == []
    assert _ids(world.hear(exited(second, **CLEARED)).starts) == ["boss"]
    assert world.look().kills == []


def test_a_job_manager_waits_for_tasks_of_higher_priority_and_one_that_never_ran_for_all() -> None:
    world, _ = _full_of_others(5)
    assert world.look().kills == []
    world, _ = _full_of_others(0)
    world.write(lambda tx: tx.tasks.update_many([replace(world.task("boss"), attempt=0)]))
    assert world.look().kills == []
    assert _words(world, "boss").code == "SlotsTaken"
