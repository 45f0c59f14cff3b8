"""Front-end ports for nodes to come: the lowest free ones of each NAT pool, and how many nodes they suffice for.

All pools share this host's address, so a port that any node has is taken, whichever pool the node is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from poolwright.decide.snapshot import PoolSnapshot, departing
from poolwright.domain.network import FrontPort, NatPool


@dataclass(frozen=True, slots=True)
class Shortage:
    """The NAT pool with the fewest free ports. `returning` are held by nodes that are about to go."""

    nat_pool: NatPool
    free: int
    returning: int
    elsewhere: int  # ports of its range that other pools (or this service) have


def shortage(snapshot: PoolSnapshot) -> Shortage | None:
    """What limits growth now; None for a pool without NAT pools."""
    found = [_of(snapshot, nat_pool) for nat_pool in snapshot.pool.spec.network.nat_pools]
    return min(found, key=lambda one: one.free, default=None)


def _of(snapshot: PoolSnapshot, nat_pool: NatPool) -> Shortage:
    own = _own(snapshot)
    ports = [(nat_pool.protocol, port) for port in range(nat_pool.first, nat_pool.last + 1)]
    elsewhere = sum(1 for port in ports if port in snapshot.ports_taken and port not in own)
    free = sum(1 for port in ports if port not in own) - elsewhere
    returning = sum(1 for node in snapshot.nodes if departing(node) and node.front_ports)
    return Shortage(nat_pool, free, returning, elsewhere)


def give(snapshot: PoolSnapshot, count: int) -> list[tuple[FrontPort, ...]]:
    """Ports for `count` new nodes, as many as `shortage` allows at most."""
    taken = snapshot.ports_taken | _own(snapshot)
    columns = [
        list(islice(_free(nat_pool, taken), count)) for nat_pool in snapshot.pool.spec.network.nat_pools
    ]
    return [tuple(column[index] for column in columns) for index in range(count)]


def _free(nat_pool: NatPool, taken: frozenset[tuple[str, int]]) -> Iterator[FrontPort]:
    for port in range(nat_pool.first, nat_pool.last + 1):
        if (nat_pool.protocol, port) not in taken:
            yield FrontPort(nat_pool.name, nat_pool.protocol, port)


def _own(snapshot: PoolSnapshot) -> frozenset[tuple[str, int]]:
    return frozenset((given.protocol, given.port) for node in snapshot.nodes for given in node.front_ports)
