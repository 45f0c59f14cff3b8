from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.decide.room import Room
from poolwright.domain.facts import DirtyKey
from poolwright.domain.node import Drain
from poolwright.domain.states import DeallocationOption, ExecutionResult, JobOrder, NodeState, TaskState
from poolwright.domain.task import NewTask, TaskSpec
from poolwright.domain.task_usage import TaskUsage
from poolwright.reconcile.fleet import Kill
from tests.unit.decide.parts import NOW, job
from tests.unit.reconcile.world import World, exited


def test_ready_tasks_are_placed_recorded_and_sent() -> None:
    world = World(nodes=2)
    world.add("a", "b", "c")
    work = world.look()
    assert [spec.name for spec in work.starts] == ["t1.1", "t2.1"]
    assert world.live() == ["t1.1", "t2.1"]
    assert [world.task(id).state for id in "abc"] == [TaskState.RUNNING, TaskState.RUNNING, TaskState.ACTIVE]
    assert world.states() == [NodeState.RUNNING, NodeState.RUNNING]
    assert world.look().starts == [], "what was sent is not sent again at once"


def test_one_transaction_ends_a_task_and_starts_the_next_on_its_slot() -> None:
    world = World(nodes=1)
    world.add("a", "b")
    (spec,) = world.look().starts
    reaction = world.hear(exited(spec))
    assert reaction.acks == ["t1.1"]
    assert [(s.name, s.machine) for s in reaction.starts] == [("t2.1", spec.machine)]
    assert world.task("a").result is ExecutionResult.SUCCESS
    assert world.task("b").state is TaskState.RUNNING
    assert world.live() == ["t2.1"]
    last = world.hear(exited(reaction.starts[0]))
    assert last.starts == []
    assert world.node("n0").state is NodeState.IDLE
    assert (world.node("n0").tasks_run, world.node("n0").tasks_succeeded) == (2, 2)


def test_a_repeated_end_changes_nothing_and_is_acknowledged_again() -> None:
    world = World(nodes=1)
    world.add("a", "b")
    (spec,) = world.look().starts
    world.hear(exited(spec), exited(spec))
    again = world.hear(exited(spec, 1))
    assert (again.acks, again.starts) == (["t1.1"], [])
    assert world.task("a").exit_code == 0
    assert world.node("n0").tasks_run == 1


def test_reports_of_another_life_or_machine_are_not_believed() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    for wrong in ({"fence": 2}, {"machine": "mn9"}):
        assert world.hear(exited(spec, **wrong)).acks == ["t1.1"]
    assert world.task("a").state is TaskState.RUNNING
    assert world.live() == ["t1.1"]


def test_an_execution_nobody_knows_is_killed() -> None:
    world = World(nodes=1)
    running = {"t": "exec", "machine": "mn0", "fence": 1, "exec": "t99.1", "state": "running"}
    assert world.hear(running).kills == [Kill("mn0", "t99.1", "unknown")]


def test_reports_out_of_form_are_left_out() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    broken = exited(spec)
    del broken["fence"]
    reaction = world.hear(broken, {"t": "exec"}, {"nonsense": 1}, exited(spec, state="melted"))
    assert (reaction.acks, world.live()) == ([], ["t1.1"])


def test_what_runs_used_is_summed_over_all_of_a_task_and_of_its_job() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    (again,) = world.hear(exited(spec, 1, usage=[10, 20, 3, 4, 500, 600])).starts
    assert world.task("a").used == TaskUsage(10, 20, 5, 3, 4, 500, 600)
    world.hear(exited(again, usage=[1, 2, 3, 4, 5, 6]), exited(again, usage=[9, 9, 9, 9, 9, 9]))
    whole = TaskUsage(11, 22, 10, 6, 8, 505, 606)
    assert world.task("a").used == whole, "each end counts once"
    assert world.store.read_now(lambda tx: tx.tasks.stats(world.job_pk)).used == whole


def test_what_a_terminated_task_used_counts_when_its_processes_are_dead() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    done = replace(world.task("a"), state=TaskState.COMPLETED, result=ExecutionResult.FAILURE, ended_at=NOW)
    world.write(lambda tx: tx.tasks.update_many([done]))
    assert world.task("a").used is None
    world.hear(exited(spec, reason="killed:terminate", usage=[1, 2, 3, 4, 5, 6]))
    assert world.task("a").used == TaskUsage(1, 2, 5, 3, 4, 5, 6)


@pytest.mark.parametrize("usage", [None, [1, 2], [1, 2, 3, 4, 5, "6"], [-1, 0, 0, 0, 0, 0], [1 << 60] * 6, 7])
def test_a_machine_that_tells_nonsense_of_its_use_is_not_believed(usage: object) -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    assert world.hear(exited(spec, usage=usage)).acks == ["t1.1"]
    assert world.task("a").used == TaskUsage(wall=5)


