"""Which directories of tasks nobody can ask for any more."""

from __future__ import annotations

from dataclasses import replace

from poolwright.domain.clock import DAY
from poolwright.domain.states import JobState, TaskState
from poolwright.reconcile.files import Directory, over
from tests.unit.reconcile.test_job_nodes import Prepared
from tests.unit.reconcile.world import World, exited


def judged(world: World, *names: str, job: str = "j") -> tuple[list[str], bool]:
    node, found = world.node("n0"), [Directory(name, 1) for name in names]
    gone, waits = world.write(lambda tx: over(tx, node, job, found, world.clock.at))
    return [directory.name for directory in gone], waits


def test_directories_of_known_tasks_stay_and_others_go() -> None:
    world = World(nodes=1)
    world.add("a", "b")
    (spec,) = world.look().starts
    assert judged(world, "a", "b", "gone", "A") == (["gone", "A"], False), "directories differ by case"
    assert judged(world, "a", job="J") == (["a"], False)
    assert judged(world, "a", job="deleted") == (["a"], False)
    world.hear(exited(spec))
    assert judged(world, "a") == ([], False)


def test_a_directory_waits_while_a_deleted_task_may_still_run() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    world.write(lambda tx: tx.executions.order_kill([spec.name], "terminate"))
    world.write(lambda tx: tx.tasks.delete(world.task("a").pk))
    assert judged(world, "a") == ([], True)
    world.hear(exited(spec, reason="killed:terminate"))
    assert judged(world, "a") == (["a"], False)


def test_the_retention_time_counts_from_the_end() -> None:
    world = World(nodes=1)
    world.add("a", retention=7 * DAY)
    (spec,) = world.look().starts
    world.clock.at += 8 * DAY
    assert judged(world, "a") == ([], False), "it still runs"
    world.hear(exited(spec, end_us=world.clock.at))
    assert world.task("a").state is TaskState.COMPLETED
    world.clock.at += 7 * DAY - 1
    assert judged(world, "a") == ([], False)
    world.clock.at += 1
    assert judged(world, "a") == (["a"], False)


def test_directories_of_preparation_and_release_are_kept_from_the_end_of_the_job() -> None:
    world = Prepared()
    spec = world.job().spec
    assert spec.preparation is not None
    assert spec.release is not None
    kept = replace(
        spec,
        preparation=replace(spec.preparation, retention=2 * DAY),
        release=replace(spec.release, retention=DAY),
    )
    world.set_job(spec=kept)
    names = ("jobpreparation", "jobrelease")
    world.clock.at += 9 * DAY
    assert judged(world, *names) == ([], False), "the job has not ended"
    world.set_job(state=JobState.COMPLETED, ended_at=world.clock.at)
    world.clock.at += DAY
    assert judged(world, *names) == (["jobrelease"], False)
    world.clock.at += DAY
    assert judged(world, *names) == (["jobpreparation", "jobrelease"], False)
