"""Ready tasks onto free slots in the caller's transaction: of a whole pool, or of nodes that just became free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from poolwright.decide import placement, task_life
from poolwright.decide.job_nodes import Preparation
from poolwright.decide.job_nodes import preparation as prepared
from poolwright.decide.node_events import rest
from poolwright.decide.placement import Ready, Room
from poolwright.decide.preempt_tasks import insists
from poolwright.domain import task_events
from poolwright.domain.clock import Instant
from poolwright.domain.facts import TASK_START
from poolwright.domain.job import Job
from poolwright.domain.limits import ASSIGN_BATCH_MAX
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import JobOrder, NodeState, PoolState, TaskState
from poolwright.domain.task import Execution, Task
from poolwright.reconcile import gangs, job_nodes
from poolwright.reconcile.environment import node_environment, task_spec
from poolwright.reconcile.fleet import ExecSpec
from poolwright.reconcile.kit import Kit
from poolwright.store.base import Tx

#: Tasks left over by one round because others took the room may fit in the next; more rounds bring little.
ROUNDS_MAX = 4
#: Pools whose turns are remembered; beyond it all begin again with their oldest job.
TURNS_MAX = 10_000
#: Waiting tasks looked at for those that others make room for: as many get it in each pass.
LOOK = 20


class Placer:
    """One placement in one transaction. `nodes` are current rows; `used` is slots of live executions by node id.

    A node that is being cleared for a task of higher priority counts as full until that is done: executions end one
    by one, and who took the room of the first would have to make room in turn, for ever.
    """

    def __init__(self, tx: Tx, kit: Kit, pool: Pool, nodes: Sequence[Node], now: Instant) -> None:
        self._tx = tx
        self._kit = kit
        self._pool = pool
        self._now = now
        self.nodes = {node.id: node for node in nodes}
        self.used = tx.executions.taken(pool.account, pool.id, pool.spec.slots_per_node)
        self.starts: list[ExecSpec] = []
        self._jobs: dict[int, Job] = {}
        self._bars: dict[int, frozenset[str]] = {}
        self._skip: set[int] = set()
        self._aside: set[int] = set()
        self._placed = 0

    def run(self, above: int | None = None) -> bool:
        """Place what fits, only of jobs with a priority `above` this one if it is given. Returns whether there may be
        more to place (the bound of one transaction was met)."""
        if self._pool.state is not PoolState.ACTIVE:
            return False
        for _ in range(ROUNDS_MAX):
            left = ASSIGN_BATCH_MAX - self._placed
            if left <= 0:
                return True
            open_rooms = placement.rooms(self.nodes.values(), self.used, self._pool.spec.slots_per_node)
            passed_over = len(self._skip) + len(self._aside)
            if not open_rooms:
                return False
            if not self._round(open_rooms, left, above) and len(self._skip) + len(self._aside) == passed_over:
                return False
        return True

    def managers(self, least: int) -> None:
        """Place job managers of jobs with this priority or a higher one. They come before the gangs of their jobs: one
        that insists on its place (see decide/preempt_tasks.py) would else clear nodes for these, for ever."""
        slots, expired = self._pool.spec.slots_per_node, self._kit.expired_tasks(self._tx, self._now)
        open_rooms = placement.rooms(self.nodes.values(), self.used, slots)
        if not open_rooms or self._pool.state is not PoolState.ACTIVE:
            return
        ready = self._tx.tasks.ready(self._pool.account, self._pool.id, LOOK, slots, after=expired)
        jobs = [(task, self.job(task.job_pk)) for task in ready]
        self._place(
            [t for t, job in jobs if job.spec.priority >= least and job.spec.manages(t.id)], open_rooms
        )

    def _round(self, open_rooms: list[Room], left: int, above: int | None) -> int:
        ready = self._ready(open_rooms, left)
        if (self._pool.account, self._pool.id) in self._kit.insisting:
            ready = self._insisting_first(ready)[:left]
        if above is not None:
            ready = [task for task in ready if self.job(task.job_pk).spec.priority > above]
        return self._place(ready, open_rooms)

    def _insisting_first(self, ready: Sequence[Task]) -> list[Task]:
        """Job managers that others make room for come before all else of their priority: whoever else took that room
        would have to make it in turn, for ever."""
        pool, expired = self._pool, self._kit.expired_tasks(self._tx, self._now)
        slots = pool.spec.slots_per_node
        found = self._tx.tasks.ready(pool.account, pool.id, LOOK, slots, skip=self._skip, after=expired)
        first = [t for t in found if t.pk not in self._aside and insists(t, self.job(t.job_pk))]
        known = {task.pk for task in first}
        both = [*first, *(task for task in ready if task.pk not in known)]
        return sorted(both, key=lambda task: -self.job(task.job_pk).spec.priority)

    def may_run(self, task: Task) -> bool:
        """Whether the task's job allows one more at a time."""
        return self._spare(self.job(task.job_pk)) > 0

    def _spare(self, job: Job) -> int:
        most = job.spec.max_parallel_tasks
        return most - self._tx.tasks.counts(job.pk)[0].running if most > 0 else ASSIGN_BATCH_MAX

    def _within_limits(self, ready: Sequence[Task]) -> list[Task]:
        """Without those that their jobs do not allow beside what runs by now: tasks are read before gangs and job
        managers of the same pass are placed."""
        spare: dict[int, int] = {}
        kept = []
        for task in ready:
            if task.job_pk not in spare:
                spare[task.job_pk] = self._spare(self.job(task.job_pk))
            spare[task.job_pk] -= 1
            if spare[task.job_pk] >= 0:
                kept.append(task)
        return kept

    def _place(self, ready: Sequence[Task], open_rooms: list[Room]) -> int:
        ready = self._within_limits(ready)
        if not ready:
            return 0
        tasks = {task.pk: task for task in ready}
        wishes = [self.wish(task) for task in ready]
        assigned = placement.place(open_rooms, wishes, self._pool.spec.fill)
        running: list[Task] = []
        executions: list[Execution] = []
        for assignment in assigned:
            task = self._assign(tasks.pop(assignment.key), self.nodes[assignment.node])
            running.append(task)
            executions.append(self._execution(task, self.nodes[assignment.node]))
        self._pass_over([w for w in wishes if w.key in tasks and (w.barred or w.alone)], tasks)
        if running:
            self._took_turn(running[-1].job_pk)
        self._placed += len(running)
        self._tx.tasks.update_many(running)
        self._tx.executions.insert_many(executions)
        self._tell(running)
        return len(assigned)

    def _tell(self, placed: Sequence[Task]) -> None:
        """Those that run have started; the others do so when they are prepared."""
        if self._tx.journal.keeps(TASK_START):
            began = [task for task in placed if task.state is TaskState.RUNNING]
            self._tx.journal.record(
                [task_events.started(self.job(task.job_pk), task, self._now) for task in began]
            )

    def _pass_over(self, left_over: Iterable[Ready], tasks: Mapping[int, Task]) -> None:
        """What may not go everywhere and found no place must not stand before others in the next round: its job, since
        the preparation is the same for all of it; only the task, if it is a job manager."""
        for wish in left_over:
            task = tasks[wish.key]
            if self.job(task.job_pk).spec.manages(task.id):
                self._aside.add(task.pk)
            else:
                self._skip.add(task.job_pk)

    def _ready(self, open_rooms: list[Room], left: int) -> list[Task]:
        """Tasks that may start. One that was reactivated waits until its former execution is known to be dead."""
        wanted = min(sum(room.free for room in open_rooms), left)
        most = max(room.free for room in open_rooms)
        pool = self._pool
        fifo = pool.spec.job_order is JobOrder.CREATION_TIME
        turn = None if fifo else self._kit.turns.get((pool.account, pool.id), 0)
        expired = self._kit.expired_tasks(self._tx, self._now)
        return self._tx.tasks.ready(
            pool.account, pool.id, wanted, most, turn, self._skip, expired, aside=self._aside
        )

    def _took_turn(self, job_pk: int) -> None:
        turns = self._kit.turns
        if len(turns) >= TURNS_MAX:
            turns.clear()
        turns[self._pool.account, self._pool.id] = job_pk

    def wish(self, task: Task) -> Ready:
        """What the task asks of a node."""
        job, spec = self.job(task.job_pk), task.spec
        barred = self._barred(job)
        manager = job.spec.manager
        if manager is None or not job.spec.manages(task.id):
            return Ready(task.pk, spec.required_slots, spec.affinity_id, barred)
        if not manager.low_priority:
            barred |= {node.id for node in self.nodes.values() if not node.dedicated}
        return Ready(task.pk, self._slots(task, job), spec.affinity_id, barred, manager.exclusive)

    def _slots(self, task: Task, job: Job) -> int:
        """Slots the task takes: a job manager that runs alone takes all of its node."""
        manager = job.spec.manager
        if manager is not None and manager.exclusive and job.spec.manages(task.id):
            return max(task.spec.required_slots, self._pool.spec.slots_per_node)
        return task.spec.required_slots

    def _barred(self, job: Job) -> frozenset[str]:
        if job.spec.preparation is None:
            return frozenset()
        if job.pk not in self._bars:
            self._bars[job.pk] = job_nodes.barred(self._tx, job, self._pool.id, self.nodes)
        return self._bars[job.pk]

    def job(self, pk: int) -> Job:
        """The job of this number, read once."""
        job = self._jobs.get(pk)
        if job is None:
            job = self._tx.jobs.by_pk(pk)
            assert job is not None, f"a task has no job {pk}"
            self._jobs[pk] = job
        return job

    def start_gang(self, task: Task, ids: Sequence[str]) -> None:
        """Place a multi-instance task on these nodes, the master first; all of them are free."""
        nodes, job = [self.nodes[id] for id in ids], self.job(task.job_pk)
        waits = [self._prepare(job, node) for node in nodes]
        state = TaskState.PREPARING if any(waits) else TaskState.RUNNING
        master = nodes[0]
        task = task_life.assigned(task, self._pool.id, master.id, master.fence, self._now, state)
        for node in nodes:
            self.used[node.id] = self.used.get(node.id, 0) + 1
        self._placed += len(nodes)
        self._tx.tasks.update_many([task])
        self._tell([task])
        self._tx.executions.insert_many(gangs.begin(self._tx, task, nodes, self._now))
        if state is TaskState.RUNNING:
            self.starts += gangs.coordination(self._tx, self._kit, self._pool, job, task, self.nodes)

    def _assign(self, task: Task, node: Node) -> Task:
        job = self.job(task.job_pk)
        waits = self._prepare(job, node)
        state = TaskState.PREPARING if waits else TaskState.RUNNING
        task = task_life.assigned(task, self._pool.id, node.id, node.fence, self._now, state)
        self.used[node.id] = self.used.get(node.id, 0) + self._slots(task, job)
        if not waits:
            common = node_environment(self._pool, node, self._kit.account_url(self._pool.account))
            self.starts.append(task_spec(task, job, node, common, self._kit.task_token))
        return task

    def _prepare(self, job: Job, node: Node) -> bool:
        """See that the job's preparation task runs, or ran, on the node. Whether its tasks wait for it."""
        spec = job.spec.preparation
        if spec is None:
            return False
        row = self._tx.job_nodes.of_nodes(job.pk, self._pool.id, [node.id]).get(node.id)
        state = prepared(row, node, spec)
        if state is Preparation.NEEDED:
            _, start = job_nodes.begin(self._tx, self._kit, self._pool, job, row, node, self._now)
            self.starts.append(start)
        return spec.wait_for_success and state in (Preparation.NEEDED, Preparation.RUNNING)

    def _execution(self, task: Task, node: Node) -> Execution:
        return Execution(
            name=task.execution,
            task_pk=task.pk,
            job_pk=task.job_pk,
            account=self._pool.account,
            pool=self._pool.id,
            node=node.id,
            machine=node.machine,
            fence=node.fence,
            slots=self._slots(task, self.job(task.job_pk)),
            since=self._now,
        )


def settle(tx: Tx, nodes: Sequence[Node], used: dict[str, int], now: Instant) -> None:
    """Write which of these nodes are idle, running or offline now; only those that changed cost a write."""
    for node in nodes:
        if node.state not in (NodeState.IDLE, NodeState.RUNNING, NodeState.OFFLINE):
            continue
        busy = used.get(node.id, 0) > 0
        rested = rest(node, busy, None, now, "a task runs" if busy else "no task runs")
        if rested is not node:
            tx.nodes.update(rested)
