"""Multi-instance tasks, pass by pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolwright.domain.job_tasks import ManagerTask, PreparationTask
from poolwright.domain.limits import GANG_HOLD
from poolwright.domain.multi_instance import MultiInstance, Subtask
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.task import NewTask, TaskSpec
from poolwright.reconcile.explanations import Explanations
from poolwright.reconcile.fleet import ExecSpec
from poolwright.reconcile.pools import order_end
from poolwright.store.base import Tx
from tests.unit.decide import parts
from tests.unit.reconcile.world import ACCOUNT, World, exited


class Gangs(World):
    """Nodes that may talk to one another."""

    def __init__(self, nodes: int = 3, slots: int = 1, inter_node: bool = True) -> None:
        super().__init__(nodes, slots)
        self.set_pool(spec=replace(self.pool().spec, inter_node=inter_node))
        for index in range(nodes):
            self.set_node(f"n{index}", address=f"10.0.0.{index + 1}")

    def gang(self, id: str, instances: int, **spec: Any) -> None:
        self.add(id, multi=MultiInstance("coordinate", instances), **spec)

    def rows(self, pk: int = 1) -> list[Subtask]:
        return self.store.read_now(lambda tx: tx.subtasks.of_task(pk))

    def why(self, id: str) -> str:
        say = Explanations(self.kit)
        return self.store.read_now(lambda tx: say.task(tx, ACCOUNT, "j", id)).code


def coordinated(spec: ExecSpec) -> dict[str, Any]:
    """The report of a coordination command that exited with 0."""
    return {
        "t": "exec", "machine": spec.machine, "fence": spec.fence, "exec": spec.name, "state": "running",
        "ready_us": 5,
    }  # fmt: skip


def killed(machine: str, fence: int, name: str, reason: str) -> dict[str, Any]:
    return {
        "t": "exec", "machine": machine, "fence": fence, "exec": name, "state": "exited",
        "reason": f"killed:{reason}", "exit_code": 143,
    }  # fmt: skip


def test_coordination_on_all_nodes_then_the_command_on_one_then_all_slots_are_free() -> None:
    world = Gangs()
    world.gang("a", 3)
    starts = world.look().starts
    assert [(s.name, s.command, s.lingers) for s in starts] == [
        (f"g1.1.{i}", "coordinate", True) for i in range(3)
    ]
    hosts = [world.node(f"n{i}").address for i in range(3)]
    for index, spec in enumerate(starts):
        assert spec.env["AZ_BATCH_HOST_LIST"] == ",".join(map(str, hosts))
        assert spec.env["AZ_BATCH_NODE_LIST"] == ";".join(map(str, hosts))
        assert spec.env["AZ_BATCH_MASTER_NODE"] == f"{hosts[0]}:6000"
        assert spec.env["AZ_BATCH_IS_CURRENT_NODE_MASTER"] == ("false" if index else "true")
        assert spec.env["AZ_BATCH_TASK_SHARED_DIR"] == spec.env["AZ_BATCH_TASK_DIR"]
        assert spec.env["CCP_NODES"].split()[:2] == ["3", hosts[0]]
    assert world.task("a").state is TaskState.RUNNING
    assert not world.hear(coordinated(starts[0]), coordinated(starts[1])).starts
    assert not world.look().starts, "one coordination command is still under way"
    (primary,) = world.hear(coordinated(starts[2])).starts
    assert (primary.name, primary.machine, primary.command) == ("t1.1", starts[0].machine, "run")
    assert primary.as_json()["fresh"] is False, "the shared directory stays"
    world.hear(exited(primary))
    assert world.task("a").result is ExecutionResult.SUCCESS
    kills = world.look().kills
    assert sorted((kill.name, kill.reason) for kill in kills) == [(f"g1.1.{i}", "gang") for i in range(3)]
    world.add("next")
    assert len(world.look().starts) == 0, "no slot is free before the subtasks are dead"
    world.hear(*(killed(s.machine, s.fence, s.name, "gang") for s in starts))
    assert world.task("next").attempt == 1
    assert [(r.result, r.exit_code) for r in world.rows()] == [(ExecutionResult.SUCCESS, 0)] * 3
    assert sum(world.node(f"n{i}").tasks_run for i in range(3)) == 1


def test_a_failing_coordination_command_retries_the_whole_once_all_are_dead() -> None:
    world = Gangs()
    world.gang("a", 3)
    starts = world.look().starts
    world.hear(coordinated(starts[0]), exited(starts[1], 7))
    assert (world.task("a").state, world.task("a").retry_count) == (TaskState.ACTIVE, 1)
    work = world.look()
    assert sorted(kill.name for kill in work.kills) == ["g1.1.0", "g1.1.2", "t1.1"]
    assert not work.starts
    world.hear(*(killed(kill.machine, 1, kill.name, "gang") for kill in work.kills))
    again = world.look().starts
    assert [spec.name for spec in again] == ["g1.2.0", "g1.2.1", "g1.2.2"]
    world.hear(exited(again[1], 7), exited(again[2], 8))
    task = world.task("a")
    assert (task.state, task.exit_code, task.retry_count) == (TaskState.COMPLETED, 7, 1)
    assert task.failure is not None
    assert "subtask 1 on node n1" in task.failure.message


def test_a_lost_node_requeues_the_whole_gang() -> None:
    world = Gangs()
    world.gang("a", 2)
    starts = world.look().starts
    world.hear(*map(coordinated, starts))
    world.hear({"t": "machine", "name": starts[1].machine, "fence": 1, "state": "gone"})
    task = world.task("a")
    assert (task.state, task.system_requeues, task.retry_count) == (TaskState.ACTIVE, 1, 0)
    assert sorted(kill.name for kill in world.look().kills) == ["g1.1.0", "t1.1"]


def test_a_gang_waits_for_all_its_nodes_and_holds_free_ones_only_for_a_while() -> None:
    world = Gangs()
    world.add("small")
    (small,) = world.look().starts
    world.gang("a", 3)
    world.add("more")
    assert not world.look().starts, "free nodes are kept for the gang"
    assert world.why("a") == "WaitingForNodes"
    world.clock.at += GANG_HOLD
    world.write(lambda tx: tx.nodes.touch([f"mn{i}" for i in range(3)], world.clock.at))
    assert [spec.name for spec in world.look().starts if spec.name != small.name] == ["t3.1"]
    assert world.task("a").attempt == 0


def test_while_a_gang_stands_back_smaller_gangs_get_their_try() -> None:
    world = Gangs()
    world.add("small")
    world.look()
    world.gang("big", 3)
    world.gang("fits", 2)
    assert not world.look().starts
    world.clock.at += GANG_HOLD
    world.write(lambda tx: tx.nodes.touch([f"mn{i}" for i in range(3)], world.clock.at))
    world.look()
    assert (world.task("big").attempt, world.task("fits").attempt) == (0, 1)


def test_a_gang_whose_preparation_failed_everywhere_holds_nothing_back_from_other_gangs() -> None:
    world = Gangs(nodes=2)
    world.gang("barred", 2)
    job = world.set_job(spec=replace(world.set_job().spec, preparation=PreparationTask("prep"), priority=5))
    starts = world.look().starts
    world.hear(*(exited(spec, 1) for spec in starts))
    other = replace(job, id="o", pk=0, spec=replace(job.spec, preparation=None, priority=0))
    pk = world.write(lambda tx: tx.jobs.insert(other)).pk
    free = NewTask("free", TaskSpec("run", multi=MultiInstance("coordinate", 2)), b"{}")
    world.write(lambda tx: tx.tasks.insert_many(pk, [free], world.clock.at))
    assert [spec.name for spec in world.look().starts] == ["g2.1.0", "g2.1.1"]


def test_a_job_manager_gets_its_node_before_the_gangs_of_its_job() -> None:
    world = Gangs(nodes=2)
    world.set_job(spec=replace(world.set_job().spec, manager=ManagerTask("boss", TaskSpec("run"))))
    world.add("boss")
    world.gang("all", 2)
    assert [spec.name for spec in world.look().starts] == ["t1.1"]


@pytest.mark.parametrize(
    ("slots", "inter_node", "instances", "code"),
    [
        (2, True, 2, "NeedsOneSlotNodes"),
        (1, False, 2, "NeedsInterNodeCommunication"),
        (1, True, 9, "NeedsMoreNodes"),
    ],
)
def test_what_can_never_run_waits_with_a_reason_and_holds_nothing(
    slots: int, inter_node: bool, instances: int, code: str
) -> None:
    world = Gangs(3, slots, inter_node)
    world.gang("a", instances)
    world.add("b")
    assert [spec.name for spec in world.look().starts] == ["t2.1"]
    assert world.why("a") == code


def test_a_terminated_gang_is_killed_everywhere() -> None:
    world = Gangs()
    world.gang("a", 3)
    starts = world.look().starts
    world.write(lambda tx: _drain(tx, world))
    assert world.task("a").state is TaskState.COMPLETED
    assert {kill.name for kill in world.look().kills} == {"t1.1", *(spec.name for spec in starts)}


def _drain(tx: Tx, world: Gangs) -> None:
    machine = world.node("n1").machine
    order_end(tx, tx.executions.of_machine(machine), "terminate", world.clock.at)


def test_a_gang_counts_the_job_manager_that_was_placed_before_it() -> None:
    world = Gangs()
    manager = ManagerTask("boss", TaskSpec("run"), "{}", exclusive=False)
    world.set_job(spec=replace(parts.job(max_task_retries=1).spec, max_parallel_tasks=2, manager=manager))
    world.add("boss")
    for id in "abc":
        world.gang(id, 1)
    world.look()
    assert sum(world.task(id).state is TaskState.RUNNING for id in ("boss", *"abc")) == 2


def test_a_job_manager_that_finds_no_node_leaves_its_place_to_the_other_tasks_of_its_job() -> None:
    world = World(nodes=1)
    world.set_node("n0", dedicated=False)
    manager = ManagerTask("boss", TaskSpec("run"), "{}", low_priority=False)
    world.set_job(spec=replace(parts.job().spec, max_parallel_tasks=1, manager=manager))
    world.add("boss", "a", "b")
    world.look()
    assert [world.task(id).state for id in ("boss", "a")] == [TaskState.ACTIVE, TaskState.RUNNING]
