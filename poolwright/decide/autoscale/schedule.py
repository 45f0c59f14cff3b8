"""From counters to a situation, and from a run's outcome to the pool's next row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from poolwright.decide.autoscale.evaluation import Outcome, Situation
from poolwright.domain import pool_events
from poolwright.domain.autoscale import Sample, TaskFigures
from poolwright.domain.clock import HOUR, Instant, Micros
from poolwright.domain.facts import Fact
from poolwright.domain.limits import RESIZE_TIMEOUT_DEFAULT, SAMPLE_HISTORY, SAMPLE_LATENCY, SAMPLE_PERIOD
from poolwright.domain.pool import Pool, Resize
from poolwright.domain.states import ALLOCATION, SCHEDULABLE, AllocationState, NodeState, advance

NodeCounts = Mapping[tuple[NodeState, bool], int]
"""Nodes by (state, dedicated)."""
Between = Callable[[Instant, Instant], Sequence[Sample]]
"""Samples of one pool from a moment to another, both included, oldest first."""


def slot(now: Instant) -> Instant:
    """The moment a sample taken now stands for: samples of all pools lie on one grid of thirty seconds."""
    return now // SAMPLE_PERIOD * SAMPLE_PERIOD


def visible(now: Instant) -> tuple[Instant, Instant]:
    """The oldest and the newest moment whose samples a formula sees."""
    return now - SAMPLE_HISTORY, now - SAMPLE_LATENCY


def metrics(nodes: NodeCounts, tasks: TaskFigures) -> dict[str, float]:
    """What is sampled in a pool. Preempted nodes count as current, as in the public service."""

    def total(dedicated: bool | None = None, states: frozenset[NodeState] | None = None) -> float:
        found = (
            count
            for (state, is_dedicated), count in nodes.items()
            if dedicated in (None, is_dedicated) and (states is None or state in states)
        )
        return float(sum(found))

    return {
        "CurrentDedicatedNodes": total(True),
        "CurrentLowPriorityNodes": total(False),
        "PreemptedNodeCount": total(states=frozenset({NodeState.PREEMPTED})),
        "UsableNodeCount": total(states=SCHEDULABLE),
        "ActiveTasks": float(tasks.active),
        "RunningTasks": float(tasks.running),
        "PendingTasks": float(tasks.active + tasks.running),
        "SucceededTasks": float(tasks.succeeded),
        "FailedTasks": float(tasks.failed),
        "ActiveTaskSlots": float(tasks.active_slots),
        "RunningTaskSlots": float(tasks.running_slots),
        "PendingTaskSlots": float(tasks.active_slots + tasks.running_slots),
    }


def situation(pool: Pool, nodes: NodeCounts, between: Between, now: Instant) -> Situation:
    """What the pool's formula sees now; numbers of nodes are those of now, all else comes from samples. `between` reads
    the pool's samples: those of the last hour at once, the rest only when the formula looks back so far."""
    counted = metrics(nodes, TaskFigures(0, 0, 0, 0, 0, 0))
    current = {name: counted[name] for name in ("CurrentDedicatedNodes", "CurrentLowPriorityNodes")}
    targets = (pool.target_dedicated, pool.target_low_priority)
    oldest, newest = visible(now)
    since = newest - HOUR
    return Situation(
        now,
        targets,
        current,
        pool.spec.slots_per_node,
        between(since, newest),
        since,
        lambda: between(oldest, newest),
    )


def next_due(due_at: Instant, interval: Micros, now: Instant) -> Instant:
    """The next run of the schedule after now; runs that were missed are not made up for."""
    return due_at + max(1, (now - due_at) // interval + 1) * interval


def settle(
    pool: Pool,
    outcome: Outcome,
    now: Instant,
    counts: pool_events.Counts,
    *,
    auto: bool,
    step_max: int | None = None,
) -> tuple[Pool, list[Fact]]:
    """The pool with the run noted, and resizing where the formula asks for another size. `auto`: it was made for a job
    or a schedule. `step_max`: nodes of each kind that one run may add; the rest comes with the runs to follow.

    Targets of a resize under way are replaced. The entity tag changes only with the targets.
    """
    assert pool.autoscale is not None
    run, scale = outcome.run, pool.autoscale
    asked, outcome = outcome.targets, _bounded(pool, outcome, step_max)
    due_at = next_due(scale.due_at, scale.interval, now) if scale.due_at <= now else scale.due_at
    settled = replace(pool, autoscale=replace(scale, run=run, due_at=due_at))
    subject = f"pool/{pool.id}"
    error = run.error
    why = None if error is None else " ".join(value for _, value in error.values)
    detail: dict[str, str | int | float | bool | None] = {
        "at": now,
        "formula": scale.formula,
        "results": run.results,
        "error": None if error is None else error.code,
        "reason": why,
    }
    if outcome.targets != asked:
        detail["bounded"] = f"{outcome.targets[0]},{outcome.targets[1]} of {asked[0]},{asked[1]}"
    facts = [Fact(now, "pool.autoscale", pool.account, subject, detail)]
    if error is not None or outcome.targets == (pool.target_dedicated, pool.target_low_priority):
        return settled, facts
    grows = sum(outcome.targets) > sum(pool_events.nodes(counts))
    resized = _retargeted(settled, outcome, grows, now)
    started = {"by": "autoscale", **pool_events.resize_started(resized, counts, auto)}
    return resized, [*facts, Fact(now, "pool.resize.start", pool.account, subject, started)]


def _bounded(pool: Pool, outcome: Outcome, step_max: int | None) -> Outcome:
    if step_max is None:
        return outcome
    dedicated = min(outcome.targets[0], pool.target_dedicated + step_max)
    return replace(outcome, targets=(dedicated, min(outcome.targets[1], pool.target_low_priority + step_max)))


def _retargeted(pool: Pool, outcome: Outcome, grows: bool, now: Instant) -> Pool:
    resizing = advance(f"pool {pool.id}", ALLOCATION, pool.allocation, AllocationState.RESIZING)
    return replace(
        pool,
        allocation=resizing,
        allocation_at=pool.allocation_at if pool.allocation is resizing else now,
        modified_at=max(now, pool.modified_at + 1),
        target_dedicated=outcome.targets[0],
        target_low_priority=outcome.targets[1],
        resize=Resize(
            now,
            RESIZE_TIMEOUT_DEFAULT,
            outcome.option,
            pool.resize.number + 1,
            pool.resize.remove,
            grows=grows,
        ),
        resize_errors=(),
    )
