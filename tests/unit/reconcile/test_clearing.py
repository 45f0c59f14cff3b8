"""Room that is made for a task of higher priority is kept for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from poolwright.domain.task import NewTask, TaskSpec
from tests.unit.reconcile.world import World, exited


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
    ended: dict[str, Any] = {"reason": "killed:requeue", "exit_code": None, "signal": 15}
    assert world.hear(exited(first, **ended)).starts == [], "the second one has not ended yet"
    assert world.look().starts == []
    starts = world.hear(exited(second, **ended)).starts
    assert [spec.env["AZ_BATCH_TASK_ID"] for spec in starts] == ["high"]
