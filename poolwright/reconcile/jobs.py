"""One pass over one job."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from poolwright.decide import job_life, task_life
from poolwright.decide.job_life import JobSnapshot
from poolwright.decide.task_life import TERMINATE
from poolwright.domain import task_events
from poolwright.domain.clock import Instant
from poolwright.domain.facts import DirtyKey, Fact
from poolwright.domain.job import FORCE, Job
from poolwright.domain.states import JobState
from poolwright.reconcile import job_nodes
from poolwright.reconcile.fleet import ExecSpec, Kill
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.pools import order_end, ordered
from poolwright.store.base import Tx

#: Tasks ended or deleted in one transaction, so that others get their turn.
CHUNK = 500
_ENDING = (JobState.TERMINATING, JobState.DELETING)


@dataclass(slots=True)
class JobWork:
    """What to do outside once the pass is durable."""

    starts: list[ExecSpec] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    more: bool = False
    wake_at: Instant | None = None


def run(tx: Tx, kit: Kit, account: str, id: str, now: Instant) -> JobWork:
    """Plan the job and write what changes. Call it inside a write."""
    job = tx.jobs.get(account, id)
    if job is None:
        return JobWork()
    counts, _ = tx.tasks.counts(job.pk)
    snapshot = JobSnapshot(job, counts, tx.executions.count_of_job(job.pk), now)
    work = JobWork()
    if job.state in _ENDING and (not job_life.is_busy(snapshot) or job.disable_tasks == FORCE):
        snapshot = replace(snapshot, releasing=_release(tx, kit, job, now, work))
    plan = job_life.plan(snapshot)
    work.wake_at = plan.wake_at
    if plan.job is not None:
        job = tx.jobs.update(plan.job)
        if job.state is JobState.COMPLETED:
            job_nodes.give_up(tx, job, tx.executions.beside_tasks(job.pk), now)
        detail: dict[str, str | int | float | bool | None] = {"reason": job.terminate_reason}
        tx.journal.record([Fact(now, f"job.{job.state.value}", account, f"job/{job.id}", detail)])
    if job.spec.cancel_dependents and job.state is JobState.ACTIVE and counts.waiting:
        work.more = _cancel_dependents(tx, job, now)
    if plan.running is not None:
        _end_running(tx, kit, job, plan.running, now, work)
    if plan.delete:
        _delete(tx, job, now, work)
    if plan.delete or job.state is JobState.COMPLETED:
        _let_go(tx, job)
    if plan.wake_pool:
        tx.mark_dirty(DirtyKey("pool", account, job.spec.pool))
    return work


def _release(tx: Tx, kit: Kit, job: Job, now: Instant, work: JobWork) -> bool:
    """End preparations that still run, then have the releases run. Whether something is still to be waited for."""
    beside = tx.executions.beside_tasks(job.pk)
    forced = job.disable_tasks == FORCE
    preparing = [e for e in beside if forced or e.name.startswith("p")]
    if preparing:
        fresh = [e.name for e in preparing if e.kill_reason is None]
        tx.executions.order_kill(fresh, TERMINATE)
        work.kills += [
            Kill(e.machine, e.name, TERMINATE) for e in preparing if kit.delivery.kill_due(e.name, now)
        ]
        return True
    starts, waits = ([], False) if forced else job_nodes.release(tx, kit, job, now, CHUNK)
    work.starts += starts
    work.more = len(starts) >= CHUNK
    return waits or bool(beside)  # one that was ended with its node's troubles may still run


def _cancel_dependents(tx: Tx, job: Job, now: Instant) -> bool:
    """End what waits for a task that failed, and in further passes what waits for that. Whether there may be more."""
    behind = tx.tasks.behind_failed(job.pk, CHUNK)
    cancelled = [task_life.cancelled(task, now) for task in behind]
    tx.tasks.update_many(cancelled)
    tx.journal.record([fact for task in cancelled for fact in task_events.ended(job, task, now)])
    if behind:
        detail: dict[str, str | int | float | bool | None] = {"tasks": len(behind)}
        tx.journal.record([Fact(now, "job.cancel", job.account, f"job/{job.id}", detail)])
    return bool(behind)


def _end_running(tx: Tx, kit: Kit, job: Job, reason: str, now: Instant, work: JobWork) -> None:
    tasks = tx.tasks.running_of_job(job.pk, CHUNK * 4)
    executions = tx.executions.get_many([task.execution for task in tasks])
    fresh = [execution for execution in executions.values() if not ordered(execution, reason)]
    order_end(tx, fresh[:CHUNK], reason, now)
    work.more = len(fresh) > CHUNK
    for execution in fresh[:CHUNK]:
        if kit.delivery.kill_due(execution.name, now):
            work.kills.append(Kill(execution.machine, execution.name, reason))


def _delete(tx: Tx, job: Job, now: Instant, work: JobWork) -> None:
    if tx.tasks.delete_some(job.pk, CHUNK):
        work.more = True
        return
    tx.jobs.delete(job.account, job.id)
    tx.mark_dirty(DirtyKey("files", job.account, job.spec.pool))
    tx.journal.record([Fact(now, "job.deleted", job.account, f"job/{job.id}")])


def _let_go(tx: Tx, job: Job) -> None:
    """Whoever waited for the end of the job: its schedule, and the pool that was made for it."""
    if job.spec.auto_pool is not None:
        tx.mark_dirty(DirtyKey("autopool", job.account, job.spec.pool))
    if job.schedule is not None:
        tx.mark_dirty(DirtyKey("schedule", job.account, job.schedule))
