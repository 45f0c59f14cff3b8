"""When a schedule's next job may be made: a pure function of its timing, what it made already, and the time.

Due times lie on a grid: the first one, then one each `every`. Nothing is remembered of due times that passed, so a
service that was away, or a clock that was set, needs no repair: the newest due time that is still open counts, older
ones are lost, and no due time is ever served twice, because only those after the last job made count.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.clock import DAY, FOREVER, Instant
from poolwright.domain.job_schedule import JobSchedule

#: The last moment the wire can write; what is due later never is.
LATEST: Instant = 2_932_896 * DAY - 1  # 9999-12-31


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A job is due `at`, and may be made from then on and before `until`."""

    at: Instant
    until: Instant


def occurrence(schedule: JobSchedule, now: Instant) -> Occurrence | None:
    """What is due now, or else next; None when nothing ever will be."""
    timing = schedule.spec.timing
    last = LATEST if timing.not_after is None else min(timing.not_after, LATEST)
    if now > last:
        return None
    found = _single(schedule, now) if timing.every is None else _recurring(schedule, timing.every, now)
    if found is None or found.at > last:
        return None
    return Occurrence(found.at, min(found.until, last + 1))


def _first(schedule: JobSchedule) -> Instant:
    """The first due time; one that had passed when the schedule was added means at once."""
    return max(schedule.spec.timing.not_before or 0, schedule.created_at)


def _single(schedule: JobSchedule, now: Instant) -> Occurrence | None:
    if schedule.last_run_at is not None:
        return None
    window = schedule.spec.timing.window
    at = _first(schedule)
    until = FOREVER if window >= FOREVER else at + window
    return Occurrence(at, until) if now < until else None


def _recurring(schedule: JobSchedule, every: int, now: Instant) -> Occurrence:
    window, at, made = schedule.spec.timing.window, _first(schedule), schedule.last_run_at
    if made is not None and made >= at:
        at += ((made - at) // every + 1) * every
    if now >= at:
        at += (now - at) // every * every
    # A due time that was not used ends with the next one, so a window as long as the interval is an endless one.
    width = min(window, every)
    if now >= at + width:
        at += every
    return Occurrence(at, at + width)
