from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolwright.domain.clock import DAY
from poolwright.domain.limits import PRESSURE_MEMORY_MIB
from poolwright.domain.states import JobState, NodeState, TaskState
from poolwright.domain.task import NewTask, TaskSpec
from poolwright.engines.base import Capabilities, Machine
from poolwright.reconcile import collector, jobs
from poolwright.reconcile.agents import Agents, record_beat
from poolwright.reconcile.apply import Applier
from poolwright.reconcile.explanations import Explanations
from poolwright.reconcile.jobs import JobWork
from poolwright.reconcile.kit import Delivery
from tests.unit.decide.parts import NOW, node
from tests.unit.reconcile.world import World, exited


def look(world: World) -> JobWork:
    return world.write(lambda tx: jobs.run(tx, world.kit, "acct", "j", world.clock.at))


@pytest.mark.parametrize(
    ("option", "after"), [("requeue", TaskState.ACTIVE), ("terminate", TaskState.COMPLETED)]
)
def test_disabling_ends_running_tasks_and_waits_for_their_death(option: str, after: TaskState) -> None:
    world = World(nodes=1)
    world.add("a", "b")
    (spec,) = world.look().starts
    world.set_job(state=JobState.DISABLING, disable_tasks=option)
    work = look(world)
    assert [(kill.name, kill.reason) for kill in work.kills] == [("t1.1", option)]
    assert world.set_job().state is JobState.DISABLING
    reaction = world.hear(exited(spec, reason=f"killed:{option}"))
    assert reaction.starts == [], "a job that is disabled starts nothing"
    look(world)
    assert (world.set_job().state, world.task("a").state) == (JobState.DISABLED, after)


def test_terminate_takes_the_place_of_a_requeue_under_way() -> None:
    world = World(nodes=1)
    world.add("a")
    world.look()
    world.set_job(state=JobState.DISABLING, disable_tasks="requeue")
    look(world)
    world.set_job(state=JobState.TERMINATING)
    look(world)
    assert world.task("a").state is TaskState.COMPLETED


def test_a_deleted_job_goes_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(nodes=0)
    world.add(*(f"t{n}" for n in range(5)))
    monkeypatch.setattr(jobs, "CHUNK", 2)
    world.set_job(state=JobState.DELETING)
    steps = 0
    while world.store.read_now(lambda tx: tx.jobs.get("acct", "j")) is not None:
        look(world)
        steps += 1
        assert steps < 10
    assert steps == 4


class Silent:
    """A fleet and engine that note what they are told."""

    name = "silent"

    def __init__(self) -> None:
        self.started: list[str] = []
        self.killed: list[str] = []
        self.acked: list[str] = []
        self.deleted: list[str] = []

    def send_start(self, items: Any, /) -> None:
        self.started += [item["exec"] for item in items]

    def send_kill(self, items: Any, /) -> None:
        self.killed += [item["exec"] for item in items]

    def send_uploads(self, uploads: Any, /) -> None:
        raise NotImplementedError

    def send_installs(self, installs: Any, /) -> None:
        raise NotImplementedError

    def ack(self, executions: Any, /) -> None:
        self.acked += executions

    async def capabilities(self) -> Capabilities:
        return Capabilities(usable=True)

    async def create(self, requests: Any) -> list[Any]:
        raise NotImplementedError

    async def machines(self) -> list[Machine]:
        return []

    async def delete(self, names: Any, *, keep_storage: bool = False) -> list[Any]:
        self.deleted += names
        return [None for _ in names]

    async def set_logins(self, *_: object) -> None:
        raise AssertionError("not asked in these tests")

    async def close(self) -> None:
        """Nothing to let go of."""


def listening(world: World) -> tuple[Agents, Silent]:
    silent = Silent()
    agents = Agents(world.store, world.kit)
    agents.connect(Applier(world.store, silent, silent, world.kit), lambda: None)
    return agents, silent


async def test_messages_that_gather_share_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(nodes=3)
    world.add("a", "b", "c")
    specs = world.look().starts
    agents, silent = listening(world)
    commits = 0
    real = world.store.write_now

    def counted(fn: Any) -> Any:
        nonlocal commits
        commits += 1
        return real(fn)

    monkeypatch.setattr(world.store, "write_now", counted)
    for spec in specs:
        agents.on_events([exited(spec)])
    await agents.drain()
    assert (commits, sorted(silent.acked), agents.idle) == (1, ["t1.1", "t2.1", "t3.1"], True)


async def test_a_greeting_deletes_machines_nobody_owns() -> None:
    world = World(nodes=0)
    agents, silent = listening(world)
    machine = {"name": "stray", "fence": 1, "kind": "node", "state": "running"}
    agents.on_events([{"nonsense": 1}])
    agents.on_hello({"machines": [machine, {**machine, "name": "build", "kind": "vm"}], "execs": []})
    await agents.drain()
    assert silent.deleted == ["stray"]


