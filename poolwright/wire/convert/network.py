"""The network of a pool: its part of the pool's body, and the endpoints its nodes show."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from poolwright.domain.errors import bad_property
from poolwright.domain.limits import SOURCE_PORT_RANGES_MAX
from poolwright.domain.network import (
    ANYWHERE,
    INTERNET,
    VIRTUAL_NETWORK,
    AccessRule,
    NatPool,
    PoolNetwork,
    PortRange,
)
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.wire.convert.shared import Document, refuse
from poolwright.wire.generated import batch_models as models

_AT = "networkConfiguration."
_PUBLIC = _AT + "publicIPAddressConfiguration."
_SUBNET = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.(Network|ClassicNetwork)/virtualNetworks/[^/]+"
    r"/subnets/[^/]+\Z",
    re.IGNORECASE,
)
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?\Z", re.ASCII)
#: The address that the public service documents for this tag; nobody comes from it here.
_TAGS = {
    "*": ANYWHERE,
    "any": ANYWHERE,
    "internet": INTERNET,
    "virtualnetwork": VIRTUAL_NETWORK,
    "azureloadbalancer": "168.63.129.16/32",
}


def read_network(body: models.NetworkConfiguration | None) -> PoolNetwork:
    """The network of a pool's body. What cannot be had is refused by name. Raises ServiceError (400)."""
    if body is None:
        return PoolNetwork()
    _refuse_unhad(body)
    public = _read_public(body.public_ip_address_configuration)
    endpoints = body.endpoint_configuration
    found = endpoints.inbound_nat_pools if endpoints is not None else []
    return PoolNetwork(tuple(_read_nat_pool(index, one) for index, one in enumerate(found)), public)


def _refuse_unhad(body: models.NetworkConfiguration) -> None:
    if body.subnet_id is not None:
        if not _SUBNET.match(body.subnet_id):
            reason = (
                "The id of a subnet has the form /subscriptions/{subscription}/resourceGroups/{group}/providers"
                "/Microsoft.Network/virtualNetworks/{network}/subnets/{subnet}."
            )
            raise bad_property(_AT + "subnetId", body.subnet_id, reason)
        reason = (
            "There is no such subnet: this service keeps no virtual networks, its nodes have one of its own."
        )
        raise bad_property(_AT + "subnetId", body.subnet_id, reason)
    scope = body.dynamic_v_net_assignment_scope
    if scope is not None and scope.value != "none":
        reason = "This service keeps no virtual networks that a job could bring."
        raise refuse(_AT + "dynamicVNetAssignmentScope", scope.value, reason)
    if body.enable_accelerated_networking:
        reason = "The virtual cables of nodes on one host have no hardware that could be handed through."
        raise refuse(_AT + "enableAcceleratedNetworking", True, reason)


def _read_public(body: models.BatchPublicIpAddressConfiguration | None) -> bool:
    """Whether nodes may be reached from outside."""
    if body is None:
        return True
    provision = None if body.provision is None else body.provision.value
    if provision == "usermanaged" or body.ip_address_ids:
        name, value = ("provision", provision) if provision == "usermanaged" else ("ipAddressIds", "given")
        reason = "The only public address is this host's; give batchmanaged or nopublicipaddresses."
        raise refuse(_PUBLIC + name, value, reason)
    if any(family.value != "IPv4" for family in body.ip_families or ()):
        raise refuse(_PUBLIC + "ipFamilies", "IPv6", "The network of nodes is IPv4.")
    if body.ip_tags:
        raise refuse(_PUBLIC + "ipTags", "given", "This host's address takes no tags.")
    return provision != "nopublicipaddresses"


def _read_nat_pool(index: int, body: models.BatchInboundNatPool) -> NatPool:
    at = f"{_AT}endpointConfiguration.inboundNATPools[{index}].networkSecurityGroupRules"
    rules = [
        AccessRule(
            rule.priority,
            rule.access.value == "allow",
            _read_source(f"{at}[{number}].sourceAddressPrefix", rule.source_address_prefix),
            _read_ports(f"{at}[{number}].sourcePortRanges", rule.source_port_ranges),
        )
        for number, rule in enumerate(body.network_security_group_rules or ())
    ]
    return NatPool(
        body.name,
        body.protocol.value,
        body.backend_port,
        body.frontend_port_range_start,
        body.frontend_port_range_end,
        tuple(rules),
    )


def _read_source(name: str, given: str) -> str:
    tag = _TAGS.get(given.lower())
    if tag is not None:
        return tag
    try:
        network = ipaddress.ip_network(given, strict=False)
    except ValueError:
        reason = (
            "A source is an IPv4 address, a network such as 10.10.0.0/16, '*', or one of the tags Internet, "
            "VirtualNetwork and AzureLoadBalancer; the addresses of other tags are not known here."
        )
        raise bad_property(name, given, reason) from None
    if network.version != 4:
        raise bad_property(name, given, "Front-end ports are reached by IPv4 only.")
    return str(network)


def _read_ports(name: str, given: Sequence[str] | None) -> tuple[PortRange, ...]:
    if given is not None and len(given) > SOURCE_PORT_RANGES_MAX:
        raise bad_property(name, f"{len(given)} ranges", f"At most {SOURCE_PORT_RANGES_MAX} ranges.")
    ranges = [_read_range(name, text) for text in given or ()]
    return () if (0, 65535) in ranges else tuple(sorted(set(ranges)))


def _read_range(name: str, text: str) -> PortRange:
    if text == "*":
        return 0, 65535
    match = _PORTS.match(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if not 0 <= first <= last <= 65535:
        raise bad_property(
            name, text, "A port range is '*', a port from 0 to 65535, or two of them as in 100-200."
        )
    return first, last


@dataclass(frozen=True, slots=True)
class Front:
    """How the client that asks gets to this host, which is how it gets to nodes."""

    address: str
    name: str


def show_endpoints(node: Node, pool: Pool, front: Front) -> list[Document]:
    """The inbound endpoints of a node, one for each NAT pool."""
    nat_pools = {nat_pool.name: nat_pool for nat_pool in pool.spec.network.nat_pools}
    shown = []
    for given in node.front_ports:
        nat_pool = nat_pools.get(given.nat_pool)
        if nat_pool is not None:
            name = f"{nat_pool.name}.{given.port - nat_pool.first}"
            shown.append(endpoint(name, given.protocol, front, given.port, nat_pool.backend_port))
    return shown


def endpoint(name: str, protocol: str, front: Front, port: int, backend: int) -> Document:
    """One inbound endpoint."""
    return {
        "name": name,
        "protocol": protocol,
        "publicIPAddress": front.address,
        "publicFQDN": front.name,
        "frontendPort": port,
        "backendPort": backend,
    }


def login_port(node: Node, pool: Pool) -> int | None:
    """The front-end port that leads to the SSH server of a node, when the pool maps it."""
    for given in node.front_ports:
        for nat_pool in pool.spec.network.nat_pools:
            if nat_pool.name == given.nat_pool and (nat_pool.backend_port, nat_pool.protocol) == (22, "tcp"):
                return given.port
    return None
