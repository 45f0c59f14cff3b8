"""Servers on nodes are reached at front-end ports of this host, whatever happens to the service."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError

from tests.e2e.service.live import Live
from tests.support.waiting import wait_until

pytestmark = pytest.mark.one_service

#: Answers every connection with the name of its node.
SERVER = (
    'exec perl -MIO::Socket::INET -e "'
    "\\$s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1) or die;"
    ' while (\\$c = \\$s->accept) { print \\$c \\$ENV{AZ_BATCH_NODE_ID}; close \\$c }"'
)
FIRST, LAST = 15_700, 15_739


def network(*rules: batch.NetworkSecurityGroupRule) -> batch.NetworkConfiguration:
    """Port 80 of every node at one of forty front-end ports."""
    pool = batch.BatchInboundNatPool(
        name="web",
        protocol="tcp",
        backend_port=80,
        frontend_port_range_start=FIRST,
        frontend_port_range_end=LAST,
        network_security_group_rules=list(rules) or None,
    )
    return batch.NetworkConfiguration(
        endpoint_configuration=batch.BatchPoolEndpointConfiguration(inbound_nat_pools=[pool])
    )


def ends(live: Live, pool: str) -> dict[str, Any]:
    """The only inbound endpoint of every node, by node."""
    return {
        str(node["id"]): node["endpointConfiguration"]["inboundEndpoints"][0]
        for node in live.batch.list_nodes(pool)
    }


def answer(end: Any) -> str:
    """What a server behind an endpoint says; empty when nobody is reached."""
    try:
        with socket.create_connection((end["publicIPAddress"], end["frontendPort"]), timeout=2) as made:
            return made.recv(200).decode()
    except OSError:
        return ""


def test_front_end_ports_lead_to_nodes_for_their_whole_life(live: Live) -> None:
    live.idle_pool(dedicated=2, slots=1, network_configuration=network())
    live.job()
    for number in range(2):
        live.task(f"t{number}", SERVER, user_identity=_admin())
    found = ends(live, "pool")
    assert sorted(end["frontendPort"] for end in found.values()) == [FIRST, FIRST + 1]
    assert {end["name"] for end in found.values()} == {"web.0", "web.1"}

    def served() -> bool:
        return all(answer(end) == node for node, end in found.items())

    wait_until(served, 60, lambda: f"{found} {live.states()}\n{live.service.log_tail()}")
    live.kill_service()
    assert served(), "while no service lives"
    live.kill_agent()
    assert served(), "while no host agent lives"
    live.start()
    live.wait_nodes("pool", {"running": 2})
    assert served()
    assert ends(live, "pool") == found

    denied = batch.NetworkSecurityGroupRule(priority=150, access="deny", source_address_prefix="127.0.0.1")
    live.idle_pool("other", dedicated=1, network_configuration=network(denied))
    (end,) = ends(live, "other").values()
    assert end["frontendPort"] == FIRST + 2, "the first two belong to nodes of another pool"
    live.job("more", "other")
    live.task("t", SERVER, job="more", user_identity=_admin())
    live.wait_task("t", "running", job="more")
    assert answer(end) == ""
    with pytest.raises(HttpResponseError, match="InvalidPropertyValue"):
        live.pool("large", dedicated=41, network_configuration=network())
    live.pool("crowd", dedicated=0, low=38, network_configuration=network())
    wait_until(lambda: "NAT pool web" in live.why("pools", "crowd"), 60, lambda: live.why("pools", "crowd"))

    live.batch.begin_delete_pool("pool", polling_interval=1).result()
    assert [answer(end) for end in found.values()] == ["", ""]


def _admin() -> batch.UserIdentity:
    return batch.UserIdentity(auto_user=batch.AutoUserSpecification(elevation_level="admin"))
