"""Handlers of tasks."""

from __future__ import annotations

from poolwright.api.batch.answers import Answer, json_answer, written
from poolwright.api.batch.call import Call, check_read, collect, read_listing
from poolwright.commands import jobs, tasks
from poolwright.domain.errors import ServiceError
from poolwright.domain.job import Job
from poolwright.domain.task import NewTask, Task
from poolwright.store.base import Tx
from poolwright.wire import filters
from poolwright.wire.convert import task as convert
from poolwright.wire.convert.shared import Document
from poolwright.wire.convert.stats import show_task_stats
from poolwright.wire.convert.subtasks import show_subtasks
from poolwright.wire.odata import wants_stats
from poolwright.wire.versions import RETENTION_ENDS


async def create(call: Call) -> Answer:
    """POST /jobs/{jobId}/tasks."""
    new, job = convert.read_task(call.body), call.params["jobId"]
    new = convert.kept_for_ever(new) if call.version < RETENTION_ENDS else new
    task = await call.write(lambda tx: tasks.add(tx, call.context, call.account, job, new))
    address = call.links.task(job, task.id)
    return written(task.modified_at, address, address)


async def create_many(call: Call) -> Answer:
    """POST /jobs/{jobId}/addtaskcollection."""
    given, job = convert.read_tasks(call.body), call.params["jobId"]
    news = [new for _, new in given if isinstance(new, NewTask)]
    if call.version < RETENTION_ENDS:
        news = [convert.kept_for_ever(new) for new in news]
    added = iter(await call.write(lambda tx: tasks.add_many(tx, call.context, call.account, job, news)))
    outcomes = [new if isinstance(new, ServiceError) else next(added) for _, new in given]
    value = convert.show_added(given, outcomes, job, call.links, call.error_item)
    return json_answer({"odata.metadata": call.links.metadata("taskaddresult"), "value": value})


async def list_all(call: Call) -> Answer:
    """GET /jobs/{jobId}/tasks."""
    listing = read_listing(call, "task", filters.TASKS)

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        job = jobs.get(tx, call.account, call.params["jobId"])
        return collect(
            listing,
            lambda after, limit: tx.tasks.page(job.pk, after, limit),
            lambda task: task.id,
            lambda task: _show(call, task, job),
        )

    return call.page("tasks", *await call.read(query))


async def get(call: Call) -> Answer:
    """GET /jobs/{jobId}/tasks/{taskId}."""
    pre = call.preconditions

    def query(tx: Tx) -> tuple[Task, Job]:
        job = jobs.get(tx, call.account, call.params["jobId"])
        return tasks.get(tx, call.account, job.id, call.params["taskId"]), job

    task, job = await call.read(query)
    check_read(pre, task.modified_at)
    return call.entity("task", "tasks", _show(call, task, job), task.modified_at)


def _show(call: Call, task: Task, job: Job) -> Document:
    document = convert.show_task(task, job, call.links)
    if wants_stats(call.query):
        document["stats"] = show_task_stats(task, job, call.links, call.now)
    return document


async def subtasks(call: Call) -> Answer:
    """GET /jobs/{jobId}/tasks/{taskId}/subtasksinfo."""

    def query(tx: Tx) -> list[Document]:
        job = jobs.get(tx, call.account, call.params["jobId"])
        task = tasks.get(tx, call.account, job.id, call.params["taskId"])
        return show_subtasks(task, tx.subtasks.of_task(task.pk), job.id, call.links)

    value = await call.read(query)
    return json_answer({"odata.metadata": call.links.metadata("cloudtasklistsubtasksresult"), "value": value})


async def replace(call: Call) -> Answer:
    """PUT /jobs/{jobId}/tasks/{taskId}."""
    retries, wall_clock, retention = convert.read_task_change(call.body)
    pre, params = call.preconditions, call.params
    task = await call.write(
        lambda tx: tasks.replace_constraints(
            tx,
            call.context,
            call.account,
            params["jobId"],
            params["taskId"],
            retries,
            wall_clock,
            retention,
            pre,
        )
    )
    return written(task.modified_at, call.url)


async def delete(call: Call) -> Answer:
    """DELETE /jobs/{jobId}/tasks/{taskId}."""
    pre, params = call.preconditions, call.params
    await call.write(
        lambda tx: tasks.delete(tx, call.context, call.account, params["jobId"], params["taskId"], pre)
    )
    return Answer()


async def terminate(call: Call) -> Answer:
    """POST /jobs/{jobId}/tasks/{taskId}/terminate."""
    pre, params = call.preconditions, call.params
    task = await call.write(
        lambda tx: tasks.terminate(tx, call.context, call.account, params["jobId"], params["taskId"], pre)
    )
    return written(task.modified_at, call.url)


async def reactivate(call: Call) -> Answer:
    """POST /jobs/{jobId}/tasks/{taskId}/reactivate."""
    pre, params = call.preconditions, call.params
    task = await call.write(
        lambda tx: tasks.reactivate(tx, call.context, call.account, params["jobId"], params["taskId"], pre)
    )
    return written(task.modified_at, call.url)
