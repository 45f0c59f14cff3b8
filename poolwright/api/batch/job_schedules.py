"""Handlers of job schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from poolwright.api.batch.answers import Answer, validators, written
from poolwright.api.batch.call import Call, check_read, collect, read_listing
from poolwright.api.batch.secrets import SECRETS
from poolwright.commands import schedules
from poolwright.commands.context import Context, Preconditions
from poolwright.domain.clock import Instant
from poolwright.domain.job_schedule import JobSchedule, ScheduleSpec
from poolwright.store.base import Tx
from poolwright.wire import filters
from poolwright.wire.convert import job as job_convert
from poolwright.wire.convert import job_schedule as convert
from poolwright.wire.convert.shared import Document
from poolwright.wire.convert.stats import show_schedule_stats
from poolwright.wire.odata import wants_stats

_Order = Callable[[Tx, Context, str, str, Preconditions], JobSchedule]


async def create(call: Call) -> Answer:
    """POST /jobschedules."""
    new = await asyncio.to_thread(convert.read_schedule, call.body, SECRETS, call.version)
    _check_rights(call, new.spec)
    made = await call.write(
        lambda tx: schedules.create(tx, call.context, call.account, new.id, new.spec, new.document)
    )
    address = call.links.job_schedule(made.id)
    return written(made.modified_at, address, address)


def _check_rights(call: Call, spec: ScheduleSpec) -> None:
    """Its jobs are made in the caller's name, and so are their pools."""
    call.also_needs("Batch/jobs/write")
    if spec.job.auto_pool is not None:
        call.also_needs("Batch/pools/write")


async def list_all(call: Call) -> Answer:
    """GET /jobschedules."""
    listing = read_listing(call, "jobschedule", filters.JOB_SCHEDULES)

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        return collect(
            listing,
            lambda after, limit: tx.schedules.page(call.account, after, limit),
            lambda schedule: schedule.id,
            lambda schedule: _show(tx, call, schedule),
        )

    return call.page("jobschedules", *await call.read(query))


async def list_jobs(call: Call) -> Answer:
    """GET /jobschedules/{jobScheduleId}/jobs."""
    listing = read_listing(call, "job", filters.JOBS_OF_SCHEDULE)

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        schedule = schedules.get(tx, call.account, call.params["jobScheduleId"])
        return collect(
            listing,
            lambda after, limit: tx.jobs.page_of_schedule(call.account, schedule.id, after, limit),
            lambda job: job.id,
            lambda job: job_convert.show_job(job, call.links),
        )

    return call.page("jobs", *await call.read(query))


def _show(tx: Tx, call: Call, schedule: JobSchedule) -> Document:
    document = convert.show_schedule(schedule, call.now, call.links)
    if wants_stats(call.query):
        summed = tx.schedules.stats(call.account, schedule.id)
        document["stats"] = show_schedule_stats(schedule, *summed, call.links)
    return document


async def get(call: Call) -> Answer:
    """GET /jobschedules/{jobScheduleId}."""
    pre = call.preconditions

    def query(tx: Tx) -> tuple[Document, Instant]:
        found = schedules.get(tx, call.account, call.params["jobScheduleId"])
        check_read(pre, found.modified_at)
        return _show(tx, call, found), found.modified_at

    document, modified_at = await call.read(query)
    return call.entity("jobschedule", "jobschedules", document, modified_at)


async def exists(call: Call) -> Answer:
    """HEAD /jobschedules/{jobScheduleId}."""
    pre = call.preconditions
    found = await call.read(lambda tx: schedules.get(tx, call.account, call.params["jobScheduleId"]))
    check_read(pre, found.modified_at)
    return Answer(headers=validators(found.modified_at))


async def patch(call: Call) -> Answer:
    """PATCH /jobschedules/{jobScheduleId}."""
    return await _change(
        call, await asyncio.to_thread(convert.read_schedule_patch, call.body, SECRETS, call.version)
    )


async def replace(call: Call) -> Answer:
    """PUT /jobschedules/{jobScheduleId}."""
    return await _change(
        call, await asyncio.to_thread(convert.read_schedule_replacement, call.body, SECRETS, call.version)
    )


async def _change(call: Call, change: convert.Change) -> Answer:
    def checked(schedule: JobSchedule) -> tuple[ScheduleSpec, bytes]:
        spec, document = change(schedule)
        _check_rights(call, spec)
        return spec, document

    def order(tx: Tx, ctx: Context, account: str, schedule: str, pre: Preconditions) -> JobSchedule:
        return schedules.change(tx, ctx, account, schedule, checked, pre)

    return await _order(call, order)


async def _order(call: Call, order: _Order) -> Answer:
    pre = call.preconditions
    changed = await call.write(
        lambda tx: order(tx, call.context, call.account, call.params["jobScheduleId"], pre)
    )
    return written(changed.modified_at, call.url)


async def disable(call: Call) -> Answer:
    """POST /jobschedules/{jobScheduleId}/disable."""
    return await _order(call, schedules.disable)


async def enable(call: Call) -> Answer:
    """POST /jobschedules/{jobScheduleId}/enable."""
    return await _order(call, schedules.enable)


async def terminate(call: Call) -> Answer:
    """POST /jobschedules/{jobScheduleId}/terminate."""
    return await _order(call, partial(schedules.terminate, force=call.query.flag("force")))


async def delete(call: Call) -> Answer:
    """DELETE /jobschedules/{jobScheduleId}."""
    await _order(call, partial(schedules.delete, force=call.query.flag("force")))
    return Answer()
