"""What a pool's network may be, and how many nodes it serves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.commands import network_rules, pools
from poolwright.domain.errors import ServiceError
from poolwright.domain.network import AccessRule, NatPool, PoolNetwork
from tests.unit.commands.conftest import World
from tests.unit.commands.values import ANY, MARKET, steady_pool

WEB = NatPool("web", "tcp", 8080, 15000, 15099)
FEW = replace(
    MARKET, network=PoolNetwork((WEB, replace(WEB, name="few", backend_port=1, first=2000, last=2039)))
)


def rule(priority: int) -> AccessRule:
    return AccessRule(priority, True, "*")


def many(count: int, rules: int = 0) -> tuple[NatPool, ...]:
    """NAT pools without a fault, with `rules` rules in all."""
    found = [
        replace(WEB, name=f"n{i}", backend_port=100 + i, first=1000 * (i + 1), last=1000 * (i + 1) + 39)
        for i in range(count)
    ]
    found[0] = replace(found[0], rules=tuple(rule(200 + i) for i in range(rules)))
    return tuple(found)


@pytest.mark.parametrize(
    ("nat_pools", "property", "reason"),
    [
        (many(6), "inboundNATPools", "at most 5"),
        ((replace(WEB, name="-web"),), "[0].name", "begins with"),
        ((replace(WEB, name="web."),), "[0].name", "ends with"),
        ((replace(WEB, name="w" * 78),), "[0].name", "1 to 77"),
        ((replace(WEB, name=""),), "[0].name", "1 to 77"),
        ((replace(WEB, backend_port=0),), "[0].backendPort", "1 to 65535"),
        ((replace(WEB, backend_port=29876),), "[0].backendPort", "none of 29876"),
        ((replace(WEB, first=0),), "[0].frontendPortRangeStart", "1 to 65534"),
        ((replace(WEB, last=65535),), "[0].frontendPortRangeEnd", "1 to 65534"),
        ((replace(WEB, first=15061),), "[0].frontendPortRangeEnd", "at least 40"),
        ((replace(WEB, first=15200),), "[0].frontendPortRangeEnd", "ends after"),
        ((replace(WEB, first=49000, last=50000),), "[0].frontendPortRangeStart", "reserved"),
        ((replace(WEB, first=55000, last=56000),), "[0].frontendPortRangeStart", "reserved"),
        ((WEB, replace(WEB, name="WEB", backend_port=2)), "[1].name", "Another"),
        ((WEB, replace(WEB, name="b", first=2000, last=2100)), "[1].backendPort", "web"),
        (
            (WEB, replace(WEB, name="b", backend_port=2, first=15099, last=15200)),
            "[1].frontendPort",
            "overlaps",
        ),
        (many(2, rules=26), "inboundNATPools", "at most 25"),
        ((replace(WEB, rules=(rule(149),)),), "[0].networkSecurityGroupRules[0].priority", "150 to 4096"),
        ((replace(WEB, rules=(rule(4097),)),), "[0].networkSecurityGroupRules[0].priority", "150 to 4096"),
        (
            (replace(WEB, rules=(rule(150), rule(150))),),
            "[0].networkSecurityGroupRules[1].priority",
            "this priority",
        ),
    ],
)
def test_what_a_nat_pool_may_not_be(nat_pools: tuple[NatPool, ...], property: str, reason: str) -> None:
    with pytest.raises(ServiceError) as refused:
        network_rules.check(PoolNetwork(nat_pools))
    values = dict(refused.value.values)
    assert refused.value.code == "InvalidPropertyValue"
    assert property in values["PropertyName"]
    assert reason in values["Reason"]


def test_what_a_nat_pool_may_be() -> None:
    network_rules.check(PoolNetwork(many(5, rules=25)))
    edges = (
        replace(WEB, name="s.s-h_", backend_port=22, first=1, last=49_999, rules=(rule(4096), rule(150))),
        replace(WEB, name="9" * 77, protocol="udp", backend_port=65535, first=55_001, last=65_534),
    )
    network_rules.check(PoolNetwork(edges))
    with pytest.raises(ServiceError, match="InvalidPropertyValue"):
        network_rules.check(PoolNetwork((WEB,), public=False))


def test_targets_above_the_smallest_range_are_refused(world: World) -> None:
    for targets in ((41, 0), (20, 21), (0, 41)):
        with pytest.raises(ServiceError) as refused:
            world.do(pools.create, "P1", FEW, b"{}", *targets)
        assert "NAT pool few has 40 front-end ports" in dict(refused.value.values)["Reason"]
    steady_pool(world, spec=FEW, dedicated=20, low=20)
    with pytest.raises(ServiceError, match="InvalidPropertyValue"):
        world.do(pools.resize, "P1", 21, None, None, None, ANY)
    assert world.do(pools.resize, "P1", 21, 19, None, None, ANY).target_dedicated == 21


def test_the_network_is_fixed_while_there_are_nodes(world: World) -> None:
    steady_pool(world, spec=MARKET)
    changed = world.do(pools.patch, "P1", lambda pool: (replace(pool.spec, network=FEW.network), b"{}"), ANY)
    assert changed.spec.network == FEW.network
