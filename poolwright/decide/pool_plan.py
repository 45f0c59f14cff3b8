"""The whole plan for one pool: one snapshot drives both its size and the life of each node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from poolwright.decide import explain, front_ports, node_life, pool_size
from poolwright.decide.node_life import Act, NodePlan
from poolwright.decide.snapshot import ImageReady, PoolSnapshot
from poolwright.domain import pool_events
from poolwright.domain.clock import Ids, Instant
from poolwright.domain.facts import Explanation, Fact
from poolwright.domain.node import SIMULATED_MACHINES, SIMULATED_NODES, Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import AllocationState, NodeState


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """Rows to write and work to do afterwards. The empty plan (`settled`) asks for nothing at all."""

    pool: Pool
    pool_changed: bool = False
    gone: bool = False  # the pool has no nodes left and is being deleted: its row goes
    new: tuple[Node, ...] = ()
    changed: tuple[Node, ...] = ()
    acts: tuple[tuple[Act, Node], ...] = ()
    end_tasks: tuple[tuple[Node, str], ...] = ()
    lost: tuple[Node, ...] = ()
    facts: tuple[Fact, ...] = ()
    wake_at: Instant | None = None
    explanation: Explanation | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing changes and nothing is to be done."""
        return not (
            self.pool_changed
            or self.gone
            or self.new
            or self.changed
            or self.acts
            or self.end_tasks
            or self.lost
        )


def plan(snapshot: PoolSnapshot, ids: Ids) -> PoolPlan:
    """What to do with the pool now. `ids` names new nodes and machines."""
    ticks = {node.id: node_life.tick(node, snapshot) for node in snapshot.nodes}
    size = pool_size.plan(snapshot, tuple(step.node for step in ticks.values()))
    for node in size.nodes:
        before = ticks[node.id]
        after = node_life.tick(node, snapshot)
        ticks[node.id] = replace(after, lost=before.lost or after.lost)
    new = _new_nodes(snapshot, size.grow, ids)
    before_rows = {node.id: node for node in snapshot.nodes}
    steps = list(ticks.values())
    return PoolPlan(
        pool=size.pool,
        pool_changed=size.pool is not snapshot.pool,
        gone=size.gone,
        new=new,
        changed=tuple(step.node for step in steps if step.node is not before_rows[step.node.id]),
        acts=(
            *((step.act, step.node) for step in steps if step.act is not None),
            *((Act.CREATE, node) for node in new),
        ),
        end_tasks=tuple((step.node, step.end_tasks) for step in steps if step.end_tasks is not None),
        lost=tuple(step.node for step in steps if step.lost),
        facts=_facts(snapshot, size, steps),
        wake_at=min(_wakes(steps, size), default=None),
        explanation=None if size.pool.allocation is AllocationState.STEADY else explain.resize(snapshot),
    )


def _wakes(steps: list[NodePlan], size: pool_size.SizePlan) -> list[Instant]:
    wakes = [step.wake_at for step in steps if step.wake_at is not None]
    return wakes if size.wake_at is None else [*wakes, size.wake_at]


def _new_nodes(snapshot: PoolSnapshot, grow: tuple[int, int], ids: Ids) -> tuple[Node, ...]:
    """Rows of nodes to come. The id keeps the public pattern: a number, an index and a UTC stamp."""
    now, pool = snapshot.now, snapshot.pool
    total = sum(grow)
    if not total:
        return ()
    image = snapshot.image.image if isinstance(snapshot.image, ImageReady) else ""
    stamp = datetime.fromtimestamp(now // 1_000_000, UTC).strftime("%Y%m%dt%H%M%Sz").lower()
    number = int(ids.short(), 16) % 10**10
    ports = front_ports.give(snapshot, total)
    return tuple(
        Node(
            account=pool.account,
            pool=pool.id,
            id=f"{SIMULATED_NODES if snapshot.simulated else 'tvm'}-{number}_{index + 1}-{stamp}",
            machine=f"{SIMULATED_MACHINES if snapshot.simulated else 'n'}{ids.short()}",
            dedicated=index < grow[0],
            state=NodeState.CREATING,
            state_at=now,
            allocated_at=now,
            fence=1,
            seen_at=now,
            image=image,
            history=((now, NodeState.CREATING.value, "asked for by the pool's size"),),
            front_ports=ports[index],
        )
        for index in range(total)
    )


def _facts(snapshot: PoolSnapshot, size: pool_size.SizePlan, steps: list[NodePlan]) -> tuple[Fact, ...]:
    pool, now = snapshot.pool, snapshot.now
    before = {node.id: node.state for node in snapshot.nodes}
    facts = [
        Fact(
            now,
            f"node.{step.node.state.value}",
            pool.account,
            f"node/{pool.id}/{step.node.id}",
            _why(step.node),
        )
        for step in steps
        if step.node.state is not before[step.node.id] and step.node.state not in _QUIET
    ]
    if size.ended:
        dedicated = sum(1 for node in snapshot.nodes if node.dedicated)
        had = (dedicated, len(snapshot.nodes) - dedicated)
        detail = pool_events.resize_completed(size.pool, had, snapshot.auto_pool, now)
        facts.append(Fact(now, "pool.resize.complete", pool.account, f"pool/{pool.id}", detail))
    if size.gone:
        span: pool_events.Detail = {"started": pool.state_at, "ended": now}
        facts.append(Fact(now, "pool.delete.complete", pool.account, f"pool/{pool.id}", span))
    return tuple(facts)


#: Moves that come with every task; the node's own history and the task's rows tell them.
_QUIET = frozenset({NodeState.IDLE, NodeState.RUNNING})


def _why(node: Node) -> dict[str, str | int | float | bool | None]:
    return {"reason": node.history[-1][2] if node.history else None}
