"""The planners' reasons for one task, node or pool, read from the store: what `.../explain` answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from poolwright.decide import autoscale, explain, explain_job, explain_task, schedule
from poolwright.decide.explain_task import TaskSituation
from poolwright.domain.clock import Instant
from poolwright.domain.facts import Explanation
from poolwright.domain.node import start_name
from poolwright.domain.rules import not_found
from poolwright.domain.states import JobState, TaskState
from poolwright.reconcile import job_nodes, schedules, snapshots
from poolwright.reconcile.environment import install_name
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.transfers import seconds
from poolwright.store.base import Tx

#: Of what a task waits for, this many are named.
BLOCKERS_MAX = 20
#: Tasks of a job that are searched for one that waits.
LOOKED_AT_MAX = 1000


class Explanations:
    """Answers in words; each method reads in the caller's transaction."""

    def __init__(
        self, kit: Kit, transfers: Callable[[str], tuple[str, Instant] | None] = lambda _: None
    ) -> None:
        """`transfers`: what is being transferred for an execution, and since when."""
        self._kit = kit
        self._transfers = transfers

    def task(self, tx: Tx, account: str, job_id: str, task_id: str) -> Explanation:
        """Why the task waits. Raises ServiceError JobNotFound, TaskNotFound."""
        job = tx.jobs.get(account, job_id)
        if job is None:
            raise not_found("job", job_id)
        row = tx.tasks.get(job.pk, task_id)
        if row is None:
            raise not_found("task", task_id)
        pool = tx.pools.get(account, job.spec.pool)
        counts, _ = tx.tasks.counts(job.pk)
        nodes = tx.nodes.of_pool(account, pool.id) if pool is not None else []
        situation = TaskSituation(
            task=row,
            job=job,
            pool=pool,
            nodes=nodes,
            used=tx.executions.slots(account, pool.id) if pool is not None else {},
            job_running=counts.running,
            now=self._kit.clock.now(),
            life=self._kit.settings.task_life,
            barred=job_nodes.barred(tx, job, job.spec.pool, {n.id: n for n in nodes}),
            blockers=tx.tasks.blockers(row, BLOCKERS_MAX) if row.unmet else (),
            transfer=self._transfer(row.execution),
        )
        said = explain_task.task(situation)
        if said.code != "PoolEmpty":
            return said
        why = self.pool(tx, account, job.spec.pool)
        return Explanation(said.code, f"{said.message} {why.message}", why.next_step, why.evidence)

    def job(self, tx: Tx, account: str, job_id: str) -> Explanation:
        """What the job waits for. Raises ServiceError JobNotFound."""
        row = tx.jobs.get(account, job_id)
        if row is None:
            raise not_found("job", job_id)
        counts, _ = tx.tasks.counts(row.pk)
        waiting = None
        if counts.active and row.state is JobState.ACTIVE:
            some = tx.tasks.page(row.pk, None, LOOKED_AT_MAX)
            active = [task for task in some if task.state is TaskState.ACTIVE]
            if active:
                one = min(active, key=lambda task: task.unmet > 0)
                waiting = one.id, self.task(tx, account, row.id, one.id)
        return explain_job.job(row, counts, waiting)

    def _transfer(self, execution: str) -> str | None:
        doing = self._transfers(execution)
        if doing is None:
            return None
        what, since = doing
        return f"{what}, since {seconds(since, self._kit.clock.now())} s"

    def node(self, tx: Tx, account: str, pool_id: str, node_id: str) -> Explanation:
        """Why the node takes no tasks. Raises ServiceError PoolNotFound, NodeNotFound."""
        pool = tx.pools.get(account, pool_id)
        if pool is None:
            raise not_found("pool", pool_id)
        row = tx.nodes.get(account, pool_id, node_id)
        if row is None:
            raise not_found("node", node_id)
        used = tx.executions.slots(account, pool_id).get(row.id, 0)
        transfer = None
        if row.start_task is not None and row.start_task.ended_at is None:
            transfer = self._transfer(start_name(row, row.start_task.attempt))
        if row.packages.pending:
            transfer = self._transfer(install_name(row.machine, row.fence))
        return explain.node(row, pool, used, transfer)

    def pool(self, tx: Tx, account: str, pool_id: str) -> Explanation:
        """Why the pool has not the size that was asked for. Raises ServiceError PoolNotFound."""
        view = snapshots.load(tx, self._kit, account, pool_id, self._kit.clock.now())
        if view is None:
            raise not_found("pool", pool_id)
        said = autoscale.explain(view.snapshot.pool, explain.resize(view.snapshot))
        row = tx.auto_pools.get(account, pool_id)
        if row is None:
            return said
        return replace(said, evidence=(*said.evidence, ("autoPoolOf", f"{row.owner} {row.owner_id}")))

    def job_schedule(self, tx: Tx, account: str, id: str) -> Explanation:
        """When the next job is made, or why none is. Raises ServiceError JobScheduleNotFound."""
        snapshot = schedules.load(tx, account, id, self._kit.clock.now())
        if snapshot is None:
            raise not_found("job schedule", id)
        said = schedule.plan(snapshot).why
        quota = self._kit.settings.quotas.active_jobs
        if (
            said.code != "JobDue"
            or tx.jobs.count_active(account) + tx.schedules.count_active(account) < quota
        ):
            return said
        message = f"A job is due, but the account has {quota} active jobs and schedules, as many as its quota allows."
        return Explanation("QuotaReached", message, "Terminate jobs, or raise the quota.", said.evidence)
