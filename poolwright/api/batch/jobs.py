"""Handlers of jobs."""

from __future__ import annotations

import asyncio

from poolwright.api.batch.answers import Answer, json_answer, written
from poolwright.api.batch.call import Call, check_read, collect, read_listing
from poolwright.api.batch.secrets import SECRETS
from poolwright.commands import jobs
from poolwright.domain.errors import ServiceError
from poolwright.domain.job import Job
from poolwright.store.base import Tx
from poolwright.wire import filters
from poolwright.wire.convert import job as convert
from poolwright.wire.convert.job_tasks import show_job_node
from poolwright.wire.convert.shared import Document
from poolwright.wire.convert.stats import show_job_stats
from poolwright.wire.convert.task import show_counts
from poolwright.wire.odata import wants_stats
from poolwright.wire.versions import shape


async def create(call: Call) -> Answer:
    """POST /jobs."""
    new = await asyncio.to_thread(convert.read_job, call.body, SECRETS, call.version)
    if new.spec.auto_pool is not None:
        call.also_needs("Batch/pools/write")
    job = await call.write(
        lambda tx: jobs.create(tx, call.context, call.account, new.id, new.spec, new.document)
    )
    address = call.links.job(job.id)
    return written(job.modified_at, address, address)


async def list_all(call: Call) -> Answer:
    """GET /jobs."""
    listing = read_listing(call, "job", filters.JOBS)

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        return collect(
            listing,
            lambda after, limit: tx.jobs.page(call.account, after, limit),
            lambda job: job.id,
            lambda job: _show(tx, call, job),
        )

    return call.page("jobs", *await call.read(query))


async def get(call: Call) -> Answer:
    """GET /jobs/{jobId}."""
    pre = call.preconditions

    def query(tx: Tx) -> tuple[Job, Document]:
        job = jobs.get(tx, call.account, call.params["jobId"])
        return job, _show(tx, call, job)

    job, document = await call.read(query)
    check_read(pre, job.modified_at)
    return call.entity("job", "jobs", document, job.modified_at)


def _show(tx: Tx, call: Call, job: Job) -> Document:
    document = convert.show_job(job, call.links)
    if wants_stats(call.query):
        counts, _ = tx.tasks.counts(job.pk)
        document["stats"] = show_job_stats(job, counts, tx.tasks.stats(job.pk), call.links)
    return document


async def patch(call: Call) -> Answer:
    """PATCH /jobs/{jobId}."""
    change, pre = convert.read_job_patch(call.body), call.preconditions
    job = await call.write(
        lambda tx: jobs.patch(tx, call.context, call.account, call.params["jobId"], change, pre)
    )
    return written(job.modified_at, call.url)


async def replace(call: Call) -> Answer:
    """PUT /jobs/{jobId}."""
    change, pre = convert.read_job_replacement(call.body), call.preconditions
    job = await call.write(
        lambda tx: jobs.replace(tx, call.context, call.account, call.params["jobId"], change, pre)
    )
    return written(job.modified_at, call.url)


async def delete(call: Call) -> Answer:
    """DELETE /jobs/{jobId}."""
    force, pre = call.query.flag("force"), call.preconditions
    job = call.params["jobId"]
    await call.write(lambda tx: jobs.delete(tx, call.context, call.account, job, pre, force=force))
    return Answer()


async def disable(call: Call) -> Answer:
    """POST /jobs/{jobId}/disable."""
    running, pre = convert.read_disable(call.body), call.preconditions
    job = await call.write(
        lambda tx: jobs.disable(tx, call.context, call.account, call.params["jobId"], running, pre)
    )
    return written(job.modified_at, call.url)


async def enable(call: Call) -> Answer:
    """POST /jobs/{jobId}/enable."""
    pre = call.preconditions
    job = await call.write(lambda tx: jobs.enable(tx, call.context, call.account, call.params["jobId"], pre))
    return written(job.modified_at, call.url)


async def terminate(call: Call) -> Answer:
    """POST /jobs/{jobId}/terminate."""
    force = call.query.flag("force")
    reason, pre = convert.read_terminate(call.body), call.preconditions
    id = call.params["jobId"]
    job = await call.write(
        lambda tx: jobs.terminate(tx, call.context, call.account, id, reason, pre, force=force)
    )
    return written(job.modified_at, call.url)


async def task_counts(call: Call) -> Answer:
    """GET /jobs/{jobId}/taskcounts."""
    counts = await call.read(lambda tx: jobs.counts(tx, call.account, call.params["jobId"]))
    document = shape("taskcounts", show_counts(*counts), call.version)
    return json_answer({"odata.metadata": call.links.metadata("taskcountsresult/@Element"), **document})


async def preparation_and_release(call: Call) -> Answer:
    """GET /jobs/{jobId}/jobpreparationandreleasetaskstatus."""
    listing = read_listing(call, "jobpreparationandreleasetaskstatus", filters.JOB_NODES)

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        job = jobs.get(tx, call.account, call.params["jobId"])
        if job.spec.preparation is None:
            raise ServiceError("JobPreparationTaskNotSpecified")
        return collect(
            listing,
            lambda after, limit: tx.job_nodes.page(job.pk, int(after or 0), limit),
            lambda row: str(row.pk),
            lambda row: show_job_node(row, job, call.links),
        )

    return call.page("jobpreparationandreleasetaskstatuslist", *await call.read(query))
