from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.decide.snapshot import ImageMissing, ImagePreparing
from poolwright.domain.clock import MINUTE
from poolwright.domain.node import Drain
from poolwright.domain.pool import Resize, StartTask
from poolwright.domain.states import (
    AllocationState,
    DeallocationOption,
    NodeState,
    PoolState,
    SchedulingState,
    TaskState,
)
from poolwright.engines.base import Machine, NoCapacity, NotFound, Outcome, QuotaExceeded, Rejected, Transient
from poolwright.reconcile import confirm, hello
from poolwright.reconcile.events import Reaction
from poolwright.reconcile.explanations import Explanations
from poolwright.reconcile.fleet import read_hello
from poolwright.reconcile.hello import Greeting
from poolwright.reconcile.images import DiskSet
from poolwright.reconcile.pools import PoolWork
from tests.unit.decide.parts import NOW
from tests.unit.reconcile.world import ACCOUNT, World, exited

RESIZING = AllocationState.RESIZING


def growing(count: int = 2, start: StartTask | None = None) -> World:
    world = World(nodes=0, start_task=start)
    world.set_pool(target_dedicated=count, allocation=RESIZING, resize=Resize(NOW, 900_000_000))
    return world


def answer(world: World, work: PoolWork, *outcomes: Outcome) -> Reaction:
    pairs = [(life, outcome) for (life, _), outcome in zip(work.creates, outcomes, strict=True)]
    return world.write(lambda tx: confirm.created(tx, world.kit, pairs, world.clock.at))


def made(work: PoolWork) -> list[Outcome]:
    return [Machine(r.name, r.fence, "node", "running", "10.0.0.2") for _, r in work.creates]


def test_rows_come_before_machines_and_ready_nodes_work_at_once() -> None:
    world = growing()
    world.add("a", "b", "c")
    work = world.look()
    assert [request.fence for _, request in work.creates] == [1, 1]
    assert world.states() == [NodeState.CREATING, NodeState.CREATING]
    reaction = answer(world, work, *made(work))
    assert [spec.name for spec in reaction.starts] == ["t1.1", "t2.1"]
    assert world.states() == [NodeState.RUNNING, NodeState.RUNNING]
    world.look()
    assert world.pool().allocation is AllocationState.STEADY


def test_a_node_keeps_the_version_it_was_created_with() -> None:
    world = growing(1)
    world.images.answer = one = DiskSet("/v1/os", image="v1")
    ((_, request),) = world.look().creates
    assert request.os_disk == "/v1/os"
    world.images.answer, world.images.older = DiskSet("/v2/os", image="v2"), {"v1": one}
    world.set_pool(target_dedicated=2)
    asked = {request.name: request.os_disk for _, request in world.look().creates}
    assert sorted(asked.values()) == ["/v1/os", "/v2/os"], "the second node is made from what is latest now"
    assert asked[request.name] == "/v1/os"
    world.images.answer, world.images.older = DiskSet("/v2/os", image="v2"), {}
    assert {request.os_disk for _, request in world.look().creates} == {"/v2/os"}, "its own version is gone"
    nodes = world.store.read_now(lambda tx: tx.nodes.of_pool(ACCOUNT, "p"))
    assert {node.image for node in nodes} == {"v2"}


def test_an_answer_for_an_earlier_life_is_dropped() -> None:
    world = growing(1)
    work = world.look()
    (node,) = world.store.read_now(lambda tx: tx.nodes.of_pool("acct", "p"))
    world.set_node(node.id, fence=2)
    answer(world, work, *made(work))
    assert world.states() == [NodeState.CREATING]


def test_no_room_ends_the_growth_with_its_error() -> None:
    for error, code in (
        (NoCapacity("full"), "AllocationFailed"),
        (Rejected("no such disk"), "AllocationFailed"),
        (QuotaExceeded("8 cores"), "AccountCoreQuotaReached"),
    ):
        world = growing(1)
        work = world.look()
        answer(world, work, error)
        assert [e.code for e in world.pool().resize_errors] == [code]
        removal = world.look()
        gone = [(life, NotFound(life.machine)) for life in removal.removes]
        world.write(lambda tx, gone=gone: confirm.removed(tx, gone, NOW))  # type: ignore[misc]
        world.look()
        assert (world.states(), world.pool().allocation) == ([], AllocationState.STEADY)


def test_an_unknown_outcome_is_asked_again_under_the_same_name() -> None:
    world = growing(1)
    first = world.look()
    answer(world, first, Transient("lost"))
    assert world.look().creates == []
    world.clock.at += 5_000_000
    assert [life for life, _ in world.look().creates] == [life for life, _ in first.creates]


def test_an_image_being_made_is_prepared_and_looked_for() -> None:
    world = growing(1)
    world.images.answer = ImagePreparing("installing")
    work = world.look()
    assert (work.creates, work.prepare is not None) == ([], True)
    assert work.wake_at is not None
    assert work.wake_at - NOW <= 1_000_000
    world.images.answer = ImageMissing("i", "gone")
    world.look()
    assert [e.code for e in world.pool().resize_errors] == ["AllocationFailed"]


