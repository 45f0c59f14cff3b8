"""Jobs: each rule once, and no trace of what was refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from poolwright.commands import jobs, tasks
from poolwright.commands.context import Preconditions
from poolwright.domain.job import Job, JobSpec, TaskCounts
from poolwright.domain.states import JobState
from tests.unit.commands.conftest import START, A, World
from tests.unit.commands.values import ANY, JOB, new_task


def _in(world: World, state: JobState, id: str = "J1", spec: JobSpec = JOB) -> Job:
    """A job in this state."""
    job = world.do(jobs.create, id, spec, b"{}")
    return world.write(lambda tx: tx.jobs.update(replace(job, state=state)))


def _keep(job: Job) -> tuple[JobSpec, bytes]:
    return job.spec, job.document


def test_create(world: World) -> None:
    spec = JobSpec("P1", priority=5, on_all_tasks_complete="terminatejob")
    job = world.do(jobs.create, "J1", spec, b"doc")
    assert world.read(lambda tx: jobs.get(tx, A, "j1")) == job
    assert (job.state, job.started_at, job.document) == (JobState.ACTIVE, START, b"doc")
    assert world.kinds("job/j1") == ["job.create"]
    assert world.woken() == {("job", "j1"), ("pool", "p1")}
    world.refused("JobExists", jobs.create, "j1", JOB, b"")


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"priority": 1001}, "OutOfRangePriority", "priority"),
        ({"priority": -1001}, "OutOfRangePriority", "priority"),
        ({"max_parallel_tasks": 0}, "InvalidPropertyValue", "maxParallelTasks"),
        ({"max_parallel_tasks": -2}, "InvalidPropertyValue", "maxParallelTasks"),
        ({"max_task_retries": -2}, "InvalidPropertyValue", "constraints.maxTaskRetryCount"),
        ({"max_wall_clock": 0}, "InvalidPropertyValue", "constraints.maxWallClockTime"),
        ({"on_all_tasks_complete": "explode"}, "InvalidPropertyValue", "onAllTasksComplete"),
        ({"pool": "a b"}, "InvalidPropertyValue", "id"),
    ],
)
def test_specs_that_are_refused(world: World, changes: dict[str, object], code: str, named: str) -> None:
    spec = replace(JOB, **changes)  # type: ignore[arg-type]
    error = world.refused(code, jobs.create, "J1", spec, b"")
    assert dict(error.values)["PropertyName"] == named
    _in(world, JobState.DISABLED, "J2")
    world.refused(code, jobs.patch, "J2", lambda job: (spec, b""), ANY)


def test_the_ends_of_ranges_are_taken(world: World) -> None:
    for number, priority in enumerate((-1000, 1000)):
        spec = replace(JOB, priority=priority, max_parallel_tasks=1, max_task_retries=-1, max_wall_clock=1)
        assert world.do(jobs.create, f"J{number}", spec, b"").spec == spec


def test_creations_that_are_refused(world: World) -> None:
    world.refused("InvalidPropertyValue", jobs.create, "a b", JOB, b"")
    _in(world, JobState.DELETING)
    world.refused("JobBeingDeleted", jobs.create, "j1", JOB, b"")
    world.write(lambda tx: tx.accounts.delete(A))
    world.refused("ResourceNotFound", jobs.create, "J2", JOB, b"")


def test_the_quota_counts_what_has_not_completed(world: World) -> None:
    world.limit(active_jobs=2)
    _in(world, JobState.COMPLETED, "done")
    _in(world, JobState.DISABLED, "off")
    _in(world, JobState.ACTIVE, "on")
    world.refused("ActiveJobAndScheduleQuotaReached", jobs.create, "more", JOB, b"")


def test_patch_and_replace(world: World) -> None:
    job = _in(world, JobState.ACTIVE)
    world.woken()
    spec = replace(JOB, priority=7)
    after = world.do(jobs.patch, "J1", lambda job: (spec, b"new"), ANY)
    assert (after.spec, after.document) == (spec, b"new")
    assert after.modified_at > job.modified_at
    assert world.woken() == {("job", "j1"), ("pool", "p1")}
    world.do(jobs.replace, "J1", lambda job: (JOB, b""), ANY)
    assert world.kinds("job/J1") == ["job.create", "job.patch", "job.replace"]
    world.refused("ConditionNotMet", jobs.patch, "J1", _keep, Preconditions(if_match="0x1"))
    world.refused("JobNotFound", jobs.patch, "J9", _keep, ANY)


def test_a_job_changes_its_pool_only_while_disabled(world: World) -> None:
    _in(world, JobState.ACTIVE)
    _in(world, JobState.DISABLED, "J2")
    elsewhere = replace(JOB, pool="P2")
    world.refused("OperationInvalidForCurrentState", jobs.patch, "J1", lambda job: (elsewhere, b""), ANY)
    assert world.do(jobs.patch, "J2", lambda job: (elsewhere, b""), ANY).spec.pool == "P2"


def test_the_ending_cannot_be_taken_back(world: World) -> None:
    ending = replace(JOB, on_all_tasks_complete="terminatejob")
    _in(world, JobState.ACTIVE)
    world.do(jobs.patch, "J1", lambda job: (ending, b""), ANY)
    error = world.refused("InvalidPropertyValue", jobs.replace, "J1", lambda job: (JOB, b""), ANY)
    assert dict(error.values)["PropertyName"] == "onAllTasksComplete"


S = JobState
_MOVES: dict[str, tuple[Callable[..., Job], list[Any]]] = {
    "patch": (jobs.patch, [_keep, ANY]),
    "disable": (jobs.disable, ["requeue", ANY]),
    "enable": (jobs.enable, [ANY]),
    "terminate": (jobs.terminate, [None, ANY]),
    "delete": (jobs.delete, [ANY]),
}
_ENDED = {S.TERMINATING: "JobBeingTerminated", S.COMPLETED: "JobCompleted", S.DELETING: "JobBeingDeleted"}
_OUTCOMES: dict[tuple[str, JobState], JobState | str] = {
    **{("patch", state): _ENDED.get(state, state) for state in S},
    **{("disable", state): _ENDED.get(state, S.DISABLING) for state in S},
    ("disable", S.DISABLED): "JobDisabled",
    ("disable", S.DISABLING): "JobDisabled",
    **{("enable", state): _ENDED.get(state, "OperationInvalidForCurrentState") for state in S},
    ("enable", S.DISABLED): S.ENABLING,
    ("enable", S.DISABLING): S.ENABLING,
    **{("terminate", state): _ENDED.get(state, S.TERMINATING) for state in S},
    **{("delete", state): S.DELETING for state in S},
    ("delete", S.DELETING): "JobBeingDeleted",
}


@pytest.mark.parametrize(("verb", "state"), sorted(_OUTCOMES))
def test_every_verb_in_every_state(world: World, verb: str, state: JobState) -> None:
    before = _in(world, state)
    world.woken()
    command, arguments = _MOVES[verb]
    outcome = _OUTCOMES[verb, state]
    if not isinstance(outcome, JobState):
        assert world.refused(outcome, command, "J1", *arguments).status == 409
        return
    after = world.do(command, "J1", *arguments)
    assert after == world.read(lambda tx: jobs.get(tx, A, "J1"))
    assert after.state is outcome
    assert after.modified_at > before.modified_at
    if outcome is not state:
        assert (after.previous_state, after.previous_at) == (state, before.state_at)
    assert world.kinds("job/J1")[-1] == f"job.{verb}"
    assert ("job", "j1") in world.woken()


def test_options_and_reasons(world: World) -> None:
    _in(world, JobState.ACTIVE)
    world.refused("InvalidPropertyValue", jobs.disable, "J1", "explode", ANY)
    assert world.do(jobs.disable, "J1", "wait", ANY).disable_tasks == "wait"
    assert world.do(jobs.enable, "J1", ANY).disable_tasks is None
    assert world.do(jobs.terminate, "J1", None, ANY).terminate_reason == "UserTerminate"
    _in(world, JobState.ACTIVE, "J2")
    assert world.do(jobs.terminate, "J2", "enough", ANY).terminate_reason == "enough"
    world.refused("JobNotFound", jobs.delete, "J9", ANY)


@pytest.mark.parametrize("verb", ["patch", "disable", "terminate", "delete"])
def test_conditions_come_before_states(world: World, verb: str) -> None:
    _in(world, JobState.DELETING)
    command, arguments = _MOVES[verb]
    world.refused("ConditionNotMet", command, "J1", *arguments[:-1], Preconditions(if_none_match="*"))


def test_counts(world: World) -> None:
    _in(world, JobState.ACTIVE)
    world.do(tasks.add_many, "J1", [new_task("a"), new_task("b", slots=3)])
    counts = world.read(lambda tx: jobs.counts(tx, A, "j1"))
    assert counts == (TaskCounts(active=2), TaskCounts(active=4))
    world.refused("JobNotFound", lambda tx, ctx, account: jobs.counts(tx, account, "J9"))
