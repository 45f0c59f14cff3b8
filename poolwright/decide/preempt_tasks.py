"""Which running tasks make room for tasks that must not wait for them.

A job that allows it gives way to jobs of higher priority; a job manager that has run before gets a place again at
the cost of tasks of any job of the same or lower priority, whatever that allows. Whoever gives way is requeued.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from poolwright.domain.clock import Instant
from poolwright.domain.job import Job
from poolwright.domain.task import Task


@dataclass(frozen=True, slots=True)
class Waiting:
    """A ready task that found no room. `insists`: it may take the place of equals, whatever their jobs allow."""

    slots: int
    priority: int
    barred: frozenset[str] = frozenset()
    insists: bool = False


@dataclass(frozen=True, slots=True)
class Holder:
    """A live execution. `leaving` ones are to end already; `yields` is what its job allows."""

    name: str
    node: str
    slots: int
    priority: int
    yields: bool
    since: Instant
    leaving: bool = False
    manager: bool = False


def insists(task: Task, job: Job) -> bool:
    """Whether it is a job manager that has run before: others make room for it."""
    return task.attempt > 0 and job.spec.manages(task.id)


def victims(waiting: Iterable[Waiting], holders: Sequence[Holder], free: Mapping[str, int]) -> list[str]:
    """Executions to requeue, best choices first. `free` is the free slots of nodes that take tasks.

    Slots of executions that are to end already count as coming free, so that nobody is ended for room that is on its
    way. Of all nodes the one is taken where the least priority and the fewest, youngest tasks have to give way.
    """
    coming = dict(free)
    by_node: dict[str, list[Holder]] = {node: [] for node in free}
    for holder in holders:
        if holder.node not in by_node:
            continue
        if holder.leaving:
            coming[holder.node] += holder.slots
        else:
            by_node[holder.node].append(holder)
    chosen: list[str] = []
    for task in waiting:
        best: tuple[tuple[int, int, str], str, list[Holder]] | None = None
        for node, running in by_node.items():
            if node in task.barred:
                continue
            gone = _giving_way(task, running, task.slots - coming[node])
            if gone is not None:
                cost = (max((h.priority for h in gone), default=-(10**6)), len(gone), node)
                if best is None or cost < best[0]:
                    best = (cost, node, gone)
        if best is None:
            continue
        _, node, gone = best
        by_node[node] = [holder for holder in by_node[node] if holder not in gone]
        coming[node] += sum(holder.slots for holder in gone) - task.slots
        chosen += [holder.name for holder in gone]
    return chosen


def _giving_way(task: Waiting, running: Sequence[Holder], missing: int) -> list[Holder] | None:
    """Who has to go for `missing` slots on one node; None if that is not to be had."""
    gone: list[Holder] = []
    for holder in sorted(running, key=lambda h: (h.priority, -h.since, h.name)):
        if missing <= 0:
            break
        if _yields_to(holder, task):
            gone.append(holder)
            missing -= holder.slots
    return gone if missing <= 0 else None


def _yields_to(holder: Holder, task: Waiting) -> bool:
    if task.insists:
        return holder.priority <= task.priority and not holder.manager
    return holder.yields and holder.priority < task.priority
