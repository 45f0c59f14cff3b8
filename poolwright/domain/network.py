"""How nodes of a pool are reached from outside: front-end ports of this host that lead to ports of each node."""

from __future__ import annotations

from dataclasses import dataclass

ANYWHERE = "*"
#: Service tags with a meaning on one host: everybody outside of the machines' network; the machines' network.
INTERNET, VIRTUAL_NETWORK = "Internet", "VirtualNetwork"

PortRange = tuple[int, int]
"""First and last port, both in the range."""


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One network security rule: who may come through a NAT pool, or may not."""

    priority: int  # 150..4096; the lowest number is looked at first
    allow: bool
    source: str  # IPv4 address or network in CIDR form, ANYWHERE, INTERNET or VIRTUAL_NETWORK
    source_ports: tuple[PortRange, ...] = ()  # empty: every port


@dataclass(frozen=True, slots=True)
class NatPool:
    """A range of front-end ports, each of which leads to one port of one node."""

    name: str
    protocol: str  # "tcp" | "udp"
    backend_port: int
    first: int  # front-end ports, both ends in the range
    last: int
    rules: tuple[AccessRule, ...] = ()  # none: everybody may come. With some, who fits none may not

    @property
    def by_priority(self) -> list[AccessRule]:
        """The rules in the order in which they are looked at."""
        return sorted(self.rules, key=lambda rule: rule.priority)

    @property
    def size(self) -> int:
        """How many nodes it serves, since there is one public address: this host's."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class PoolNetwork:
    """A pool's network. `public`: its nodes may be reached from outside at all (remote login, NAT pools)."""

    nat_pools: tuple[NatPool, ...] = ()
    public: bool = True

    @property
    def node_limit(self) -> int | None:
        """Nodes of both kinds that the front-end ports suffice for; None: as many as you like."""
        return min((nat_pool.size for nat_pool in self.nat_pools), default=None)


@dataclass(frozen=True, slots=True)
class FrontPort:
    """A front-end port given to one node for its whole time in the pool."""

    nat_pool: str
    protocol: str
    port: int
