"""How many nodes a pool gets or gives, which ones go, and how a resize ends.

Rules: "Resize state machine" of the behaviour tables. Dedicated nodes are sought only while a resize lasts,
low-priority nodes for ever. Waiting for tasks (task completion, retained data) is not held against the timeout.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from poolwright.decide import front_ports
from poolwright.decide.front_ports import Shortage
from poolwright.decide.snapshot import (
    ImageMissing,
    ImagePreparing,
    PoolSnapshot,
    allocated,
    departing,
)
from poolwright.domain.clock import MINUTE, Instant
from poolwright.domain.limits import REGROW_ABOVE, REGROW_ROUNDS_MAX
from poolwright.domain.node import Drain, Node
from poolwright.domain.pool import Pool, ResizeError
from poolwright.domain.states import (
    ALLOCATION,
    AllocationState,
    DeallocationOption,
    NodeState,
    PoolState,
    advance,
)

_N = NodeState
#: Who goes first when a pool shrinks; states that are not listed come between "not yet idle" and "idle".
_VICTIM_ORDER = {
    _N.PREEMPTED: 0,
    _N.UNUSABLE: 1,
    _N.START_TASK_FAILED: 1,
    _N.UNKNOWN: 1,
    _N.OFFLINE: 1,
    _N.CREATING: 2,
    _N.STARTING: 2,
    _N.WAITING_FOR_START_TASK: 2,
    _N.REBOOTING: 2,
    _N.REIMAGING: 2,
    _N.IDLE: 4,
    _N.RUNNING: 5,
}
_OTHERS = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """Dedicated or low-priority."""

    dedicated: bool

    @property
    def label(self) -> str:
        return "dedicated" if self.dedicated else "low-priority"


KINDS = (Kind(True), Kind(False))


@dataclass(frozen=True, slots=True)
class SizePlan:
    """The pool's next row, how many nodes to add by kind (dedicated, low-priority), and nodes whose row changes."""

    pool: Pool
    grow: tuple[int, int] = (0, 0)
    nodes: tuple[Node, ...] = ()
    ended: bool = False
    gone: bool = False
    wake_at: Instant | None = None


def plan(snapshot: PoolSnapshot, nodes: tuple[Node, ...]) -> SizePlan:
    """The next step towards the pool's targets; `nodes` are its nodes as their own plans leave them."""
    pool = snapshot.pool
    if pool.state is PoolState.DELETING:
        return _deleting(snapshot, nodes)
    if pool.allocation is AllocationState.STOPPING:
        return _stopping(snapshot, nodes)
    if pool.allocation is AllocationState.RESIZING:
        return _resizing(snapshot, nodes)
    return _steady(snapshot, nodes)


def victims(
    nodes: Iterable[Node], executions: Mapping[str, int], count: int, managers: frozenset[str] = frozenset()
) -> list[Node]:
    """The nodes to give up first, by the order of the resize rules; those of job managers last; ties go to the
    youngest."""

    def rank(node: Node) -> tuple[bool, int, int, Instant, str]:
        held = executions.get(node.id, 0)
        order = _VICTIM_ORDER[_N.RUNNING] if held else _VICTIM_ORDER.get(node.state, _OTHERS)
        return (node.id in managers, order, held, -node.allocated_at, node.id)

    return sorted(nodes, key=rank)[:count]


