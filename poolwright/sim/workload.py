"""What callers do, at random: real commands with plausible arguments, refusals included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from poolwright.commands import autoscale, jobs, nodes, pools, tasks
from poolwright.commands import schedules as orders
from poolwright.commands.context import NO_CONDITIONS, Caller, Context
from poolwright.domain.account import Account
from poolwright.domain.clock import MINUTE, Clock, Ids
from poolwright.domain.errors import ManagementError, ServiceError
from poolwright.domain.limits import Quotas, Settings
from poolwright.domain.node import Node
from poolwright.domain.pool import ImageReference
from poolwright.domain.resource_id import ResourceId
from poolwright.domain.states import (
    DeallocationOption,
    JobState,
    NodeState,
    ScheduleState,
    SchedulingState,
)
from poolwright.domain.task import NewTask
from poolwright.sim import changes, images, schedules, specs
from poolwright.sim.checkers import DependenciesKept, EndsOnce, NoTaskLost
from poolwright.sim.exit_rules import ExitsObeyed
from poolwright.sim.job_ends import ParallelKept
from poolwright.sim.job_rules import JobTasksInOrder
from poolwright.sim.seen import ACCOUNT, PAGE, all_jobs
from poolwright.sim.task_rules import AttemptsCounted
from poolwright.store.base import Tx
from poolwright.store.sync import SyncStore

POOLS = ("alpha", "beta")
JOBS = tuple(f"job{n}" for n in range(6))
#: Rounds of pool, job and tasks before the story begins, so that orders meet busy nodes from the start.
BEGIN = 4
#: Follows the tasks that wait, up to a limit; without samples it asks for one node.
FORMULA = (
    "$wanted = max(1, $PendingTasks.GetSample(1)); $TargetDedicatedNodes = min({most}, $wanted);"
    " $TargetLowPriorityNodes = rand() < 0.5 ? 0 : 1; $NodeDeallocationOption = {option};"
)
#: Retention is kept short so that a drain that waits for it ends within a simulation.
OPTIONS = tuple(DeallocationOption)
#: Orders that end the present life of a node.
_LIFE_ORDERS = {"reboot": nodes.reboot, "reimage": nodes.reimage, "deallocate": nodes.deallocate}
MARKETPLACE = ImageReference(publisher="Debian", offer="debian-12", sku="12", version="latest")


@dataclass(frozen=True, slots=True)
class Watchers:
    """Checkers that have to be told what callers asked for."""

    lost: NoTaskLost
    once: EndsOnce
    kept: DependenciesKept
    counted: AttemptsCounted
    ordered: JobTasksInOrder
    obeyed: ExitsObeyed
    parallel: ParallelKept
    windows: schedules.WindowsKept


class Workload:
    """Acts on the store as callers of the API do. `told` keeps the story."""

    def __init__(
        self,
        store: SyncStore,
        rng: Random,
        clock: Clock,
        ids: Ids,
        watchers: Watchers,
        quotas: Quotas,
        told: Callable[[str], None],
    ) -> None:
        self._watchers = watchers
        self._settings = Settings(quotas=quotas, allow_reimage=True)
        self._store = store
        self._rng = rng
        self._clock = clock
        self._ids = ids
        self._told = told
        self._serial = 0
        account = Account(ACCOUNT, "/sim", "", "", clock.now())
        store.write_now(lambda tx: tx.accounts.insert(account))
        store.write_now(lambda tx: images.begin(tx, self.context()))

    def begin(self) -> None:
        """What is there before the story begins."""
        for _ in range(BEGIN):
            self.do(self._create_pool)
            self.do(self._create_job)
            self.do(self._add_tasks)

    def context(self) -> Context:
        return Context(self._clock, self._ids, self._settings, Caller("system", "sim"))

    def act(self) -> None:
        """One command."""
        choices: list[tuple[int, Callable[[Tx, Context], str]]] = [
            (18, self._add_tasks),
            (4, self._create_pool),
            (8, self._resize),
            (1, self._stop_resize),
            (2, self._autoscale),
            (2, self._remove_nodes),
            (4, self._create_job),
            (9, self._node_order),
            (2, self._terminate_task),
            (1, self._delete_task),
            (2, self._reactivate),
            (2, self._job_order),
            (1, self._delete_pool),
            (3, self._create_schedule),
            (2, self._schedule_order),
            (3, self._image_order),
            (4, self._change_job),
            (2, self._change_task),
            (1, self._change_schedule),
        ]
        act = self._rng.choices([act for _, act in choices], [weight for weight, _ in choices])[0]
        self.do(act)

    def do(self, act: Callable[[Tx, Context], str]) -> None:
        """One command in a transaction of its own; a refusal is a fine answer."""
        ctx = self.context()
        try:
            story = self._store.write_now(lambda tx: act(tx, ctx))
        except (ServiceError, ManagementError) as refusal:
            story = f"refused: {refusal.code}"
        name = getattr(act, "__name__", "heal").strip("_")
        self._told(f"{name}: {story}")

    def _create_pool(self, tx: Tx, ctx: Context) -> str:
        rng = self._rng
        spec = replace(specs.pool(rng), start_task=specs.start_task(rng))
        name, sizes = rng.choice(POOLS), (1 + rng.randrange(5), rng.randrange(4))
        pools.create(tx, ctx, ACCOUNT, name, spec, b"{}", *sizes)
        return f"{name} {sizes}"

    def _resize(self, tx: Tx, ctx: Context) -> str:
        name, sizes = self._rng.choice(POOLS), (self._rng.randrange(8), self._rng.randrange(4))
        option = self._rng.choice(OPTIONS)
        pools.resize(tx, ctx, ACCOUNT, name, *sizes, 5 * MINUTE, option, NO_CONDITIONS)
        return f"{name} {sizes} {option}"

    def _stop_resize(self, tx: Tx, ctx: Context) -> str:
        return pools.stop_resize(tx, ctx, ACCOUNT, self._rng.choice(POOLS), NO_CONDITIONS).id

    def _autoscale(self, tx: Tx, ctx: Context) -> str:
        name, order = (
            self._rng.choice(POOLS),
            self._rng.choice(("enable", "disable", "disable", "apply", "apply")),
        )
        if order == "disable":
            autoscale.disable(tx, ctx, ACCOUNT, name)
        else:
            formula = FORMULA.format(most=1 + self._rng.randrange(6), option=self._rng.choice(OPTIONS))
            if order == "enable":
                autoscale.enable(tx, ctx, ACCOUNT, name, formula, 5 * MINUTE, NO_CONDITIONS)
            else:
                autoscale.evaluate_now(tx, ctx, ACCOUNT, name, formula, apply=True)
        return f"{order} {name}"

    def _delete_pool(self, tx: Tx, ctx: Context) -> str:
        name = self._rng.choice(POOLS)
        pools.delete(tx, ctx, ACCOUNT, name, NO_CONDITIONS)
        return name

    def _a_node(self, tx: Tx) -> Node:
        found = _all_nodes(tx)
        if not found:
            raise ServiceError("NodeNotFound")
        busy = [node for node in found if node.state is NodeState.RUNNING]
        return self._rng.choice(busy if busy and self._rng.random() < 0.7 else found)

    def _remove_nodes(self, tx: Tx, ctx: Context) -> str:
        node, option = self._a_node(tx), self._rng.choice(OPTIONS)
        pools.remove_nodes(tx, ctx, ACCOUNT, node.pool, [node.id], 5 * MINUTE, option, NO_CONDITIONS)
        return f"{node.id} {option}"

    def _node_order(self, tx: Tx, ctx: Context) -> str:
        node = self._a_node(tx)
        order = self._rng.choice(("disable", "enable", *("preempt", "start") * 2, *_LIFE_ORDERS))
        if order in _LIFE_ORDERS:
            _LIFE_ORDERS[order](tx, ctx, ACCOUNT, node.pool, node.id, self._rng.choice(OPTIONS))
        elif order == "start":
            nodes.start(tx, ctx, ACCOUNT, node.pool, node.id)
        elif order == "disable":
            option = self._rng.choice(OPTIONS[:3])
            nodes.disable_scheduling(tx, ctx, ACCOUNT, node.pool, node.id, option)
        elif order == "enable":
            nodes.enable_scheduling(tx, ctx, ACCOUNT, node.pool, node.id)
        else:
            nodes.preempt(tx, ctx, ACCOUNT, node.pool, node.id)
        return f"{order} {node.id}"

    def _create_job(self, tx: Tx, ctx: Context) -> str:
        rng = self._rng
        auto = schedules.auto_pool(rng, specs.pool(rng)) if rng.random() < 0.2 else None
        spec = specs.job(rng, rng.choice(POOLS), auto)
        return jobs.create(tx, ctx, ACCOUNT, rng.choice(JOBS), spec, b"{}").id

    def _a_job(self, tx: Tx) -> str:
        going = {s.id for s in schedules.all_schedules(tx, ACCOUNT) if s.state is ScheduleState.DELETING}
        found = [job for job in all_jobs(tx) if job.schedule not in going]
        if not found:
            raise ServiceError("JobNotFound")
        return self._rng.choice(found).id

    def _add_tasks(self, tx: Tx, ctx: Context) -> str:
        rng, job = self._rng, self._a_job(tx)
        of = jobs.get(tx, ACCOUNT, job).spec
        news = []
        for _ in range(1 + rng.randrange(12)):
            self._serial += 1
            spec = specs.task(rng, self._serial, of)
            news.append(NewTask(str(self._serial), spec, b"{}"))
        for task in tasks.add_many(tx, ctx, ACCOUNT, job, news):
            assert not isinstance(task, ServiceError)
            self._watchers.lost.accepted[task.pk] = f"{job}/{task.id}"
        return f"{len(news)} to {job}"

    def _terminate_task(self, tx: Tx, ctx: Context) -> str:
        job, task = self._a_task(tx)
        tasks.terminate(tx, ctx, ACCOUNT, job, task, NO_CONDITIONS)
        return f"{job}/{task}"

    def _delete_task(self, tx: Tx, ctx: Context) -> str:
        job, task = self._a_task(tx)
        found = tasks.get(tx, ACCOUNT, job, task)
        tasks.delete(tx, ctx, ACCOUNT, job, task, NO_CONDITIONS)
        self._watchers.kept.saw(found)
        self._watchers.obeyed.deleted(found)
        self._watchers.lost.accepted.pop(found.pk, None)
        return f"{job}/{task}"

    def _reactivate(self, tx: Tx, ctx: Context) -> str:
        job = self._a_job(tx)
        failed = [t for t in tasks.page(tx, ACCOUNT, job, None, 100) if t.failure is not None]
        if not failed:
            raise ServiceError("TaskNotFound")
        task = self._rng.choice(failed)
        tasks.reactivate(tx, ctx, ACCOUNT, job, task.id, NO_CONDITIONS)
        self._watchers.once.reactivated(task.pk)
        self._watchers.counted.reactivated(tasks.get(tx, ACCOUNT, job, task.id))
        return f"{job}/{task.id}"

    def _a_task(self, tx: Tx) -> tuple[str, str]:
        job = self._a_job(tx)
        found = tasks.page(tx, ACCOUNT, job, None, 100)
        if not found:
            raise ServiceError("TaskNotFound")
        return job, self._rng.choice(found).id

    def _job_order(self, tx: Tx, ctx: Context) -> str:
        job = self._a_job(tx)
        order = self._rng.choices(("disable", "enable", "terminate", "delete"), (4, 4, 1, 1))[0]
        if order == "disable":
            jobs.disable(tx, ctx, ACCOUNT, job, self._rng.choice(jobs.DISABLE_OPTIONS), NO_CONDITIONS)
        elif order == "enable":
            jobs.enable(tx, ctx, ACCOUNT, job, NO_CONDITIONS)
        elif order == "terminate":
            force = self._rng.random() < 0.2
            row = jobs.terminate(tx, ctx, ACCOUNT, job, None, NO_CONDITIONS, force=force)
            if force:
                self._watchers.ordered.forced(row)
        else:
            force = self._rng.random() < 0.2
            row = jobs.delete(tx, ctx, ACCOUNT, job, NO_CONDITIONS, force=force)
            if force:
                self._watchers.ordered.forced(row)
            for task in tx.tasks.page(row.pk, None, 1000):
                self._watchers.lost.accepted.pop(task.pk, None)
        return f"{order} {job}"

    def _change_job(self, tx: Tx, ctx: Context) -> str:
        said, row = changes.job(tx, ctx, self._rng, self._a_job(tx), POOLS)
        there = tx.tasks.page(row.pk, None, PAGE)
        self._watchers.counted.changed(there)
        self._watchers.parallel.changed(row, there)
        return said

    def _change_task(self, tx: Tx, ctx: Context) -> str:
        job, task = self._a_task(tx)
        self._watchers.counted.changed([changes.task(tx, ctx, self._rng, job, task)])
        return f"{job}/{task}"

    def _change_schedule(self, tx: Tx, ctx: Context) -> str:
        name = changes.schedule(tx, ctx, self._rng)
        self._watchers.windows.changed(name, ctx.now)
        return name

    def _create_schedule(self, tx: Tx, ctx: Context) -> str:
        return schedules.create(tx, ctx, ACCOUNT, self._rng, POOLS, specs.pool(self._rng))

    def _schedule_order(self, tx: Tx, ctx: Context) -> str:
        said = schedules.order(tx, ctx, ACCOUNT, self._rng)
        order, _, name = said.partition(" ")
        for job in tx.jobs.page_of_schedule(ACCOUNT, name, None, 1000) if order == "delete" else ():
            for task in tx.tasks.page(job.pk, None, 1000):
                self._watchers.lost.accepted.pop(task.pk, None)
        return said

    def _image_order(self, tx: Tx, ctx: Context) -> str:
        return images.order(tx, ctx, self._rng)

    def mend_images(self) -> None:
        """Make custom images again that are gone; while one goes, that is refused."""
        for id in self._store.read_now(images.missing):
            self.do(partial(_make_image, id))

    def heal(self) -> None:
        """What a patient operator does in the end: everything enabled, broken nodes rebooted, schedules ended."""
        for schedule in self._store.read_now(partial(schedules.all_schedules, account=ACCOUNT)):
            if schedule.state in (ScheduleState.ACTIVE, ScheduleState.DISABLED):
                self.do(partial(_terminate, schedule.id))
        for job in self._store.read_now(all_jobs):
            if job.state in (JobState.DISABLED, JobState.DISABLING):
                self.do(partial(_enable, job.id))
        for node in self._store.read_now(_all_nodes):
            if node.scheduling is SchedulingState.DISABLED:
                self.do(partial(_mend, node, nodes.enable_scheduling))
            if node.state is NodeState.DEALLOCATED:
                self.do(partial(_mend, node, nodes.start))
            if node.state in (NodeState.UNUSABLE, NodeState.START_TASK_FAILED):
                self.do(partial(_mend, node, partial(nodes.reboot, option=None)))


def _all_nodes(tx: Tx) -> list[Node]:
    return [node for pool in tx.pools.every() for node in tx.nodes.of_pool(ACCOUNT, pool.id)]


def _make_image(id: ResourceId, tx: Tx, ctx: Context) -> str:
    return images.make(tx, ctx, id)


def _enable(job: str, tx: Tx, ctx: Context) -> str:
    return jobs.enable(tx, ctx, ACCOUNT, job, NO_CONDITIONS).id


def _terminate(schedule: str, tx: Tx, ctx: Context) -> str:
    return orders.terminate(tx, ctx, ACCOUNT, schedule, NO_CONDITIONS).id


def _mend(node: Node, order: Callable[[Tx, Context, str, str, str], Node], tx: Tx, ctx: Context) -> str:
    return order(tx, ctx, ACCOUNT, node.pool, node.id).id
