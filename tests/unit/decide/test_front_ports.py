"""Front-end ports: one for each node, never twice, and growth ends where they do."""

from __future__ import annotations

from dataclasses import replace

from poolwright.decide import explain, pool_plan, pool_size
from poolwright.decide.snapshot import PoolSnapshot
from poolwright.domain.network import FrontPort, NatPool, PoolNetwork
from poolwright.domain.node import Node
from poolwright.domain.states import AllocationState, NodeState
from tests.unit.decide.parts import NOW, CountingIds, node, pool

WEB = NatPool("web", "tcp", 8080, 15000, 15039)
LOG = NatPool("log", "udp", 514, 16000, 16099)


def snapshot(dedicated: int, low: int = 0, nodes: tuple[Node, ...] = (), **changes: object) -> PoolSnapshot:
    mine = pool(dedicated, low)
    mine = replace(mine, spec=replace(mine.spec, network=PoolNetwork((WEB, LOG))))
    return replace(PoolSnapshot(mine, nodes, NOW), **changes)  # type: ignore[arg-type]


def with_port(id: str, port: int, state: NodeState = NodeState.IDLE) -> Node:
    ports = (FrontPort("web", "tcp", port), FrontPort("log", "udp", port + 1000))
    return node(id, state, front_ports=ports)


def test_the_lowest_free_ports_are_given_each_once() -> None:
    taken = frozenset({("tcp", 15001), ("udp", 15003), ("udp", 16000)})
    plan = pool_plan.plan(snapshot(3, 1, (with_port("n1", 15000),), ports_taken=taken), CountingIds())
    given = [[(one.nat_pool, one.protocol, one.port) for one in new.front_ports] for new in plan.new]
    assert given == [
        [("web", "tcp", 15002), ("log", "udp", 16001)],
        [("web", "tcp", 15003), ("log", "udp", 16002)],
        [("web", "tcp", 15004), ("log", "udp", 16003)],
    ]
    assert [new.dedicated for new in plan.new] == [True, True, False]
    assert not pool_plan.plan(PoolSnapshot(pool(1), (), NOW), CountingIds()).new[0].front_ports


def test_growth_ends_with_an_error_that_names_the_range() -> None:
    taken = frozenset(("tcp", port) for port in range(15002, 15040))
    look = snapshot(1, 5, ports_taken=taken)
    plan = pool_plan.plan(look, CountingIds())
    assert [new.dedicated for new in plan.new] == [True, False]
    (error,) = plan.pool.resize_errors
    assert error.code == "AllocationFailed"
    assert "NAT pool web has 40 front-end ports (15000-15039)" in error.message
    assert dict(error.values)["PortsOfOtherPools"] == "38"
    assert dict(error.values)["NodeType"] == "low-priority"
    steady = replace(look.pool, allocation=AllocationState.STEADY, resize_errors=(error,))
    said = explain.resize(replace(look, pool=steady))
    assert "NAT pool web" in said.message
    assert ("frontendPorts.web", "0 of 40 given to nodes") in said.evidence


def test_ports_of_nodes_that_go_are_waited_for() -> None:
    taken = frozenset(("tcp", port) for port in range(15001, 15040))
    going = with_port("n1", 15000, state=NodeState.LEAVING_POOL)
    plan = pool_size.plan(snapshot(1, nodes=(going,), ports_taken=taken), (going,))
    assert plan.grow == (0, 0)
    assert not plan.pool.resize_errors
    assert plan.pool.allocation is AllocationState.RESIZING


def test_low_priority_nodes_are_sought_until_a_port_is_free() -> None:
    taken = frozenset(("tcp", port) for port in range(15000, 15040))
    look = snapshot(0, 1, ports_taken=taken)
    look = replace(look, pool=replace(look.pool, allocation=AllocationState.STEADY))
    assert pool_size.plan(look, ()).grow == (0, 0)
    assert "every front-end port of the NAT pool web is taken" in explain.resize(look).message