def test_disks_that_cannot_be_looked_at_hold_up_growth_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(nodes=1)
    world.add("a")
    world.set_pool(target_dedicated=2, allocation=RESIZING, resize=Resize(NOW, 900_000_000))

    def fail(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "/cache/disks")

    monkeypatch.setattr(world.images, "disks_for", fail)
    work = world.look()
    assert ([spec.name for spec in work.starts], work.creates) == (["t1.1"], [])
    assert world.pool().allocation is RESIZING


def test_the_start_task_runs_once_per_life_and_its_end_opens_the_node() -> None:
    world = growing(1, StartTask("prepare", max_retries=1))
    world.add("a")
    work = world.look()
    (start,) = answer(world, work, *made(work)).starts
    assert (start.kind, start.directory) == ("start", "startup")
    assert "AZ_BATCH_TASK_ID" not in start.env
    world.kit.delivery.note([start.name], NOW)
    assert world.look().starts == []
    (again,) = world.hear(exited(start, 1)).starts
    assert again.name != start.name
    stale = world.hear(exited(start, 0))
    assert (stale.acks, world.states()) == ([start.name], [NodeState.WAITING_FOR_START_TASK])
    reaction = world.hear(exited(again, 0))
    assert [spec.name for spec in reaction.starts] == ["t1.1"]


def test_a_shrink_with_retained_data_keeps_the_node_that_has_some_from_its_first_pass_on() -> None:
    world = World(nodes=2)
    world.add("a", retention=10 * MINUTE)
    (spec,) = world.look().starts
    world.hear(exited(spec))
    resize = Resize(NOW, 15 * MINUTE, DeallocationOption.RETAINED_DATA)
    world.set_pool(target_dedicated=0, allocation=AllocationState.RESIZING, resize=resize)
    world.look()
    assert world.states() == [NodeState.IDLE, NodeState.LEAVING_POOL]
    world.clock.at += 11 * MINUTE
    world.write(lambda tx: tx.nodes.touch(["mn0"], world.clock.at))
    world.look()
    assert world.states() == [NodeState.LEAVING_POOL, NodeState.LEAVING_POOL]


def test_removal_needs_the_engines_word_that_nothing_is_left() -> None:
    world = World(nodes=1)
    world.add("a")
    world.look()
    world.set_node("n0", drain=Drain("remove", DeallocationOption.REQUEUE, NOW))
    work = world.look()
    assert world.task("a").state is TaskState.RUNNING, "its process may still run"
    world.write(lambda tx: confirm.removed(tx, [(work.removes[0], None)], NOW))
    assert world.states() == [NodeState.LEAVING_POOL]
    world.write(lambda tx: confirm.removed(tx, [(work.removes[0], NotFound("x"))], NOW))
    assert world.states() == []
    assert (world.task("a").state, world.task("a").requeue_count) == (TaskState.ACTIVE, 1)


def test_a_machine_that_cannot_be_removed_does_not_wake_its_pool() -> None:
    world = World(nodes=1)
    world.set_node("n0", drain=Drain("remove", DeallocationOption.REQUEUE, NOW))
    (life,) = world.look().removes
    world.store.woken()
    world.write(lambda tx: confirm.removed(tx, [(life, Transient("no agent"))], NOW))
    assert world.store.woken() == [], "the next look is for the engine's wait to time, or it would spin"
    words = world.store.read_now(lambda tx: Explanations(world.kit).node(tx, ACCOUNT, "p", "n0"))
    assert "could not be removed yet: no agent" in words.message


def test_a_reboot_gives_tasks_back_only_when_the_machine_has_stopped() -> None:
    world = World(nodes=1)
    world.add("a")
    world.look()
    world.set_node("n0", drain=Drain("reboot", DeallocationOption.REQUEUE, NOW))
    work = world.look()
    assert world.live() == ["t1.1"]
    assert world.write(lambda tx: confirm.stopped(tx, [(work.stops[0], Transient("?"))], NOW)) == set()
    assert world.live() == ["t1.1"]
    assert world.write(lambda tx: confirm.stopped(tx, [(work.stops[0], None)], NOW)) == {"mn0"}
    assert (world.live(), world.task("a").requeue_count) == ([], 1)
    reaction = answer(world, work, *made(work))
    assert [(s.name, s.fence) for s in reaction.starts] == [("t1.2", 2)]


def test_terminated_tasks_complete_at_once_and_free_their_slot_when_dead() -> None:
    world = World(nodes=1)
    world.add("a", "b")
    (spec,) = world.look().starts
    world.set_node(
        "n0", scheduling=SchedulingState.DISABLED, drain=Drain("offline", DeallocationOption.TERMINATE, NOW)
    )
    work = world.look()
    assert [(kill.name, kill.reason) for kill in work.kills] == [("t1.1", "terminate")]
    assert world.task("a").failure is not None
    assert world.live() == ["t1.1"]
    world.clock.at += 6_000_000
    assert [kill.name for kill in world.look().kills] == ["t1.1"], (
        "orders are repeated until the end is known"
    )
    world.hear(exited(spec, reason="killed:terminate"))
    world.look()
    assert (world.live(), world.states()) == ([], [NodeState.OFFLINE])


