"""What an engine answered, written down: the last third of record, act, confirm.

An answer counts only for the life it was asked for: if the node has moved on since, the answer is dropped and the
next pass looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poolwright.decide import node_logins, pool_size
from poolwright.decide.node_events import (
    Booted,
    awaits_machine,
    deallocated,
    evicted,
    machine_gone,
    move,
    put_off,
    refused,
    with_error,
)
from poolwright.decide.pool_size import Kind
from poolwright.decide.snapshot import allocated
from poolwright.decide.task_life import End
from poolwright.domain.clock import SECOND, Instant
from poolwright.domain.facts import DirtyKey
from poolwright.domain.node import Drain, Node, NodeError
from poolwright.domain.pool import Pool, ResizeError
from poolwright.domain.states import AllocationState, DeallocationOption, NodeState
from poolwright.engines.base import (
    EngineError,
    Machine,
    NoCapacity,
    NotFound,
    Outcome,
    QuotaExceeded,
    Rejected,
)
from poolwright.reconcile import endings
from poolwright.reconcile.events import Batch, Reaction
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.pools import Life
from poolwright.store.base import Tx

_REMOVAL = "Wait: it is tried again. If that goes on, see what the message names, and the log of the service."


def created(tx: Tx, kit: Kit, answers: Sequence[tuple[Life, Outcome]], now: Instant) -> Reaction:
    """Machines that exist now, or why they do not; start tasks and ready tasks go out with it."""
    batch = Batch(tx, kit, now)
    ready = []
    for life, outcome in answers:
        node = _present(tx, life)
        if node is None or not awaits_machine(node):
            continue
        if isinstance(outcome, Machine):
            if _made(batch, node, outcome):
                ready.append(node.machine)
        else:
            _not_made(batch, node, outcome)
    batch.refill(ready)
    return batch.reaction


def stopped(tx: Tx, answers: Sequence[tuple[Life, EngineError | None]], now: Instant) -> set[str]:
    """Machines of former lives that are gone; returns those whose new life may be made."""
    done = set()
    for life, error in answers:
        node = _present(tx, life)
        if node is None:
            continue
        if error is not None and not isinstance(error, NotFound):
            tx.nodes.update(put_off(node, now, str(error)))
            continue
        _over(tx, life.machine, life.fence, now)
        done.add(life.machine)
    return done


def halted(tx: Tx, answers: Sequence[tuple[Life, EngineError | None]], now: Instant) -> bool:
    """Machines that were to stop, with their storage kept. Returns whether one did."""
    done = stopped(tx, answers, now)
    nodes = [_present(tx, life) for life, _ in answers if life.machine in done]
    resting = [node for node in nodes if node is not None and node.state is NodeState.DEALLOCATING]
    for node in resting:
        tx.nodes.update(deallocated(node, now))
    return bool(resting)


def logins_set(tx: Tx, life: Life, wanted: int, error: EngineError | None, now: Instant) -> bool:
    """Who may log in was told to the machine, or why it was not. Returns whether that is settled."""
    node = _present(tx, life)
    if node is None:
        return False
    if error is None or isinstance(error, Rejected):
        tx.nodes.update(node_logins.applied(node, wanted, None if error is None else str(error)))
        return True
    tx.nodes.update(node_logins.failed(node, now))
    return False


def removed(tx: Tx, answers: Sequence[tuple[Life, EngineError | None]], now: Instant) -> None:
    """Machines whose absence is certain: their rows go. Others are asked again in the next pass."""
    for life, error in answers:
        node = tx.nodes.get(life.account, life.pool, life.node)
        if node is None or node.state is not NodeState.LEAVING_POOL:
            continue
        if not isinstance(error, NotFound):
            _still_there(tx, node, error)
            continue
        _over(tx, life.machine, node.fence + 1, now)
        tx.nodes.delete(life.account, life.pool, life.node)
        tx.mark_dirty(DirtyKey("pool", life.account, life.pool))


def evictions(tx: Tx, answers: Sequence[tuple[Life, EngineError | None]], now: Instant) -> None:
    """Machines of preempted nodes whose absence is certain: their tasks run elsewhere."""
    for life, error in answers:
        node = _present(tx, life)
        if node is None or node.state is not NodeState.PREEMPTED:
            continue
        if not isinstance(error, NotFound):
            _still_there(tx, node, error)
            continue
        _over(tx, life.machine, node.fence + 1, now)
        tx.nodes.update(evicted(node, now))


def _still_there(tx: Tx, node: Node, error: EngineError | None) -> None:
    """The machine is not known to be gone: it is asked again, and the node says why it waits."""
    if error is None:
        return
    told = with_error(node, "MachineDelayed", f"The machine could not be removed yet: {error}", _REMOVAL)
    if told.errors != node.errors:
        tx.nodes.update(told)


def _present(tx: Tx, life: Life) -> Node | None:
    node = tx.nodes.get(life.account, life.pool, life.node)
    return node if node is not None and node.fence == life.fence else None


def _over(tx: Tx, machine: str, below_fence: int, now: Instant) -> None:
    """Executions of lives below this fence are dead: their machine is."""
    dead = [e for e in tx.executions.of_machine(machine) if e.fence < below_fence]
    endings.finish(tx, [(e, End(now, "lost", message="its machine was removed")) for e in dead], now)


def _made(batch: Batch, node: Node, machine: Machine) -> bool:
    """Whether the node takes tasks now."""
    now = batch.now
    if machine.state != "running" or machine.fence != node.fence:
        node = move(node, NodeState.STARTING, now, f"the machine is {machine.state}")
        batch.save(machine_gone(replace(node, booted_at=now), f"the machine came up {machine.state}", now))
        return False
    limits = () if not machine.limits else (f"limits in force: {', '.join(machine.limits)}",)
    troubles = tuple(NodeError(t.code, t.message, t.details, "machine") for t in machine.troubles)
    booted = Booted(machine.address, (*machine.notes, *limits), machine.phases_ms, troubles, machine.agent)
    node = batch.join(node, booted)
    return node.state is not NodeState.STARTING and (node.start_task is None or node.state is NodeState.IDLE)


def _not_made(batch: Batch, node: Node, error: EngineError) -> None:
    """Growth that is refused ends for its kind; a node that had a machine before waits for another."""
    tx, now = batch.tx, batch.now
    pool = batch.pool(node)
    kind = Kind(node.dedicated)
    final = isinstance(error, NoCapacity | QuotaExceeded | Rejected)
    growing = not allocated(node)
    if final and growing and (pool.allocation is not AllocationState.STEADY or isinstance(error, Rejected)):
        drain = Drain("remove", DeallocationOption.REQUEUE, now)
        leaving = move(node, NodeState.LEAVING_POOL, now, f"no machine: {error}")
        batch.save(replace(leaving, drain=drain))
        _note(tx, node, _resize_error(kind, error))
    elif isinstance(error, Rejected):
        batch.save(refused(node, str(error), now))
    elif (
        isinstance(error, NoCapacity | QuotaExceeded)
        and not node.dedicated
        and node.state is NodeState.CREATING
    ):
        back = node if growing else move(node, NodeState.PREEMPTED, now, str(error))
        batch.save(put_off(back, now, str(error), 30 * SECOND))
    else:
        batch.save(put_off(node, now, str(error)))


def _resize_error(kind: Kind, error: EngineError) -> ResizeError:
    if isinstance(error, QuotaExceeded):
        return pool_size.quota_reached(kind, str(error))
    return pool_size.allocation_failed(kind, str(error))


def _note(tx: Tx, node: Node, error: ResizeError) -> None:
    pool: Pool | None = tx.pools.get(node.account, node.pool)
    if pool is not None and not pool_size.blocked(pool, Kind(node.dedicated)):
        tx.pools.update(pool_size.with_resize_error(pool, error))
