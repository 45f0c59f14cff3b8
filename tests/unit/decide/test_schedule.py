"""When a schedule makes jobs, and how it ends: the planner alone, at any time, after any delay."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.decide.schedule import ScheduleSnapshot, Step, plan
from poolwright.domain.clock import DAY, FOREVER, HOUR, MINUTE, SECOND
from poolwright.domain.job import Job
from poolwright.domain.job_schedule import JobSchedule, ScheduleSpec, Timing, job_id
from poolwright.domain.occurrences import LATEST, occurrence
from poolwright.domain.states import ScheduleState
from tests.unit.decide import parts

NOW = parts.NOW


def schedule(timing: Timing, **changes: object) -> JobSchedule:
    spec = ScheduleSpec(timing, parts.job().spec, b"{}")
    made = JobSchedule("acct", "s", spec, b"{}", ScheduleState.ACTIVE, NOW, NOW, NOW)
    return replace(made, **changes)  # type: ignore[arg-type]


class Life:
    """A schedule lived through: jobs are made as planned and end when told."""

    def __init__(self, timing: Timing) -> None:
        self.row = schedule(timing)
        self.open: Job | None = None
        self.made: list[tuple[int, int]] = []  # (due time, moment)

    def look(self, now: int) -> Step:
        jobs = () if self.open is None else (self.open,)
        planned = plan(ScheduleSnapshot(self.row, jobs, now))
        assert planned.why.message, "every plan says why"
        self.row = planned.schedule
        if planned.step is Step.MAKE:
            assert self.open is None, "two active jobs"
            due = occurrence(self.row, now)
            assert due is not None
            number = len(self.made) + 1
            self.made.append((due.at, now))
            self.open = replace(parts.job(), id=job_id("s", number))
            self.row = replace(self.row, jobs=number, last_run_at=now)
        return planned.step


spans = st.integers(MINUTE, 3 * DAY)
timings = st.builds(
    Timing,
    not_before=st.none() | st.integers(NOW - DAY, NOW + DAY),
    not_after=st.none() | st.integers(NOW + DAY + 1, NOW + 6 * DAY),
    window=spans | st.just(FOREVER),
    every=st.none() | spans,
)
#: (time that passes, whether the clock was set back instead, whether the open job ends)
events = st.lists(
    st.tuples(st.integers(0, DAY) | st.integers(0, 2 * MINUTE), st.booleans(), st.booleans()), max_size=40
)


@settings(deadline=None)
@given(timings, events, st.booleans())
def test_whatever_happens_no_due_time_is_served_twice_or_outside_its_window(
    timing: Timing, happening: list[tuple[int, bool, bool]], steady_clock: bool
) -> None:
    life, now, shown = Life(timing), NOW, 0
    first = max(timing.not_before or 0, NOW)
    for passes, back, ends in happening:
        now = max(NOW, now - passes) if back and not steady_clock else now + passes
        if ends:
            life.open = None
        due = occurrence(life.row, now)
        if due is not None and steady_clock:
            assert due.at >= shown, "the next run never moves back"
            shown = due.at
        life.look(now)
    for at, moment in life.made:
        assert first <= at <= moment < at + timing.window
        assert timing.not_after is None or moment <= timing.not_after
        if timing.every is None:
            assert at == first
        else:
            assert (at - first) % timing.every == 0
            assert moment < at + timing.every, "a due time ends with the next"
    due_times = [at for at, _ in life.made]
    assert due_times == sorted(set(due_times))
    if timing.every is None:
        assert len(due_times) <= 1


@settings(deadline=None)
@given(st.integers(MINUTE, HOUR), st.integers(1, 30), st.integers(0, HOUR))
def test_a_service_that_looks_often_serves_every_due_time(every: int, count: int, offset: int) -> None:
    life = Life(Timing(NOW + offset, None, every, every))
    for number in range(count):
        for moment in (NOW + offset + number * every - 1, NOW + offset + number * every):
            life.look(moment)
        life.open = None
    assert life.made == [(NOW + offset + n * every,) * 2 for n in range(count)]


@pytest.mark.parametrize("window", [5 * MINUTE, FOREVER])
def test_after_three_missed_windows_at_most_one_job_is_made(window: int) -> None:
    life = Life(Timing(None, None, window, 10 * MINUTE))
    assert life.look(NOW) is Step.MAKE
    life.open = None
    back = NOW + 32 * MINUTE  # the due times at 10, 20 and 30 minutes passed; the last may still be open
    assert life.look(back) is Step.MAKE
    life.open = None
    assert life.look(back + SECOND) is Step.NONE
    assert [at - NOW for at, _ in life.made] == [0, 30 * MINUTE]
    assert life.row.due_at == NOW + 40 * MINUTE

    late = Life(Timing(None, None, window, 10 * MINUTE))
    late.look(NOW)
    late.open = None
    step = late.look(NOW + 36 * MINUTE)
    assert step is (Step.NONE if window == 5 * MINUTE else Step.MAKE)


def test_a_job_that_still_runs_holds_the_next_until_the_window_is_over() -> None:
    life = Life(Timing(None, None, 2 * MINUTE, 10 * MINUTE))
    life.look(NOW)
    waiting = plan(ScheduleSnapshot(life.row, (parts.job(),), NOW + 11 * MINUTE))
    assert (waiting.step, waiting.why.code) == (Step.NONE, "PreviousJobRuns")
    lost = plan(ScheduleSnapshot(life.row, (parts.job(),), NOW + 13 * MINUTE))
    assert (lost.why.code, lost.schedule.due_at) == ("NextRunLater", NOW + 20 * MINUTE)
    assert dict(lost.why.evidence)["dueAt"] in lost.why.message


def test_a_schedule_of_one_job_completes_with_it() -> None:
    life = Life(Timing())
    assert life.look(NOW) is Step.MAKE
    life.look(NOW + SECOND)
    assert life.row.state is ScheduleState.ACTIVE
    life.open = None
    life.look(NOW + MINUTE)
    assert (life.row.state, life.row.ended_at, life.row.due_at) == (
        ScheduleState.COMPLETED,
        NOW + MINUTE,
        None,
    )


def test_a_job_that_could_not_be_made_in_its_window_is_never_made() -> None:
    life = Life(Timing(None, None, MINUTE, None))
    life.look(NOW + MINUTE)
    assert (life.made, life.row.state) == ([], ScheduleState.COMPLETED)


def test_do_not_run_after_ends_a_schedule_that_has_no_job() -> None:
    life = Life(Timing(None, NOW + 15 * MINUTE, FOREVER, 10 * MINUTE))
    for minute in (0, 10):
        life.look(NOW + minute * MINUTE)
        life.open = None
    life.look(NOW + 11 * MINUTE)
    assert (life.row.state, life.row.due_at) == (ScheduleState.ACTIVE, NOW + 15 * MINUTE + 1)
    life.open = parts.job()
    life.look(NOW + 16 * MINUTE)
    life.open = None
    life.look(NOW + 17 * MINUTE)
    assert life.row.ended_at == NOW + 17 * MINUTE, "it ends after its last job, not before"
    assert len(life.made) == 2


@pytest.mark.parametrize(
    ("state", "with_jobs", "without"),
    [
        (ScheduleState.TERMINATING, Step.TERMINATE_JOBS, Step.NONE),
        (ScheduleState.DELETING, Step.DELETE_JOBS, Step.DELETE),
        (ScheduleState.DISABLED, Step.NONE, Step.NONE),
        (ScheduleState.COMPLETED, Step.NONE, Step.NONE),
    ],
)
def test_other_states_make_no_jobs(state: ScheduleState, with_jobs: Step, without: Step) -> None:
    row = schedule(Timing(), state=state)
    assert plan(ScheduleSnapshot(row, (parts.job(),), NOW)).step is with_jobs
    ended = plan(ScheduleSnapshot(row, (), NOW))
    assert ended.step is without
    assert (ended.schedule.state is ScheduleState.COMPLETED) == (
        state in (ScheduleState.TERMINATING, ScheduleState.COMPLETED)
    )


def test_an_endless_interval_is_no_overflow() -> None:
    row = schedule(Timing(every=LATEST), last_run_at=NOW, jobs=1)
    assert occurrence(row, NOW + DAY) is None
