"""What a pool's network may be (public behaviour, "Inbound NAT pools")."""

from __future__ import annotations

import re
from collections.abc import Iterator

from poolwright.domain.errors import bad_property
from poolwright.domain.limits import (
    ACCESS_PRIORITY_MAX,
    ACCESS_PRIORITY_MIN,
    ACCESS_RULES_MAX,
    FRONT_PORT_MAX,
    FRONT_PORTS_MIN,
    LOGIN_PORTS,
    NAT_POOL_NAME_MAX,
    NAT_POOLS_MAX,
)
from poolwright.domain.network import NatPool, PoolNetwork
from poolwright.domain.pool import PoolSpec

_NAT_POOLS = "networkConfiguration.endpointConfiguration.inboundNATPools"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\Z", re.ASCII)
_AGENT_PORTS = (29876, 29877)  # the public service's own; 22 and 3389 are mapped by everybody and so may be


def check(network: PoolNetwork) -> None:
    """Every rule that needs no state.

    Raises InvalidPropertyValue (400) naming the property, its value and the reason.
    """
    pools = network.nat_pools
    if pools and not network.public:
        reason = "A pool without public addresses (nopublicipaddresses) has no inbound NAT pools."
        raise bad_property(_NAT_POOLS, f"{len(pools)} NAT pools", reason)
    if len(pools) > NAT_POOLS_MAX:
        raise bad_property(_NAT_POOLS, f"{len(pools)} NAT pools", f"A pool has at most {NAT_POOLS_MAX}.")
    for index, nat_pool in enumerate(pools):
        _check_one(f"{_NAT_POOLS}[{index}].", nat_pool)
    _check_together(pools)
    _check_access(pools)


def check_size(spec: PoolSpec, dedicated: int, low_priority: int) -> None:
    """Targets above what the front-end ports suffice for. Raises InvalidPropertyValue (400)."""
    limit, wanted = spec.network.node_limit, dedicated + low_priority
    if limit is not None and wanted > limit:
        least = min(spec.network.nat_pools, key=lambda nat_pool: nat_pool.size)
        reason = (
            f"The NAT pool {least.name} has {limit} front-end ports, so the pool has at most {limit} nodes of both "
            "kinds."
        )
        raise bad_property("targetDedicatedNodes" if dedicated else "targetLowPriorityNodes", wanted, reason)


def _check_one(at: str, nat_pool: NatPool) -> None:
    name, first, last = nat_pool.name, nat_pool.first, nat_pool.last
    if len(name) > NAT_POOL_NAME_MAX or not _NAME.match(name):
        reason = (
            f"A name has 1 to {NAT_POOL_NAME_MAX} letters, digits, '_', '.' and '-', begins with a letter or digit and "
            "ends with a letter, a digit or '_'."
        )
        raise bad_property(at + "name", name, reason)
    if not 1 <= nat_pool.backend_port <= 65535 or nat_pool.backend_port in _AGENT_PORTS:
        reason = f"A back-end port is 1 to 65535, but none of {', '.join(map(str, _AGENT_PORTS))}."
        raise bad_property(at + "backendPort", nat_pool.backend_port, reason)
    for property, port in (("frontendPortRangeStart", first), ("frontendPortRangeEnd", last)):
        if not 1 <= port <= FRONT_PORT_MAX:
            raise bad_property(at + property, port, f"A front-end port is 1 to {FRONT_PORT_MAX}.")
    shown = f"{first}-{last}"
    if nat_pool.size < FRONT_PORTS_MIN:
        reason = f"A range ends after its start and has at least {FRONT_PORTS_MIN} ports."
        raise bad_property(at + "frontendPortRangeEnd", shown, reason)
    if first <= LOGIN_PORTS[1] and last >= LOGIN_PORTS[0]:
        reason = f"The ports {LOGIN_PORTS[0]}-{LOGIN_PORTS[1]} are reserved."
        raise bad_property(at + "frontendPortRangeStart", shown, reason)


def _check_together(pools: tuple[NatPool, ...]) -> None:
    for index, nat_pool in enumerate(pools):
        at = f"{_NAT_POOLS}[{index}]."
        for other in pools[:index]:
            if nat_pool.name.lower() == other.name.lower():
                raise bad_property(at + "name", nat_pool.name, "Another NAT pool has this name.")
            if nat_pool.backend_port == other.backend_port:
                reason = f"The NAT pool {other.name} leads to this port."
                raise bad_property(at + "backendPort", nat_pool.backend_port, reason)
            if nat_pool.first <= other.last and other.first <= nat_pool.last:
                reason = f"The range overlaps that of the NAT pool {other.name} ({other.first}-{other.last})."
                shown = f"{nat_pool.first}-{nat_pool.last}"
                raise bad_property(at + "frontendPortRangeStart", shown, reason)


def _check_access(pools: tuple[NatPool, ...]) -> None:
    total = sum(len(nat_pool.rules) for nat_pool in pools)
    if total > ACCESS_RULES_MAX:
        reason = f"A pool has at most {ACCESS_RULES_MAX} network security rules in all."
        raise bad_property(_NAT_POOLS, f"{total} rules", reason)
    seen: set[int] = set()
    for at, priority in _priorities(pools):
        if not ACCESS_PRIORITY_MIN <= priority <= ACCESS_PRIORITY_MAX:
            reason = f"A priority is {ACCESS_PRIORITY_MIN} to {ACCESS_PRIORITY_MAX}."
            raise bad_property(at, priority, reason)
        if priority in seen:
            raise bad_property(at, priority, "Another rule of the pool has this priority.")
        seen.add(priority)


def _priorities(pools: tuple[NatPool, ...]) -> Iterator[tuple[str, int]]:
    for index, nat_pool in enumerate(pools):
        for number, rule in enumerate(nat_pool.rules):
            yield f"{_NAT_POOLS}[{index}].networkSecurityGroupRules[{number}].priority", rule.priority
