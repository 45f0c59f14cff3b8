"""Each checker is shown a system that breaks its invariant, made by spoiling one real part on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from poolwright.decide import (
    explain_job,
    explain_task,
    job_life,
    node_troubles,
    placement,
    pool_size,
    task_life,
)
from poolwright.decide import schedule as schedule_rules
from poolwright.decide.job_nodes import Preparation
from poolwright.decide.task_life import End
from poolwright.domain import task_ends
from poolwright.domain.clock import MINUTE
from poolwright.domain.exits import ExitOptions
from poolwright.domain.facts import DirtyKey, Explanation
from poolwright.domain.job import TaskCounts
from poolwright.domain.node import Node
from poolwright.domain.occurrences import occurrence
from poolwright.domain.states import JobState, ScheduleState, TaskState
from poolwright.domain.task import Task
from poolwright.images.fake import FakeImagePlane
from poolwright.reconcile import confirm, endings, events, gangs, hello, job_nodes, jobs, placer, snapshots
from poolwright.reconcile import files as task_files
from poolwright.reconcile import schedules as schedule_loop
from poolwright.reconcile.fleet import ExecEvent, ExecSpec
from poolwright.reconcile.kit import Kit
from poolwright.sim import images, story
from poolwright.sim.story import Story, Violation
from poolwright.store import ready
from poolwright.store.tables import tasks as task_table
from poolwright.store.tables.auto_pools import AutoPoolTable

SEEDS = range(1, 41)
#: Short stories: what is broken on purpose shows early, or in another seed.
STEPS = 40


def caught(who: str) -> None:
    """Some story, watched by this checker alone, must end in its complaint."""
    for seed in SEEDS:
        told = Story(seed)
        told.checks = [check for check in told.checks if type(check).__name__ == who]
        try:
            told.run(STEPS)
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


def test_a_file_removed_under_running_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images.Plane, "delete", FakeImagePlane.delete)
    caught("ImagesStay")


def test_dependents_of_a_failed_task_set_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_table, "satisfies", lambda task: True)
    caught("DependenciesKept")


def test_exit_conditions_that_nobody_looks_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_ends, "options_of", lambda _: ExitOptions())
    caught("DependenciesKept")


def test_a_job_that_goes_on_after_a_failure_it_is_to_end_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_ends, "job_action", lambda _: "none")
    caught("ExitsObeyed")


def test_a_job_that_ends_for_a_task_that_succeeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_ends, "job_action", lambda _: task_ends.TERMINATE)
    caught("ExitsObeyed")


def test_a_wall_clock_that_nobody_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_life, "deadline", lambda _: None)
    caught("JobsEnd")


def test_a_job_that_ends_before_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    real = job_life._active
    monkeypatch.setattr(job_life, "_active", lambda snapshot: real(replace(snapshot, counts=TaskCounts())))
    caught("JobsEnd")


def test_more_tasks_at_a_time_than_a_job_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ready._of_job
    monkeypatch.setattr(ready, "_of_job", lambda db, pk, sizes, _, *rest: real(db, pk, sizes, -1, *rest))
    monkeypatch.setattr(placer.Placer, "_spare", lambda *_: 1000)
    caught("ParallelKept")


def test_a_task_that_begins_after_half_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kit, "expired_tasks", lambda *_: 0)
    caught("NoneTooOld")


def test_a_start_that_does_not_wait_for_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ExecSpec.as_json
    monkeypatch.setattr(ExecSpec, "as_json", lambda spec: real(replace(spec, resource_files=())))
    caught("FilesMoved")


def test_an_end_that_does_not_wait_for_its_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_life, "deliveries", lambda *_: ())
    caught("FilesMoved")


def test_a_task_that_does_not_wait_for_the_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placer, "prepared", lambda *_: Preparation.DONE)
    caught("PreparedFirst")


def test_a_job_that_does_not_wait_for_its_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    real = job_nodes.release

    def behind(tx: Any, kit: Any, job: Any, now: int, work: Any) -> bool:
        work.starts += real(tx, kit, job, now, 100)[0]
        return False

    monkeypatch.setattr(jobs, "_release", behind)
    caught("PreparedFirst")


def test_a_gang_whose_command_does_not_wait_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(tx: Any, kit: Any, pool: Any, job: Any, task: Any, node: Any) -> list[Any]:
        rows = tx.subtasks.of_task(task.pk)
        return [replace(gangs._given(kit, pool, job, task, rows, rows[0], node), continues=True)]

    monkeypatch.setattr(gangs, "primary", hasty)
    caught("GangsWhole")


def test_nodes_that_go_on_although_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_troubles, "put_aside", lambda *_: None)
    caught("DiskSpared")


def test_a_pool_that_grows_although_the_disk_is_low(monkeypatch: pytest.MonkeyPatch) -> None:
    real = snapshots.load

    def careless(*given: Any) -> Any:
        view = real(*given)
        return view and replace(view, snapshot=replace(view.snapshot, disk_low=None))

    monkeypatch.setattr(snapshots, "load", careless)
    caught("DiskSpared")


def test_a_wait_without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_task, "_tasks_hold", lambda _: Explanation("", ""))
    caught("WaitingExplained")


def test_a_job_without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(explain_job._TEXTS, JobState.COMPLETED, ("", "", ""))
    caught("WaitingExplained")


def test_a_task_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    real = endings.finish

    def forgetful(tx: Any, over: Any, now: int) -> None:
        real(tx, over, now)
        for execution, end in over:
            if end.reason == "lost":
                tx.tasks.delete(execution.task_pk)

    monkeypatch.setattr(endings, "finish", forgetful)
    caught("NoTaskLost")


async def _nothing(*_: Any) -> list[str]:
    return []


def _deaf(*_: Any) -> list[Any]:
    return []


@pytest.mark.parametrize(
    ("where", "what", "instead"),
    [
        (hello, "specs", _deaf),
        (events, "lose", lambda *_: None),
        (images, "collect", _nothing),
    ],
    ids=["starts are never repeated", "lost machines are not noticed", "files of removed images stay"],
)
def test_a_system_that_does_not_settle(
    monkeypatch: pytest.MonkeyPatch, where: Any, what: str, instead: Callable[..., Any]
) -> None:
    monkeypatch.setattr(where, what, instead)
    monkeypatch.setattr(story, "SETTLE_MAX", 40 * MINUTE)
    caught("settled")


def test_a_schedule_that_forgets_what_it_made(monkeypatch: pytest.MonkeyPatch) -> None:
    real = occurrence
    monkeypatch.setattr(
        schedule_rules, "occurrence", lambda schedule, now: real(replace(schedule, last_run_at=None), now)
    )
    caught("WindowsKept")


def test_a_loss_that_is_in_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    real = task_life._lost
    monkeypatch.setattr(
        task_life, "_lost", lambda task, end, now: replace(real(task, end, now), system_requeues=0)
    )
    caught("AttemptsCounted")


def test_a_retry_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    real = task_life.ended
    monkeypatch.setattr(task_life, "ended", lambda task, retries, end, now: real(task, retries + 1, end, now))
    caught("AttemptsCounted")


def test_a_preparation_before_every_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placer, "prepared", lambda *_: Preparation.NEEDED)
    caught("JobTasksInOrder")


def test_a_release_that_does_not_wait_for_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_life, "is_busy", lambda _: False)
    caught("JobTasksInOrder")


def test_data_that_is_given_up_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_retained", lambda *_: {})
    caught("DataRetained")


def test_files_that_are_removed_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_files, "_expired", lambda task, *_: task.state is TaskState.COMPLETED)
    caught("FilesRetained")


def test_a_pool_that_grows_beyond_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_size, "room_to_grow", lambda _s, _k, _have, wanted, *_: (wanted, None))
    caught("QuotasKept")


def test_a_schedule_that_does_not_wait_for_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    real = schedule_loop.load

    def blind(tx: Any, account: str, id: str, now: int) -> Any:
        found = real(tx, account, id, now)
        if found is None or found.schedule.state is not ScheduleState.ACTIVE:
            return found
        return replace(found, jobs=())

    monkeypatch.setattr(schedule_loop, "load", blind)
    caught("OneJobASchedule")


def test_a_pool_that_is_let_go_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AutoPoolTable, "holder", lambda *_: None)
    monkeypatch.setattr(jobs, "_let_go", lambda tx, job: None)
    real = jobs.run

    def hasty(tx: Any, kit: Any, account: str, id: str, now: int) -> Any:
        job = tx.jobs.get(account, id)
        if job is not None and job.spec.auto_pool is not None:
            tx.mark_dirty(DirtyKey("autopool", account, job.spec.pool))
        return real(tx, kit, account, id, now)

    monkeypatch.setattr(jobs, "run", hasty)
    caught("OnePoolAnOwner")