def room_to_grow(
    snapshot: PoolSnapshot, kind: Kind, have: int, wanted: int, promised: int = 0
) -> tuple[int, ResizeError | None]:
    """How many of `wanted` more nodes may be asked for, and the error that says why not all.

    `promised` nodes of the other kind are asked for at the same time. Nodes that are to leave count until they are
    gone; what only they stand in the way of is waited for without an error.
    """
    pool, room, quotas = snapshot.pool, snapshot.headroom, snapshot.quotas
    refusal = _image_refusal(snapshot, kind)
    if refusal is not None:
        return 0, refusal
    if isinstance(snapshot.image, ImagePreparing) or snapshot.disk_low is not None:
        return 0, None
    allowed, error = wanted, None
    leaving = max(0, sum(node.dedicated is kind.dedicated for node in snapshot.nodes) - have)
    if pool.spec.image.custom:
        limit = quotas.custom_image_max_dedicated if kind.dedicated else quotas.custom_image_max_low_priority
        others = room.image_dedicated if kind.dedicated else room.image_low_priority
        if have + others + wanted > limit:
            error = _image_limit(kind, limit, others, have, wanted)
        allowed = min(allowed, max(0, limit - have - others - leaving))
    cores = quotas.dedicated_cores if kind.dedicated else quotas.low_priority_cores
    if cores is not None:
        used = room.cores_dedicated if kind.dedicated else room.cores_low_priority
        fitting = max(0, (cores - used) // room.cores_per_node - have)
        if fitting < min(allowed + leaving, wanted):
            in_use = used + have * room.cores_per_node
            error = _core_quota(kind, cores, in_use, wanted, room.cores_per_node)
        allowed = min(allowed, max(0, fitting - leaving))
    short = front_ports.shortage(snapshot)
    if short is not None and short.free - promised < allowed:
        if short.free + short.returning - promised < allowed:
            error = _ports_exhausted(kind, short, have, wanted)
        allowed = max(0, short.free - promised)
    return allowed, error


def allocation_failed(kind: Kind, message: str, values: tuple[tuple[str, str], ...] = ()) -> ResizeError:
    """The resize error of growth that the provider of machines or images refused."""
    text = f"Desired number of {kind.label} nodes could not be allocated: {message}"
    return ResizeError("AllocationFailed", text, (*values, ("NodeType", kind.label)))


def quota_reached(kind: Kind, message: str, values: tuple[tuple[str, str], ...] = ()) -> ResizeError:
    """The resize error of growth that an operator's quota forbids."""
    return ResizeError("AccountCoreQuotaReached", message, (*values, ("NodeType", kind.label)))


def with_resize_error(pool: Pool, error: ResizeError) -> Pool:
    """The pool with this error noted; one of the same code and values is replaced."""
    kind = dict(error.values).get("NodeType")
    kept = tuple(
        e for e in pool.resize_errors if e.code != error.code or dict(e.values).get("NodeType") != kind
    )
    return replace(pool, resize_errors=(*kept, error))


def blocked(pool: Pool, kind: Kind) -> bool:
    """Whether this resize has already given up growing this kind."""
    return any(dict(error.values).get("NodeType") == kind.label for error in pool.resize_errors)


def _target(pool: Pool, kind: Kind) -> int:
    return pool.target_dedicated if kind.dedicated else pool.target_low_priority


def _of_kind(nodes: Iterable[Node], kind: Kind) -> list[Node]:
    return [node for node in nodes if node.dedicated is kind.dedicated]


def _staying(nodes: Iterable[Node], kind: Kind) -> list[Node]:
    return [node for node in _of_kind(nodes, kind) if not departing(node)]


def _resizing(snapshot: PoolSnapshot, nodes: tuple[Node, ...]) -> SizePlan:
    now, pool = snapshot.now, _next_round(snapshot, nodes)
    over = pool.resize.started_at + pool.resize.timeout
    changed: dict[str, Node] = {}
    for node in nodes:
        if node.id in pool.resize.remove and not departing(node):
            changed[node.id] = _drained(node, pool, now)
    current = tuple(changed.get(node.id, node) for node in nodes)
    grow = [0, 0]
    waiting = False
    for index, kind in enumerate(KINDS):
        staying = _staying(current, kind)
        missing = _target(pool, kind) - len(staying)
        if missing < 0:
            for node in victims(staying, _executions(snapshot), -missing, snapshot.managers):
                changed[node.id] = _drained(node, pool, now)
        unallocated = [node for node in staying if not allocated(node) and node.id not in changed]
        short = max(missing, 0) + len(unallocated)
        if short and over <= now:
            changed |= {node.id: _drained(node, pool, now) for node in unallocated}
            if not blocked(pool, kind):
                have = len(staying) - len(unallocated)
                pool = with_resize_error(pool, _timed_out(kind, _target(pool, kind), have))
        elif missing > 0 and not blocked(pool, kind):
            grow[index], error = room_to_grow(snapshot, kind, len(staying), missing, sum(grow))
            pool = pool if error is None else with_resize_error(pool, error)
            waiting = waiting or error is None
        elif unallocated:
            waiting = True
    current = tuple(changed.get(node.id, node) for node in current)
    if waiting or any(grow) or _removal_pending(snapshot, current):
        return SizePlan(pool, (grow[0], grow[1]), tuple(changed.values()), wake_at=_next_look(snapshot, over))
    stuck = [node for node in current if departing(node)]
    pool = with_resize_error(pool, _not_removed(stuck)) if stuck else pool
    return SizePlan(_steadied(pool, now), nodes=tuple(changed.values()), ended=True, wake_at=now)


def _next_round(snapshot: PoolSnapshot, nodes: tuple[Node, ...]) -> Pool:
    """A large pool whose time is over but which got nodes meanwhile goes on with the same targets (our improvement:
    the public service has its users resize again by hand)."""
    pool, now = snapshot.pool, snapshot.now
    resize = pool.resize
    large = pool.target_dedicated + pool.target_low_priority > REGROW_ABOVE
    if not (snapshot.regrow and large) or resize.started_at + resize.timeout > now:
        return pool
    have = sum(1 for node in nodes if allocated(node) and not departing(node))
    if have <= resize.had or resize.round >= REGROW_ROUNDS_MAX:
        return pool
    return replace(pool, resize=replace(resize, started_at=now, round=resize.round + 1, had=have))


def _stopping(snapshot: PoolSnapshot, nodes: tuple[Node, ...]) -> SizePlan:
    """Let go of what has not come, keep what has not gone; the size as it then is becomes the target."""
    pool, now = snapshot.pool, snapshot.now
    changed: dict[str, Node] = {}
    for node in nodes:
        if node.drain is not None and node.drain.purpose == "remove" and node.state is not _N.LEAVING_POOL:
            changed[node.id] = replace(node, drain=None)
        elif not departing(node) and not allocated(node):
            changed[node.id] = _drained(node, pool, now)
    current = tuple(changed.get(node.id, node) for node in nodes)
    if any(departing(node) for node in current) and not _removal_overdue(snapshot, current):
        return SizePlan(pool, nodes=tuple(changed.values()))
    stopped = ResizeError(
        "ResizeStopped", "The resize was stopped by request before its targets were reached."
    )
    pool = replace(
        _steadied(with_resize_error(pool, stopped), now),
        target_dedicated=len(_staying(current, KINDS[0])),
        target_low_priority=len(_staying(current, KINDS[1])),
        modified_at=now,
    )
    return SizePlan(pool, nodes=tuple(changed.values()), ended=True)


def _steady(snapshot: PoolSnapshot, nodes: tuple[Node, ...]) -> SizePlan:
    """Only low-priority nodes are sought outside a resize."""
    pool, kind = snapshot.pool, KINDS[1]
    staying = _staying(nodes, kind)
    missing = pool.target_low_priority - len(staying)
    if missing <= 0 or snapshot.pressure is not None:
        return SizePlan(pool)
    allowed, _ = room_to_grow(snapshot, kind, len(staying), missing)
    return SizePlan(pool, (0, allowed), wake_at=snapshot.now + MINUTE)


def _deleting(snapshot: PoolSnapshot, nodes: tuple[Node, ...]) -> SizePlan:
    pool = snapshot.pool
    if not nodes:
        return SizePlan(pool, gone=True)
    requeue = replace(pool, resize=replace(pool.resize, option=DeallocationOption.REQUEUE))
    changed = []
    for node in nodes:
        waits = node.drain is not None and node.drain.option is not DeallocationOption.REQUEUE
        if node.state is not _N.LEAVING_POOL and (waits or not departing(node)):
            changed.append(_drained(node, requeue, snapshot.now))
    return SizePlan(pool, nodes=tuple(changed))


def _drained(node: Node, pool: Pool, now: Instant) -> Node:
    return replace(node, drain=Drain("remove", pool.resize.option, now))


def _removal_pending(snapshot: PoolSnapshot, nodes: tuple[Node, ...]) -> bool:
    return any(departing(node) for node in nodes) and not _removal_overdue(snapshot, nodes)


def _removal_overdue(snapshot: PoolSnapshot, nodes: tuple[Node, ...]) -> bool:
    """Whether only machines are left to wait for, and each has had the whole timeout to go."""
    resize, now = snapshot.pool.resize, snapshot.now
    return all(
        node.state is _N.LEAVING_POOL and max(node.state_at, resize.started_at) + resize.timeout <= now
        for node in nodes
        if departing(node)
    )


def _steadied(pool: Pool, now: Instant) -> Pool:
    advance(f"pool {pool.id}", ALLOCATION, pool.allocation, AllocationState.STEADY)
    return replace(
        pool,
        allocation=AllocationState.STEADY,
        allocation_at=now,
        resize=replace(pool.resize, remove=()),
    )


def _next_look(snapshot: PoolSnapshot, over: Instant) -> Instant:
    return over if over > snapshot.now else snapshot.now + MINUTE


def _executions(snapshot: PoolSnapshot) -> dict[str, int]:
    """How much would be lost with each node: slots in use."""
    return {node: held.slots or held.executions for node, held in snapshot.held.items()}


def _image_refusal(snapshot: PoolSnapshot, kind: Kind) -> ResizeError | None:
    if isinstance(snapshot.image, ImageMissing):
        missing = snapshot.image
        detail = json.dumps({"image": missing.image, "reason": missing.reason})
        message = f"the pool's image cannot be used: {missing.reason}"
        return allocation_failed(kind, message, (("ProviderErrorJson", detail),))
    if snapshot.host_refuses is not None:
        return allocation_failed(kind, snapshot.host_refuses)
    return None


def _image_limit(kind: Kind, limit: int, others: int, have: int, wanted: int) -> ResizeError:
    message = (
        f"a custom image serves at most {limit} {kind.label} nodes, summed over every pool that uses it or an image "
        f"of the same snapshot; other pools have {others}, this pool {have}, and {wanted} more were asked for"
    )
    values = (
        ("Limit", str(limit)),
        ("UsedByOtherPools", str(others)),
        ("UsedByThisPool", str(have)),
        ("Requested", str(wanted)),
    )
    return allocation_failed(kind, message, values)


def _ports_exhausted(kind: Kind, short: Shortage, have: int, wanted: int) -> ResizeError:
    nat_pool = short.nat_pool
    message = (
        f"the NAT pool {nat_pool.name} has {nat_pool.size} front-end ports ({nat_pool.first}-{nat_pool.last}), one for "
        f"each node; {short.free} are free, {short.elsewhere} belong to other pools of this host, this pool has {have} "
        f"{kind.label} nodes, and {wanted} more were asked for"
    )
    values = (
        ("NatPool", nat_pool.name),
        ("FrontendPorts", str(nat_pool.size)),
        ("FreePorts", str(short.free)),
        ("PortsOfOtherPools", str(short.elsewhere)),
        ("Requested", str(wanted)),
    )
    return allocation_failed(kind, message, values)


def _core_quota(kind: Kind, limit: int, used: int, wanted: int, each: int) -> ResizeError:
    message = (
        f"The account's quota of {limit} {kind.label} cores is reached: {used} were in use when {wanted} more nodes "
        f"of {each} cores were asked for."
    )
    values = (("Limit", str(limit)), ("InUse", str(used)), ("RequestedCores", str(wanted * each)))
    return quota_reached(kind, message, values)


def _not_removed(nodes: list[Node]) -> ResizeError:
    message = (
        f"{len(nodes)} nodes could not be removed as the resize timeout was reached; their removal goes on"
    )
    return ResizeError("RemoveNodesFailed", message, (("Nodes", ", ".join(node.id for node in nodes[:10])),))


def _timed_out(kind: Kind, target: int, have: int) -> ResizeError:
    message = f"Desired number of {kind.label} nodes could not be allocated as the resize timeout was reached"
    values = (("Desired", str(target)), ("Current", str(have)), ("NodeType", kind.label))
    return ResizeError("AllocationTimedout", message, values)
