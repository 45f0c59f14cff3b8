"""Room for tasks of higher priority, by requeueing tasks of jobs that allow it, and for job managers that ran before,
by requeueing any task of equal or lower priority; looked for in passes over a pool."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.decide import preempt_tasks
from poolwright.decide.placement import takes_tasks
from poolwright.decide.preempt_tasks import Holder, Waiting, insists
from poolwright.domain.job import Job
from poolwright.domain.pool import Pool
from poolwright.domain.task import Execution
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.placer import LOOK, Placer
from poolwright.store.base import Tx


def victims(
    tx: Tx, kit: Kit, pool: Pool, placer: Placer, executions: Sequence[Execution], expired: int
) -> list[Execution]:
    """Live executions that are to be requeued now; tasks up to the number `expired` may not run any more. Notes in the
    kit whether room is made for a job manager, so that it has that room first."""
    kit.insisting.discard((pool.account, pool.id))
    held = [execution for execution in executions if execution.task_pk]
    if not held:
        return []
    ready = tx.tasks.ready(pool.account, pool.id, LOOK, pool.spec.slots_per_node, after=expired)
    waiting = []
    for task in ready:
        wish, job = placer.wish(task), placer.job(task.job_pk)
        waiting.append(Waiting(wish.slots, job.spec.priority, wish.barred, insists(task, job)))
    insisting = any(task.insists for task in waiting)
    if insisting:
        kit.note_insisting(pool.account, pool.id)
    jobs = {pk: tx.jobs.by_pk(pk) for pk in {execution.job_pk for execution in held}} if waiting else {}
    if not insisting and not any(job is not None and job.spec.preemptible for job in jobs.values()):
        return []
    free = {n.id: pool.spec.slots_per_node for n in placer.nodes.values() if takes_tasks(n)}
    for execution in held:
        if execution.node in free:
            free[execution.node] -= execution.slots
    holders = []
    for execution in held:
        row = jobs[execution.job_pk]
        if row is not None:
            leaving, manager_runs = execution.kill_reason is not None, _is_manager(tx, execution, row)
            holders.append(
                Holder(
                    execution.name,
                    execution.node,
                    execution.slots,
                    row.spec.priority,
                    row.spec.preemptible,
                    execution.since,
                    leaving,
                    manager_runs,
                )
            )
    names = set(preempt_tasks.victims(waiting, holders, free))
    return [execution for execution in held if execution.name in names]


def _is_manager(tx: Tx, execution: Execution, job: Job) -> bool:
    if job.spec.manager is None:
        return False
    task = tx.tasks.get(job.pk, job.spec.manager.id)
    return task is not None and task.pk == execution.task_pk