def greet(world: World, machines: list[str], execs: list[dict[str, object]]) -> Greeting:
    message = {
        "machines": [{"name": name, "fence": 1, "kind": "node", "state": "running"} for name in machines],
        "execs": execs,
    }
    world.clock.at += 1
    said = read_hello(message, world.clock.at)
    return world.write(lambda tx: hello.greet(tx, world.kit, said, world.clock.at, world.clock.at))


def test_a_greeting_reconciles_both_ways() -> None:
    world = World(nodes=3)
    world.add("known", "unsent", "lost")
    one, two, three = world.look().starts
    running = {"machine": one.machine, "fence": 1, "exec": one.name, "state": "running"}
    strange = {"machine": one.machine, "fence": 1, "exec": "t77.1", "state": "running"}
    greeting = greet(world, [one.machine, two.machine, "orphan"], [running, strange])
    assert greeting.orphans == ("orphan",)
    assert [kill.name for kill in greeting.reaction.kills] == ["t77.1"]
    assert [spec.name for spec in greeting.reaction.starts] == [two.name], (
        "it never arrived: the same name again"
    )
    assert (world.task("lost").state, world.task("lost").system_requeues) == (TaskState.ACTIVE, 1)
    lost = next(n for n in ("n0", "n1", "n2") if world.node(n).machine == three.machine)
    assert world.node(lost).state is NodeState.UNUSABLE


def test_a_greeting_does_not_doubt_what_began_after_it() -> None:
    world = World(nodes=1)
    said = read_hello({"machines": [], "execs": []}, NOW)
    world.set_node("n0", booted_at=NOW + 5)
    world.write(lambda tx: hello.greet(tx, world.kit, said, NOW, NOW + 10))
    assert world.states() == [NodeState.IDLE]


def test_an_unknown_execution_that_was_to_be_killed_is_over() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    world.write(lambda tx: tx.executions.order_kill([spec.name], "requeue"))
    greeting = greet(world, [spec.machine], [])
    assert (world.task("a").requeue_count, [s.name for s in greeting.reaction.starts]) == (1, ["t1.2"])


def test_a_deleted_pool_goes_when_its_nodes_have() -> None:
    world = World(nodes=1)
    world.set_pool(state=PoolState.DELETING)
    (life,) = world.look().removes
    world.write(lambda tx: confirm.removed(tx, [(life, NotFound("x"))], NOW))
    world.look()
    assert world.store.read_now(lambda tx: tx.pools.get("acct", "p")) is None


def test_job_environment_is_overridden_by_the_tasks_and_both_by_the_services() -> None:
    world = World(nodes=1)
    job = world.set_job()
    mine = (("A", "job"), ("B", "job"), ("AZ_BATCH_POOL_ID", "forged"))
    world.set_job(spec=replace(job.spec, environment=mine))
    world.add("a", environment=(("B", "task"), ("AZ_BATCH_TASK_ID", "forged")))
    (spec,) = world.look().starts
    assert (spec.env["A"], spec.env["B"]) == ("job", "task")
    assert (spec.env["AZ_BATCH_POOL_ID"], spec.env["AZ_BATCH_TASK_ID"]) == ("p", "a")
    assert spec.env["AZ_BATCH_TASK_WORKING_DIR"] == "/mnt/batch/tasks/workitems/j/job-1/a/wd"
    assert spec.env["AZ_BATCH_NODE_IS_DEDICATED"] == "true"
    assert spec.env["AZ_BATCH_ACCOUNT_URL"] == "https://acct"


def test_nothing_follows_from_what_a_silent_machine_did_not_say() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    world.write(lambda tx: tx.executions.order_kill([spec.name], "requeue"))
    machine = {"name": spec.machine, "fence": 1, "kind": "node", "state": "running", "silent": True}
    world.clock.at += 1
    said = read_hello({"machines": [machine], "execs": []}, world.clock.at)
    greeting = world.write(lambda tx: hello.greet(tx, world.kit, said, world.clock.at, world.clock.at))
    assert (greeting.reaction.starts, world.live()) == ([], [spec.name]), "it may be running there"
    assert world.task("a").state is TaskState.RUNNING


def test_a_start_that_meets_no_machine_costs_one_try_and_the_node_is_made_again() -> None:
    world = World(nodes=1)
    world.add("a")
    (spec,) = world.look().starts
    stale = {"t": "exec", "machine": spec.machine, "fence": 1, "exec": spec.name, "state": "failed"}
    reaction = world.hear({**stale, "code": "StaleFence", "message": "not here"})
    assert (reaction.acks, reaction.starts, world.live()) == ([spec.name], [], [])
    assert (world.task("a").state, world.task("a").system_requeues) == (TaskState.ACTIVE, 1)
    assert world.states() == [NodeState.UNUSABLE], "what is placed there would be refused again and again"
    assert [life.machine for life in world.look().stops] == [spec.machine]
