"""Which directories of tasks nobody can ask for any more."""

from __future__ import annotations

from dataclasses import replace

from poolwright.domain.clock import DAY
from poolwright.domain.job import FORCE
from poolwright.domain.multi_instance import MultiInstance
from poolwright.domain.states import JobState, TaskState
from poolwright.reconcile.files import Directory, over
from tests.unit.reconcile.test_gangs import Gangs, coordinated, killed
from tests.unit.reconcile.test_job_nodes import Prepared
from tests.unit.reconcile.world import ACCOUNT, World, exited


def judged(world: World, *names: str, job: str = "j", node: str = "n0") -> tuple[list[str], bool]:
    where, found = world.node(node), [Directory(name, 1) for name in names]
    gone, waits = world.write(lambda tx: over(tx, where, job, found, world.clock.at))
    return [directory.name for directory in gone], waits


def delete_by_force(world: Prepared) -> None:
    """The job goes with its tasks, in the three passes that this takes."""
    world.set_job(state=JobState.DELETING, disable_tasks=FORCE)
    for _ in range(3):
        world.look_at_job()
    assert world.store.read_now(lambda tx: tx.jobs.get(ACCOUNT, "j")) is None


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


def test_a_directory_waits_while_the_preparation_of_a_job_deleted_by_force_may_still_run() -> None:
    world = Prepared()
    world.add("a")
    (preparation,) = world.look().starts
    delete_by_force(world)
    for execution in set(world.live()) - {preparation.name}:
        world.hear(exited(preparation, exec=execution, reason="killed:terminate"))
    assert world.live() == [preparation.name], "the job did not wait for it"
    assert judged(world, "jobpreparation") == ([], True)
    world.hear(exited(preparation, reason="killed:terminate"))
    assert judged(world, "jobpreparation") == (["jobpreparation"], False)


def test_a_directory_of_an_ended_job_waits_while_a_deleted_one_of_the_same_id_may_still_run_in_it() -> None:
    world = Prepared()
    world.add("a")
    (preparation,) = world.look().starts
    again = replace(world.job(), state=JobState.COMPLETED, ended_at=world.clock.at)
    spec = again.spec.preparation
    assert spec is not None
    again = replace(again, spec=replace(again.spec, preparation=replace(spec, retention=0)))
    delete_by_force(world)
    world.write(lambda tx: tx.jobs.insert(again))
    assert judged(world, "jobpreparation") == ([], True)
    for execution in world.live():
        world.hear(exited(preparation, exec=execution, reason="killed:terminate"))
    assert judged(world, "jobpreparation") == (["jobpreparation"], False)


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


def test_subtasks_keep_their_retention_time_when_a_new_one_is_given() -> None:
    world = Gangs(2)
    world.gang("a", 2, retention=7 * DAY)
    starts = world.look().starts
    (primary,) = world.hear(*map(coordinated, starts)).starts
    world.hear(exited(primary))
    world.hear(*(killed(s.machine, s.fence, s.name, "gang") for s in starts))
    changed = world.task("a")
    multi = MultiInstance("coordinate", 2, retention=7 * DAY)
    changed = replace(changed, spec=replace(changed.spec, retention=0, multi=multi))
    world.write(lambda tx: tx.tasks.replace_spec(changed))
    world.clock.at += DAY
    assert judged(world, "a") == (["a"], False), "it is the primary's"
    assert judged(world, "a", node="n1") == ([], False)
    world.clock.at += 8 * DAY
    assert judged(world, "a", node="n1") == (["a"], False)


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
