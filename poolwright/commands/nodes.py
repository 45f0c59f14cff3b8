"""Nodes: what callers may ask of single machines of a pool."""

from __future__ import annotations

from dataclasses import replace

from poolwright.commands import pools
from poolwright.commands.context import Context, record, wake
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.node import WITHOUT_MACHINE, Drain, Logins, Node
from poolwright.domain.rules import not_found
from poolwright.domain.states import NODE, DeallocationOption, NodeState, PoolState, SchedulingState, advance
from poolwright.store.base import Tx

HISTORY_MAX = 30  # newest moves kept with a node, as its record says
_IMMEDIATE = frozenset({DeallocationOption.REQUEUE, DeallocationOption.TERMINATE})
_SETTLED = frozenset({NodeState.IDLE, NodeState.RUNNING, NodeState.OFFLINE})
_RESTARTABLE = _SETTLED | {NodeState.START_TASK_FAILED, NodeState.UNUSABLE}
_UNALLOCATED = frozenset({NodeState.DEALLOCATING, NodeState.DEALLOCATED})
#: States of orders that end the present life of a node, by their name, and the states they are allowed in.
_LIVES = {
    "reboot": (NodeState.REBOOTING, _RESTARTABLE),
    "reimage": (NodeState.REIMAGING, _RESTARTABLE),
    "deallocate": (NodeState.DEALLOCATING, _SETTLED),
}
#: What another order meets while one of these waits for tasks.
_ORDERED = {"reboot": "NodeBeingRebooted", "reimage": "NodeBeingReimaged"}
#: Why an operation on the machine must wait, by the node's state.
_CONFLICTS = {
    NodeState.CREATING: "NodeBeingCreated",
    NodeState.STARTING: "NodeBeingStarted",
    NodeState.WAITING_FOR_START_TASK: "NodeBeingStarted",
    NodeState.REBOOTING: "NodeBeingRebooted",
    NodeState.REIMAGING: "NodeBeingReimaged",
    NodeState.UNKNOWN: "NodeStateUnusable",
    NodeState.UNUSABLE: "NodeStateUnusable",
}
#: States in which no machine is there whose files could be served.
_WITHOUT_FILES = frozenset(
    {
        NodeState.CREATING,
        NodeState.REBOOTING,
        NodeState.REIMAGING,
        NodeState.PREEMPTED,
        NodeState.DEALLOCATING,
        NodeState.DEALLOCATED,
    }
)


def get(tx: Tx, account: str, pool: str, node: str) -> Node:
    """The node. Raises PoolNotFound or NodeNotFound (404)."""
    found = tx.nodes.get(account, pool, node)
    if found is None:
        pools.get(tx, account, pool)
        raise not_found("node", node)
    return found


def with_files(tx: Tx, account: str, pool: str, node: str) -> Node:
    """The node, if its files may be there. Raises 404; 409 NodeNotReady without a machine, NodeStateUnusable.

    A machine that runs but is of no use (a mount failed, a disk is full) shows its files: they say why.
    """
    found = get(tx, account, pool, node)
    codes = {error.code for error in found.errors}
    if found.state is NodeState.UNUSABLE and (not codes or codes & WITHOUT_MACHINE):
        why = found.errors[-1].message if found.errors else "The node is unusable."
        raise ServiceError("NodeStateUnusable", None, (("NodeState", found.state.value), ("Reason", why)))
    stopped = found.state is NodeState.STARTING and found.booted_at is None
    if found.state in _WITHOUT_FILES or stopped:
        values = (("NodeState", found.state.value), ("Reason", "The node has no running machine now."))
        raise ServiceError("NodeNotReady", None, values)
    return found


def page(tx: Tx, account: str, pool: str, after: str | None, limit: int) -> list[Node]:
    """Nodes in order of lower-cased id. Raises PoolNotFound (404)."""
    return tx.nodes.page(account, pools.get(tx, account, pool).id, after, limit)


def reboot(
    tx: Tx, ctx: Context, account: str, pool: str, node: str, option: DeallocationOption | None
) -> Node:
    """Restart the node's machine, at once or (task completion, retained data) when its tasks allow; default requeue.

    A restart that waits for nothing shows as `rebooting` at once, since clients poll that state. Raises 404; 409
    by the node's state: NodeBeingCreated, NodeBeingStarted, NodeBeingRebooted, NodeStateUnusable, ...
    """
    return _end_life(tx, ctx, of_active_pool(tx, account, pool, node), "reboot", option)


def reimage(
    tx: Tx, ctx: Context, account: str, pool: str, node: str, option: DeallocationOption | None
) -> Node:
    """Make the node anew from its image, temporary disk included; options and errors as `reboot`.

    The public service refuses it on nodes of virtual-machine pools, and so do we (409 OperationNotValidOnNode) unless
    the operator allows it.
    """
    found = of_active_pool(tx, account, pool, node)
    if not ctx.settings.allow_reimage:
        reason = (
            "Nodes of virtual-machine pools are not reimaged unless the service runs with --allow-reimage."
        )
        raise ServiceError("OperationNotValidOnNode", None, (("Reason", reason),))
    return _end_life(tx, ctx, found, "reimage", option)


def deallocate(
    tx: Tx, ctx: Context, account: str, pool: str, node: str, option: DeallocationOption | None
) -> Node:
    """Stop the node's machine and keep its storage; options as `reboot`.

    Raises 404; 409 by the node's state, OperationInvalidForCurrentState when it is deallocated already.
    """
    return _end_life(tx, ctx, of_active_pool(tx, account, pool, node), "deallocate", option)