def test_a_retry_runs_again_as_a_new_attempt() -> None:
    world = World(nodes=1)
    world.add("a")
    (first,) = world.look().starts
    (second,) = world.hear(exited(first, 3)).starts
    assert second.name == "t1.2"
    world.hear(exited(second, 3))
    assert (world.task("a").result, world.task("a").retry_count) == (ExecutionResult.FAILURE, 1)


def test_a_drained_node_gets_no_more_tasks_and_its_pool_is_woken() -> None:
    world = World(nodes=1)
    world.add("a", "b")
    (spec,) = world.look().starts
    world.set_node("n0", drain=Drain("remove", DeallocationOption.TASK_COMPLETION, NOW))
    world.store.woken()
    assert world.hear(exited(spec)).starts == []
    assert DirtyKey("pool", "acct", "p") in world.store.woken()
    work = world.look()
    assert [life.node for life in work.removes] == ["n0"]


def test_a_machine_that_is_gone_gives_its_tasks_back() -> None:
    world = World(nodes=2)
    world.add("a")
    (spec,) = world.look().starts
    gone = {"t": "machine", "name": spec.machine, "fence": 1, "state": "gone", "detail": "crashed"}
    world.hear(gone)
    assert (world.task("a").state, world.task("a").system_requeues) == (TaskState.ACTIVE, 1)
    assert world.live() == []
    work = world.look()
    assert [(life.machine, life.fence) for life in work.stops] == [(spec.machine, 2)]
    assert [s.machine for s in work.starts] != [spec.machine]


def test_a_job_that_waits_for_its_tasks_is_woken_by_the_last_one() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    job = world.set_job()
    world.set_job(spec=replace(job.spec, on_all_tasks_complete="terminatejob"))
    world.store.woken()
    world.hear(exited(spec))
    assert DirtyKey("job", "acct", "j") in world.store.woken()


def test_max_parallel_tasks_and_large_tasks_are_respected() -> None:
    world = World(nodes=2, slots=2)
    job = world.set_job()
    world.set_job(spec=replace(job.spec, max_parallel_tasks=1))
    world.add("a", "b")
    assert len(world.look().starts) == 1
    world.set_job(spec=replace(job.spec, max_parallel_tasks=-1))
    world.add("big", required_slots=2)
    starts = world.look().starts
    assert {spec.name for spec in starts} == {"t2.1"} or {spec.name for spec in starts} == {"t2.1", "t3.1"}
    used = world.store.read_now(lambda tx: tx.executions.slots("acct", "p"))
    assert max(used.values()) <= 2


def test_a_reactivated_task_waits_for_its_former_execution() -> None:
    world = World(nodes=2)
    world.add("a")
    (spec,) = world.look().starts
    waiting = replace(world.task("a"), state=TaskState.ACTIVE)
    world.write(lambda tx: tx.tasks.update_many([waiting]))
    assert world.look().starts == []
    again = world.hear(exited(spec, reason="killed:terminate"))
    assert [s.name for s in again.starts] == ["t1.2"]


def test_silent_starts_are_sent_again_after_a_while() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    world.clock.at += 61_000_000
    world.write(lambda tx: tx.nodes.touch([spec.machine], world.clock.at))
    assert [s.name for s in world.look().starts] == [spec.name]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (JobOrder.NONE, ["t1.1", "t3.1", "t2.1", "t4.1"]),
        (JobOrder.CREATION_TIME, ["t1.1", "t2.1", "t3.1", "t4.1"]),
    ],
)
def test_jobs_of_equal_priority_share_one_slot_as_the_pool_says(order: JobOrder, expected: list[str]) -> None:
    world = World(nodes=1)
    world.set_pool(spec=replace(world.pool().spec, job_order=order))
    world.add("a0", "a1")
    second = world.write(lambda tx: tx.jobs.insert(job(id="second"))).pk
    news = [NewTask(id, TaskSpec("run"), b"{}") for id in ("b0", "b1")]
    world.write(lambda tx: tx.tasks.insert_many(second, news, NOW))
    starts, served = world.look().starts, []
    while starts:
        (spec,) = starts
        served.append(spec.name)
        starts = world.hear(exited(spec)).starts
    assert served == expected


def test_a_machine_that_comes_up_while_the_disk_is_full_takes_no_tasks() -> None:
    world = World(nodes=1)
    world.set_node("n0", state=NodeState.STARTING, booted_at=NOW)
    world.kit.room = lambda: Room("little is left", "nothing is left")
    world.add("a")
    up = {"t": "machine", "name": "mn0", "fence": 1, "state": "running", "address": "10.0.0.9"}
    assert world.hear(up).starts == []
    assert world.node("n0").state is NodeState.UNUSABLE
    assert [error.code for error in world.node("n0").errors] == ["DiskFull"]