async def test_a_start_never_follows_the_kill_or_the_end_of_its_own_execution() -> None:
    world = World(nodes=2)
    world.add("a", "b")
    one, two = world.look().starts
    silent = Silent()
    applier = Applier(world.store, silent, silent, world.kit)
    applier.deliver(world.hear(exited(one)))
    world.kit.delivery.note_kill(two.name, NOW)
    applier.orders([one, two], [])
    assert silent.started == []


def test_delivery_is_bounded() -> None:
    delivery = Delivery()
    for start in range(0, 300_000, 1000):
        names = [f"t{n}.1" for n in range(start, start + 1000)]
        delivery.note(names, start)
        delivery.forget(names)
    assert not delivery.still_starts("t299999.1")
    assert delivery.still_starts("t1.1"), "long over: no pass is still about to start it"


def test_memory_pressure_preempts_one_low_priority_node() -> None:
    world = World(nodes=1)
    world.write(lambda tx: tx.nodes.insert_many([node("low", dedicated=False)]))
    chosen = world.write(lambda tx: record_beat(tx, "no memory", 0, NOW))
    assert chosen is not None
    assert world.node("low").state is NodeState.PREEMPTED
    assert world.write(lambda tx: record_beat(tx, "no memory", NOW, NOW + 1)) is None
    assert [life.node for life in world.look().evicts] == ["low"]


async def test_a_beat_touches_nodes_now_and_then() -> None:
    world = World(nodes=1)
    agents, _ = listening(world)
    world.clock.at += 60_000_000
    agents.on_beat({"memory_available_mib": PRESSURE_MEMORY_MIB * 4, "memory_total_mib": 4096})
    await agents.drain()
    assert world.node("n0").seen_at == world.clock.at


def test_the_collector_looks_both_ways() -> None:
    world = World(nodes=2)
    here = [Machine("mn0", 1, "node", "running"), Machine("stray", 1, "node", "running")]
    here.append(Machine("build", 1, "vm", "running"))
    later = NOW + 10
    _, orphans = world.write(lambda tx: collector.collect(tx, world.kit, here, later, later))
    assert orphans == ("stray",)
    assert (world.node("n0").state, world.node("n1").state) == (NodeState.IDLE, NodeState.UNUSABLE)


def test_a_machine_made_while_the_engine_listed_is_not_missed() -> None:
    world = World(nodes=1)
    world.write(lambda tx: collector.collect(tx, world.kit, [], NOW - 1, NOW + 10))
    assert world.node("n0").state is NodeState.IDLE


def test_explanations_follow_the_rows() -> None:
    world = World(nodes=1)
    world.add("a", "b")
    world.look()
    say = Explanations(world.kit)
    read = world.store.read_now
    assert read(lambda tx: say.task(tx, "acct", "j", "a")).code == "TaskRunning"
    assert read(lambda tx: say.task(tx, "acct", "j", "b")).code == "SlotsTaken"
    assert read(lambda tx: say.node(tx, "acct", "p", "n0")).code == "NodeFull"
    assert read(lambda tx: say.pool(tx, "acct", "p")).code == "PoolSteady"


def test_a_job_of_higher_priority_takes_the_place_of_one_that_allows_it() -> None:
    world = World(nodes=1)
    job = world.set_job()
    world.set_job(spec=replace(job.spec, preemptible=True))
    world.add("low")
    (low,) = world.look().starts
    urgent = replace(job, id="urgent", pk=0, spec=replace(job.spec, priority=9))
    other = world.write(lambda tx: tx.jobs.insert(urgent))
    world.write(lambda tx: tx.tasks.insert_many(other.pk, [NewTask("high", TaskSpec("run"), b"{}")], 1))
    assert [(kill.name, kill.reason) for kill in world.look().kills] == [(low.name, "requeue")]
    assert world.look().kills == []
    reaction = world.hear(exited(low, reason="killed:requeue", exit_code=None, signal=15))
    assert [spec.env["AZ_BATCH_TASK_ID"] for spec in reaction.starts] == ["high"]
    assert (world.task("low").state, world.task("low").requeue_count) == (TaskState.ACTIVE, 1)
    assert world.look().kills == [], "the lower one waits"


def test_a_task_of_180_days_does_not_run_and_one_that_runs_is_ended() -> None:
    world = World(nodes=1)
    world.add("runs", "waits")
    world.look()
    world.clock.at += 180 * DAY
    world.set_node("n0", seen_at=world.clock.at)
    world.add("young")
    (kill,) = world.look().kills
    assert kill.reason == "terminate"
    lost = {"t": "exec", "machine": "mn0", "fence": 1, "exec": kill.name, "state": "exited", "reason": "lost"}
    (start,) = world.hear(lost).starts
    assert start.env["AZ_BATCH_TASK_ID"] == "young"
    assert [world.task(id).state for id in ("runs", "waits")] == [TaskState.COMPLETED, TaskState.ACTIVE]
    say = Explanations(world.kit)
    words = world.store.read_now(lambda tx: say.task(tx, "acct", "j", "waits"))
    assert words.code == "TaskExpired"