def start(tx: Tx, ctx: Context, account: str, pool: str, node: str) -> Node:
    """Start the machine of a deallocated node again; its start task runs anew.

    Raises 404, 409 by the node's state unless it is deallocated.
    """
    found = of_active_pool(tx, account, pool, node)
    if found.state is not NodeState.DEALLOCATED:
        raise conflict(found)
    found = _moved(found, NodeState.STARTING, ctx, "start by request")
    changed = tx.nodes.update(
        replace(found, fence=found.fence + 1, attempts=0, retry_at=0, start_task=None, drain=None)
    )
    _noted(tx, ctx, changed, "node.start")
    return changed


def _end_life(tx: Tx, ctx: Context, node: Node, order: str, option: DeallocationOption | None) -> Node:
    target, allowed = _LIVES[order]
    if node.state not in allowed:
        raise conflict(node)
    if node.drain is not None and node.drain.purpose in _LIVES:
        raise ServiceError(_ORDERED.get(node.drain.purpose, "OperationInvalidForCurrentState"))
    option = option or DeallocationOption.REQUEUE
    idle = option is DeallocationOption.TASK_COMPLETION and not tx.executions.of_machine(node.machine)
    if option in _IMMEDIATE or idle:
        node = _moved(node, target, ctx, f"{order} by request")
    changed = tx.nodes.update(replace(node, drain=Drain(order, option, ctx.now)))
    _noted(tx, ctx, changed, f"node.{order}", option=option.value)
    return changed


def disable_scheduling(
    tx: Tx, ctx: Context, account: str, pool: str, node: str, option: DeallocationOption | None
) -> Node:
    """Give the node no more tasks; running ones are requeued (default), terminated or may finish.

    Raises 400 InvalidPropertyValue for retained data, 404, 409 NodeAlreadyInTargetSchedulingState.
    """
    option = option or DeallocationOption.REQUEUE
    if option is DeallocationOption.RETAINED_DATA:
        reason = "One of requeue, terminate, taskcompletion."
        raise bad_property("nodeDisableSchedulingOption", option.value, reason)
    found = of_active_pool(tx, account, pool, node)
    if found.scheduling is SchedulingState.DISABLED:
        raise ServiceError("NodeAlreadyInTargetSchedulingState")
    drain = found.drain or Drain("offline", option, ctx.now)
    changed = tx.nodes.update(replace(found, scheduling=SchedulingState.DISABLED, drain=drain))
    _noted(tx, ctx, changed, "node.scheduling.disable", option=option.value)
    return changed


def enable_scheduling(tx: Tx, ctx: Context, account: str, pool: str, node: str) -> Node:
    """Give the node tasks again. Raises 404, 409 NodeAlreadyInTargetSchedulingState."""
    found = of_active_pool(tx, account, pool, node)
    if found.scheduling is SchedulingState.ENABLED:
        raise ServiceError("NodeAlreadyInTargetSchedulingState")
    if found.drain is not None and found.drain.purpose == "offline":
        found = replace(found, drain=None)
    if found.state is NodeState.OFFLINE:
        found = _moved(found, NodeState.IDLE, ctx, "scheduling is enabled")
    changed = tx.nodes.update(replace(found, scheduling=SchedulingState.ENABLED))
    _noted(tx, ctx, changed, "node.scheduling.enable")
    return changed


def preempt(tx: Tx, ctx: Context, account: str, pool: str, node: str) -> Node:
    """Take the machine of a low-priority node away, as an operator; its tasks run elsewhere, its id stays.

    Raises 404; 409 OperationNotValidOnNode for a dedicated node, OperationInvalidForCurrentState when it is
    preempted already or leaving.
    """
    found = of_active_pool(tx, account, pool, node)
    if found.dedicated:
        reason = "Only low-priority nodes can be preempted."
        raise ServiceError("OperationNotValidOnNode", None, (("Reason", reason),))
    if found.state is NodeState.PREEMPTED or found.state in _UNALLOCATED:
        raise conflict(found)
    if found.state is NodeState.STARTING:  # what a stopped machine kept goes too
        found = replace(found, booted_at=found.booted_at or ctx.now)
    taken = replace(
        _moved(found, NodeState.PREEMPTED, ctx, "preempted by the operator"),
        drain=None,
        start_task=None,
        logins=Logins(),
    )
    changed = tx.nodes.update(taken)
    _noted(tx, ctx, changed, "node.preempt", reason="operator")
    return changed


def of_active_pool(tx: Tx, account: str, pool: str, node: str) -> Node:
    """The node, unless it or its pool is going. Raises 404, 409."""
    if pools.get(tx, account, pool).state is PoolState.DELETING:
        raise ServiceError("PoolBeingDeleted")
    found = get(tx, account, pool, node)
    leaving = found.drain is not None and found.drain.purpose == "remove"
    if leaving or found.state is NodeState.LEAVING_POOL:
        reason = "The node is leaving its pool."
        raise ServiceError("OperationInvalidForCurrentState", None, (("Reason", reason),))
    return found


def conflict(node: Node) -> ServiceError:
    """The 409 that the node's state stands for."""
    code = _CONFLICTS.get(node.state, "OperationInvalidForCurrentState")
    return ServiceError(code, None, (("NodeState", node.state.value),))


def _moved(node: Node, state: NodeState, ctx: Context, reason: str) -> Node:
    story = tuple(f"{at} {was}: {why}" for at, was, why in node.history)
    advance(f"node {node.id}", NODE, node.state, state, story)
    history = (*node.history, (ctx.now, state.value, reason))[-HISTORY_MAX:]
    return replace(node, state=state, state_at=ctx.now, history=history)


def _noted(tx: Tx, ctx: Context, node: Node, kind: str, **detail: str) -> None:
    record(tx, ctx, node.account, f"node/{node.pool}/{node.id}", kind, **detail)
    wake(tx, "pool", node.account, node.pool)
