"""Ready tasks onto free slots in the caller's transaction: of a whole pool, or of nodes that just became free."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.decide import placement, task_life
from poolwright.decide.node_events import rest
from poolwright.decide.placement import Ready, Room
from poolwright.domain.clock import Instant
from poolwright.domain.job import Job
from poolwright.domain.limits import ASSIGN_BATCH_MAX
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import JobOrder, NodeState, PoolState
from poolwright.domain.task import Execution, Task
from poolwright.reconcile.environment import node_environment, task_spec
from poolwright.reconcile.fleet import ExecSpec
from poolwright.reconcile.kit import Kit
from poolwright.store.base import Tx

#: Tasks left over by one round because others took the room may fit in the next; more rounds bring little.
ROUNDS_MAX = 4
#: Pools whose turns are remembered; beyond it all begin again with their oldest job.
TURNS_MAX = 10_000


class Placer:
    """One placement in one transaction. `nodes` are current rows; `used` is slots of live executions by node id."""

    def __init__(
        self, tx: Tx, kit: Kit, pool: Pool, nodes: Sequence[Node], used: dict[str, int], now: Instant
    ) -> None:
        self._tx = tx
        self._kit = kit
        self._pool = pool
        self._now = now
        self.nodes = {node.id: node for node in nodes}
        self.used = used
        self.starts: list[ExecSpec] = []
        self._jobs: dict[int, Job] = {}

    def run(self) -> bool:
        """Place what fits. Returns whether there may be more to place (the bound of one transaction was met)."""
        if self._pool.state is not PoolState.ACTIVE:
            return False
        for _ in range(ROUNDS_MAX):
            left = ASSIGN_BATCH_MAX - len(self.starts)
            if left <= 0:
                return True
            open_rooms = placement.rooms(self.nodes.values(), self.used, self._pool.spec.slots_per_node)
            if not open_rooms or not self._round(open_rooms, left):
                return False
        return True

    def _round(self, open_rooms: list[Room], left: int) -> int:
        ready = self._ready(open_rooms, left)
        if not ready:
            return 0
        tasks = {task.pk: task for task in ready}
        wishes = [Ready(task.pk, task.spec.required_slots, task.spec.affinity_id) for task in ready]
        assigned = placement.place(open_rooms, wishes, self._pool.spec.fill)
        running: list[Task] = []
        executions: list[Execution] = []
        for assignment in assigned:
            task = self._assign(tasks[assignment.key], self.nodes[assignment.node])
            running.append(task)
            executions.append(self._execution(task, self.nodes[assignment.node]))
        if running:
            self._took_turn(running[-1].job_pk)
        self._tx.tasks.update_many(running)
        self._tx.executions.insert_many(executions)
        return len(assigned)

    def _ready(self, open_rooms: list[Room], left: int) -> list[Task]:
        """Tasks that may start. One that was reactivated waits until its former execution is known to be dead."""
        wanted = min(sum(room.free for room in open_rooms), left)
        most = max(room.free for room in open_rooms)
        pool = self._pool
        fifo = pool.spec.job_order is JobOrder.CREATION_TIME
        turn = None if fifo else self._kit.turns.get((pool.account, pool.id), 0)
        return self._tx.tasks.ready(pool.account, pool.id, wanted, most, turn)

    def _took_turn(self, job_pk: int) -> None:
        turns = self._kit.turns
        if len(turns) >= TURNS_MAX:
            turns.clear()
        turns[self._pool.account, self._pool.id] = job_pk

    def _assign(self, task: Task, node: Node) -> Task:
        task = task_life.assigned(task, self._pool.id, node.id, node.fence, self._now)
        self.used[node.id] = self.used.get(node.id, 0) + task.spec.required_slots
        job = self._jobs.get(task.job_pk)
        if job is None:
            found = self._tx.jobs.by_pk(task.job_pk)
            assert found is not None, f"task {task.pk} has no job"
            job = self._jobs[task.job_pk] = found
        url = self._kit.account_url(self._pool.account)
        self.starts.append(task_spec(task, job, node, node_environment(self._pool, node, url)))
        return task

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
            slots=task.spec.required_slots,
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
