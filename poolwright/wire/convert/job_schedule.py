"""Job schedules: bodies to domain values, stored schedules to answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from poolwright.domain.clock import FOREVER, Instant, etag
from poolwright.domain.errors import ServiceError, bad_property, within
from poolwright.domain.job import Job
from poolwright.domain.job_schedule import JobSchedule, ScheduleSpec, Timing
from poolwright.domain.occurrences import occurrence
from poolwright.domain.rules import check_id
from poolwright.domain.states import JobState, ScheduleState
from poolwright.wire.bodies import convert_body, decode_body, encode_document
from poolwright.wire.convert.auto_pool import Accounts, take_accounts
from poolwright.wire.convert.job import read_specification, show_job
from poolwright.wire.convert.shared import Document, check_display_name, check_metadata
from poolwright.wire.convert.user_account import Secrets
from poolwright.wire.durations import format_duration
from poolwright.wire.generated import batch_models as models
from poolwright.wire.links import Links
from poolwright.wire.times import iso, parse_time
from poolwright.wire.versions import NEWEST, ApiVersion

Change = Callable[[JobSchedule], tuple[ScheduleSpec, bytes]]

_JOB = "jobSpecification."
_SPECIFIED = frozenset(models.BatchJobSpecification.__struct_encode_fields__)


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """What a create-schedule body asks for."""

    id: str
    spec: ScheduleSpec
    document: bytes


def read_schedule(raw: bytes, secrets: Secrets, version: ApiVersion = NEWEST) -> NewSchedule:
    """The schedule of a create body; hashes the passwords of its auto pool's accounts. Raises ServiceError."""
    body = decode_body(raw, models.BatchJobScheduleCreateOptions)
    check_id("job schedule", body.id)
    accounts = take_accounts(body.job_specification.pool_info, secrets, version, _JOB)
    return NewSchedule(body.id, *_settle(body, accounts))


def read_schedule_patch(raw: bytes, secrets: Secrets, version: ApiVersion = NEWEST) -> Change:
    """A change by which the named parts are replaced whole and the others stay."""
    body = decode_body(raw, models.BatchJobScheduleUpdateOptions)
    accounts = None
    if body.job_specification is not None:
        accounts = take_accounts(body.job_specification.pool_info, secrets, version, _JOB)
    return _changing(_plain(body), (), accounts)


def read_schedule_replacement(raw: bytes, secrets: Secrets, version: ApiVersion = NEWEST) -> Change:
    """A change that replaces all parts: without times, one job at once."""
    body = decode_body(raw, models.BatchJobSchedule)
    accounts = take_accounts(body.job_specification.pool_info, secrets, version, _JOB)
    given = _plain(body)
    change: Document = {
        name: given[name] for name in ("schedule", "jobSpecification", "metadata") if name in given
    }
    return _changing({"schedule": {}, **change}, ("metadata",), accounts)


def _plain(body: msgspec.Struct) -> Document:
    given: Document = msgspec.json.decode(encode_document(body))
    return given


def _changing(change: Document, cleared: tuple[str, ...], accounts: Accounts | None) -> Change:
    """`accounts` are those of a new specification; None where the old one stays."""

    def apply(schedule: JobSchedule) -> tuple[ScheduleSpec, bytes]:
        document = msgspec.json.decode(schedule.document)
        kept = {name: value for name, value in document.items() if name not in cleared}
        whole = {**kept, **change, "id": schedule.id}
        auto = schedule.spec.job.auto_pool
        known = () if auto is None else auto.spec.accounts
        body = convert_body(whole, models.BatchJobScheduleCreateOptions)
        return _settle(body, known if accounts is None else accounts)

    return apply


def _settle(body: models.BatchJobScheduleCreateOptions, accounts: Accounts) -> tuple[ScheduleSpec, bytes]:
    """The specification and the canonical document of a whole schedule body."""
    check_metadata(body.metadata)
    try:
        job, job_document = read_specification(_plain(body.job_specification), accounts)
    except ServiceError as error:
        raise within(_JOB, error) from None
    spec = ScheduleSpec(
        timing=_read_timing(body.schedule),
        job=job,
        job_document=job_document,
        display_name=check_display_name(body.display_name),
    )
    return spec, encode_document(body)


def _read_timing(body: models.BatchJobScheduleConfiguration) -> Timing:
    window, every = body.start_window, body.recurrence_interval
    return Timing(
        not_before=_read_time("doNotRunUntil", body.do_not_run_until),
        not_after=_read_time("doNotRunAfter", body.do_not_run_after),
        window=FOREVER if window is None else window.micros,
        # The longest duration is how older clients say that there is none.
        every=None if every is None or every.micros >= FOREVER else every.micros,
    )


def _read_time(name: str, value: Any) -> Instant | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError("not a text")
        return parse_time(value)
    except (ValueError, OverflowError) as bad:
        raise bad_property(
            f"schedule.{name}", value, f"A time such as 2026-01-27T22:25:00Z: {bad}."
        ) from None


def show_schedule(schedule: JobSchedule, now: Instant, links: Links) -> Document:
    """A schedule as answered, without `odata.metadata`."""
    shown: Document = {"id": schedule.id}
    if schedule.spec.display_name is not None:
        shown["displayName"] = schedule.spec.display_name
    shown["url"] = links.job_schedule(schedule.id)
    shown["eTag"] = etag(schedule.modified_at)
    shown["lastModified"] = iso(schedule.modified_at)
    shown["creationTime"] = iso(schedule.created_at)
    shown["state"] = schedule.state.value
    shown["stateTransitionTime"] = iso(schedule.state_at)
    if schedule.previous_state is not None and schedule.previous_at is not None:
        shown["previousState"] = schedule.previous_state.value
        shown["previousStateTransitionTime"] = iso(schedule.previous_at)
    shown["schedule"] = _show_timing(schedule.spec.timing)
    shown["jobSpecification"] = _show_specification(schedule, links)
    shown["executionInfo"] = _show_execution(schedule, now, links)
    metadata = msgspec.json.decode(schedule.document).get("metadata")
    if metadata:
        shown["metadata"] = metadata
    return shown


def _show_timing(timing: Timing) -> Document:
    shown: Document = {}
    if timing.not_before is not None:
        shown["doNotRunUntil"] = iso(timing.not_before)
    if timing.not_after is not None:
        shown["doNotRunAfter"] = iso(timing.not_after)
    if timing.window < FOREVER:
        shown["startWindow"] = format_duration(timing.window)
    if timing.every is not None:
        shown["recurrenceInterval"] = format_duration(timing.every)
    return shown


def _show_specification(schedule: JobSchedule, links: Links) -> Document:
    """The part of a job that is specified, as its jobs show it."""
    at = schedule.created_at
    spec = schedule.spec
    job = Job(schedule.account, schedule.id, spec.job, spec.job_document, JobState.ACTIVE, at, at, at, at)
    return {name: value for name, value in show_job(job, links).items() if name in _SPECIFIED}


def _show_execution(schedule: JobSchedule, now: Instant, links: Links) -> Document:
    shown: Document = {}
    if schedule.state is ScheduleState.ACTIVE:
        due = occurrence(schedule, now)
        if due is not None:
            shown["nextRunTime"] = iso(due.at)
    if schedule.recent_job is not None:
        shown["recentJob"] = {"id": schedule.recent_job, "url": links.job(schedule.recent_job)}
    if schedule.ended_at is not None:
        shown["endTime"] = iso(schedule.ended_at)
    return shown
