"""The network of pools through the official SDK, and bodies that ask for another one than there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError

from poolwright.domain.network import FrontPort
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.bad_bodies import POOL
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller
from tests.wire.batch.test_sdk_sync import client, code_of, named, pool_options

__all__ = ["client"]

AT = "networkConfiguration."
POOLS = AT + "endpointConfiguration.inboundNATPools"
PUBLIC = AT + "publicIPAddressConfiguration."
WEB = {
    "name": "web",
    "protocol": "tcp",
    "backendPort": 80,
    "frontendPortRangeStart": 15000,
    "frontendPortRangeEnd": 15099,
}
RULE = {"priority": 150, "access": "deny", "sourceAddressPrefix": "*"}
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"


def nat(**change: object) -> dict[str, Any]:
    return {"endpointConfiguration": {"inboundNATPools": [{**WEB, **change}]}}


def rule(**change: object) -> dict[str, Any]:
    return nat(networkSecurityGroupRules=[{**RULE, **change}])


def public(**change: object) -> dict[str, Any]:
    return {"publicIPAddressConfiguration": change}


def mapped(id: str, **change: Any) -> models.BatchPoolCreateOptions:
    """A pool that maps port 22 for one neighbourhood, and a UDP port for everybody."""
    rules = [
        models.NetworkSecurityGroupRule(
            priority=200,
            access="allow",
            source_address_prefix="10.10.0.0/16",
            source_port_ranges=["1-100", "*"],
        ),
        models.NetworkSecurityGroupRule(priority=151, access="deny", source_address_prefix="Internet"),
    ]
    pools = [
        models.BatchInboundNatPool(
            name="ssh",
            protocol="tcp",
            backend_port=22,
            frontend_port_range_start=15000,
            frontend_port_range_end=15039,
            network_security_group_rules=rules,
        ),
        models.BatchInboundNatPool(
            name="log_1",
            protocol="udp",
            backend_port=514,
            frontend_port_range_start=16000,
            frontend_port_range_end=16099,
        ),
    ]
    options = pool_options(id)
    options.network_configuration = models.NetworkConfiguration(
        endpoint_configuration=models.BatchPoolEndpointConfiguration(inbound_nat_pools=pools), **change
    )
    return options


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    return Caller(live)


@pytest.mark.parametrize(
    ("network", "code", "name"),
    [
        ({"subnetId": "v"}, "InvalidPropertyValue", AT + "subnetId"),
        ({"subnetId": SUBNET}, "InvalidPropertyValue", AT + "subnetId"),
        ({"dynamicVNetAssignmentScope": "job"}, "UnsupportedProperty", AT + "dynamicVNetAssignmentScope"),
        ({"dynamicVNetAssignmentScope": "all"}, "InvalidPropertyValue", AT + "dynamicVNetAssignmentScope"),
        ({"enableAcceleratedNetworking": True}, "UnsupportedProperty", AT + "enableAcceleratedNetworking"),
        (public(provision="usermanaged", ipAddressIds=["/x"]), "UnsupportedProperty", PUBLIC + "provision"),
        (public(ipAddressIds=["/x"]), "UnsupportedProperty", PUBLIC + "ipAddressIds"),
        (public(ipFamilies=["IPv4", "IPv6"]), "UnsupportedProperty", PUBLIC + "ipFamilies"),
        (public(ipTags=[{"tag": "t"}]), "UnsupportedProperty", PUBLIC + "ipTags"),
        (public(provision="mine"), "InvalidPropertyValue", PUBLIC + "provision"),
        ({**nat(), **public(provision="nopublicipaddresses")}, "InvalidPropertyValue", POOLS),
        (nat(name="no name"), "InvalidPropertyValue", POOLS + "[0].name"),
        (nat(protocol="icmp"), "InvalidPropertyValue", POOLS + "[0].protocol"),
        (nat(backendPort=29877), "InvalidPropertyValue", POOLS + "[0].backendPort"),
        (nat(frontendPortRangeStart=15061), "InvalidPropertyValue", POOLS + "[0].frontendPortRangeEnd"),
        (rule(priority=149), "InvalidPropertyValue", POOLS + "[0].networkSecurityGroupRules[0].priority"),
        (rule(access="maybe"), "InvalidPropertyValue", POOLS + "[0].networkSecurityGroupRules[0].access"),
        *(
            (
                rule(sourceAddressPrefix=source),
                "InvalidPropertyValue",
                POOLS + "[0].networkSecurityGroupRules[0].sourceAddressPrefix",
            )
            for source in ("", "10.0.0.0/33", "10.0.0", "Storage.WestEurope", "fd00::/8")
        ),
        *(
            (
                rule(sourcePortRanges=[text]),
                "InvalidPropertyValue",
                POOLS + "[0].networkSecurityGroupRules[0].sourcePortRanges",
            )
            for text in ("", "a", "9-8", "1-65536", "-1", "1-2-3")
        ),
    ],
)
def test_networks_that_are_refused(
    live: Live, call: Caller, network: dict[str, Any], code: str, name: str
) -> None:
    before = live.fingerprint()
    reply = call("POST", "/pools", {**POOL, "networkConfiguration": network})
    assert (reply.status, reply.code, reply.values.get("PropertyName")) == (400, code, name)
    assert live.fingerprint() == before


def test_nat_pools_come_back_and_nodes_show_their_ports(live: Live, client: Any) -> None:
    id = named(client, "mapped")
    client.create_pool(mapped(id, dynamic_vnet_assignment_scope="none", enable_accelerated_networking=False))
    shown = client.get_pool(id).network_configuration
    assert shown.dynamic_vnet_assignment_scope == "none"
    first, second = shown.endpoint_configuration.inbound_nat_pools
    assert (first.name, first.protocol, first.backend_port) == ("ssh", "tcp", 22)
    assert [one.priority for one in first.network_security_group_rules] == [200, 151]
    assert first.network_security_group_rules[0].source_port_ranges == ["1-100", "*"]
    assert (second.frontend_port_range_start, second.frontend_port_range_end) == (16000, 16099)
    with pytest.raises(HttpResponseError) as many:
        client.begin_resize_pool(
            id, models.BatchPoolResizeOptions(target_dedicated_nodes=41), polling_interval=60
        )
    assert code_of(many.value) == "InvalidPropertyValue"

    node = live.add_node(id, 1)
    ports = (FrontPort("ssh", "tcp", 15003), FrontPort("log_1", "udp", 16009))
    other = replace(node, id="mapped-node", machine=f"m-{id}", front_ports=ports)
    live.write(lambda tx: tx.nodes.insert_many([other]))
    found = client.get_node(id, other.id).endpoint_configuration.inbound_endpoints
    assert [(one.name, one.protocol, one.frontend_port, one.backend_port) for one in found] == [
        ("ssh.3", "tcp", 15003, 22),
        ("log_1.9", "udp", 16009, 514),
    ]
    assert {(one.public_ip_address, one.public_fqdn) for one in found} == {("127.0.0.1", "localhost")}
    assert client.get_node_remote_login_settings(id, other.id).remote_login_port == 15003
    kept = live.read(lambda tx: tx.nodes.get(ACCOUNT, id, other.id))
    assert kept is not None
    assert kept.front_ports == ports


def test_older_versions_list_remote_login(live: Live, client: Any) -> None:
    id = named(client, "plain")
    client.create_pool(pool_options(id))
    node = live.add_node(id, 1)
    old = client._config.api_version < "2024-07-01"
    for found in (client.get_node(id, node.id), *client.list_nodes(id)):
        ends = found.endpoint_configuration.inbound_endpoints if found.endpoint_configuration else []
        shown = [(one.name, one.protocol, one.frontend_port, one.backend_port) for one in ends]
        assert shown == ([("SSHRule.0", "tcp", 50_022, 22)] if old else [])


def test_without_public_addresses_there_is_no_way_in(live: Live, client: Any) -> None:
    id = named(client, "hidden")
    options = pool_options(id)
    none = models.BatchPublicIpAddressConfiguration(ip_address_provisioning_type="nopublicipaddresses")
    options.network_configuration = models.NetworkConfiguration(public_ip_address_configuration=none)
    client.create_pool(options)
    node = live.add_node(id, 1)
    assert client.get_node(id, node.id).endpoint_configuration is None
    with pytest.raises(HttpResponseError) as refused:
        client.get_node_remote_login_settings(id, node.id)
    assert code_of(refused.value) == "OperationNotValidOnNode"
