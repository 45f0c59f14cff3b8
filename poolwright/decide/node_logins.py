"""Who may log in to a node: what its machine has is brought in line with what callers asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poolwright.domain.clock import SECOND, Instant, Micros
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import NodeState

#: Wait before a machine that could not be told is told again.
RETRY_WAIT: Micros = 5 * SECOND

#: States in which the machine runs and can be told.
_TELLABLE = frozenset(
    {
        NodeState.IDLE,
        NodeState.RUNNING,
        NodeState.OFFLINE,
        NodeState.WAITING_FOR_START_TASK,
        NodeState.START_TASK_FAILED,
    }
)


def expired(node: Node, now: Instant) -> Node:
    """The node without the users whose time is over."""
    kept = tuple(user for user in node.logins.users if user.expires_at > now)
    if len(kept) == len(node.logins.users):
        return node
    return replace(node, logins=replace(node.logins, users=kept, wanted=node.logins.wanted + 1, retry_at=0))


def outdated(node: Node, now: Instant, travellers: Sequence[str] = ()) -> bool:
    """Whether the machine has to be told now who may log in; `travellers` are accounts that always may."""
    logins = node.logins
    if (
        node.state not in _TELLABLE
        or logins.retry_at > now
        or not (logins.users or logins.applied or travellers)
    ):
        return False
    return (logins.wanted, node.fence) != (logins.applied, logins.applied_fence)


def travellers(pool: Pool) -> tuple[str, ...]:
    """Accounts of the pool that go from node to node with their key pair."""
    return tuple(account.name for account in pool.spec.accounts if account.private_key is not None)


def wake_at(node: Node, now: Instant) -> Instant | None:
    """When to look again: the next expiry, or the next try."""
    times = [user.expires_at for user in node.logins.users]
    if node.logins.retry_at > now:
        times.append(node.logins.retry_at)
    return min(times, default=None)


def applied(node: Node, wanted: int, problem: str | None) -> Node:
    """The machine of this life was told the state numbered `wanted`; `problem` is why it cannot be had there."""
    logins = replace(node.logins, applied=wanted, applied_fence=node.fence, problem=problem, retry_at=0)
    return replace(node, logins=logins)


def failed(node: Node, now: Instant) -> Node:
    """The machine could not be told."""
    return replace(node, logins=replace(node.logins, retry_at=now + RETRY_WAIT))
