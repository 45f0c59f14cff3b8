"""Each checker is shown a system that breaks its invariant, made by spoiling one real part on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from poolwright.decide import placement, task_life
from poolwright.decide.task_life import End
from poolwright.domain.clock import MINUTE
from poolwright.domain.node import Node
from poolwright.domain.task import Task
from poolwright.reconcile import confirm, endings, events, hello
from poolwright.reconcile.fleet import ExecEvent
from poolwright.sim import story
from poolwright.sim.story import Story, Violation

SEEDS = range(1, 13)


def caught(who: str) -> None:
    """Some story, watched by this checker alone, must end in its complaint."""
    for seed in SEEDS:
        told = Story(seed)
        told.checks = [check for check in told.checks if type(check).__name__ == who]
        try:
            told.run()
        except Violation as violation:
            if f": {who}:" in str(violation):
                return
    pytest.fail(f"{who} never complained")


def test_slots_over_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = placement.rooms

    def generous(nodes: Sequence[Node], used: Mapping[str, int], slots: int) -> list[placement.Room]:
        return real(nodes, {node: max(0, count - 1) for node, count in used.items()}, slots)

    monkeypatch.setattr(placement, "rooms", generous)
    caught("SlotsNotOverCommitted")


def test_a_running_task_taken_for_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    real = events.apply

    def impatient(tx: Any, kit: Any, items: Any, now: int) -> Any:
        lost = End(now, "lost")
        news = [replace(i, end=i.end or lost) if isinstance(i, ExecEvent) else i for i in items]
        return real(tx, kit, news, now)

    monkeypatch.setattr(events, "apply", impatient)
    caught("NotRunningTwice")


def test_a_row_deleted_before_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "NotFound", object)
    caught("MachinesHaveRows")


def test_a_success_nobody_had(monkeypatch: pytest.MonkeyPatch) -> None:
    real = task_life.ended

    def rosy(task: Task, retries: int, end: End, now: int) -> Task:
        return real(
            task, retries, replace(end, reason="exit", exit_code=0) if end.reason == "lost" else end, now
        )

    monkeypatch.setattr(task_life, "ended", rosy)
    caught("EndsOnce")


def test_a_task_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    real = endings.finish

    def forgetful(tx: Any, over: Any, now: int) -> None:
        real(tx, over, now)
        for execution, end in over:
            if end.reason == "lost":
                tx.tasks.delete(execution.task_pk)

    monkeypatch.setattr(endings, "finish", forgetful)
    caught("NoTaskLost")


def _deaf(*_: Any) -> list[Any]:
    return []


@pytest.mark.parametrize(
    ("where", "what", "instead"),
    [
        (hello, "specs", _deaf),
        (events, "lose", lambda *_: None),
    ],
    ids=["starts are never repeated", "lost machines are not noticed"],
)
def test_a_system_that_does_not_settle(
    monkeypatch: pytest.MonkeyPatch, where: Any, what: str, instead: Callable[..., Any]
) -> None:
    monkeypatch.setattr(where, what, instead)
    monkeypatch.setattr(story, "SETTLE_MAX", 40 * MINUTE)
    caught("settled")
