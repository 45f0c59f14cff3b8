"""Facts of tasks and of what runs beside them, as the diagnostic events of the public service tell them.

Their details are flat; wire/convert/event.py makes the documents. Times are instants in microseconds.
"""

from __future__ import annotations

from poolwright.domain.clock import Instant
from poolwright.domain.facts import TASK_COMPLETE, TASK_START, Fact
from poolwright.domain.job import Job
from poolwright.domain.node import Failure, StartTaskInfo
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.task import Task

Detail = dict[str, str | int | float | bool | None]


def started(job: Job, task: Task, now: Instant) -> Fact:
    """The task runs on its node from now on."""
    return Fact(now, TASK_START, job.account, f"task/{job.id}/{task.id}", _start(job, task))


def ended(job: Job, task: Task, now: Instant, *, complete: bool = True) -> list[Fact]:
    """What is told of an execution's end: the task completed (and failed, if so), or it is in the queue again.

    Without `complete` a completion is not told, as every task has one.
    """
    subject = f"task/{job.id}/{task.id}"
    detail = _start(job, task) | {
        "started": task.started_at,
        "ended": task.ended_at,
        "exit": task.exit_code,
        "result": None if task.result is None else task.result.value,
        **_failure(task.failure),
    }
    if task.state is not TaskState.COMPLETED:
        return [Fact(now, "task.requeue", job.account, subject, detail)]
    facts = [Fact(now, TASK_COMPLETE, job.account, subject, detail)] if complete else []
    if task.result is ExecutionResult.FAILURE:
        facts.append(Fact(now, "task.fail", job.account, subject, detail))
    return facts


def unschedulable(job: Job, task: Task, code: str, message: str, now: Instant) -> Fact:
    """The node could not take the task after all; it is tried elsewhere or again. `task` as it was on the node."""
    detail = _start(job, task) | _failure(Failure("usererror", code, message))
    return Fact(now, "task.schedule.fail", job.account, f"task/{job.id}/{task.id}", detail)


def special(
    account: str, job: str, kind: str, name: str, pool: str, node: str, info: StartTaskInfo, now: Instant
) -> Fact:
    """A start, preparation or release task has ended for good; `job` is empty for a start task."""
    subject = f"job/{job}" if job else f"node/{pool}/{node}"
    detail: Detail = {
        "job": job,
        "name": name,
        "type": kind,
        "pool": pool,
        "node": node,
        "started": info.started_at,
        "ended": info.ended_at,
        "exit": info.exit_code,
        "result": None if info.result is None else info.result.value,
        "retries": info.retry_count,
        **_failure(info.failure),
    }
    return Fact(now, "task.special", account, subject, detail)


def _start(job: Job, task: Task) -> Detail:
    spec = task.spec
    return {
        "pool": task.pool,
        "node": task.node,
        "attempt": task.attempt,
        "manager": job.spec.manages(task.id),
        "slots": spec.required_slots,
        "instances": 1 if spec.multi is None else spec.multi.instances,
        "max_retries": job.spec.max_task_retries if spec.max_retries is None else spec.max_retries,
        "retries": task.retry_count,
        "requeues": task.requeue_count,
        "system_requeues": task.system_requeues,
    }


def _failure(failure: Failure | None) -> Detail:
    if failure is None:
        return {}
    return {"category": failure.category, "code": failure.code, "message": failure.message}
