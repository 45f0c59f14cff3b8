"""Inbound endpoints of nodes, as the client that asks can use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from poolwright.api.batch.call import Call
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import NodeState
from poolwright.wire.convert import network as convert
from poolwright.wire.convert.network import Front
from poolwright.wire.convert.shared import Document

MAPPED_LOGIN_SINCE = "2024-07-01"
"""From this version on there is no remote login but through a NAT pool's port; older ones list one for each node."""
_SSH_PORT = 22
_LOOPBACK = "127.0.0.1"
_LIVING = frozenset(
    {NodeState.IDLE, NodeState.RUNNING, NodeState.WAITING_FOR_START_TASK, NodeState.START_TASK_FAILED}
)


def front(call: Call) -> Front:
    """The address and the name by which this very client got here."""
    server = call.scope.get("server")
    address = str(server[0]) if server else _LOOPBACK
    if ":" in address:
        return Front(_LOOPBACK, "localhost")  # the second family leads to no node
    return Front(address, (call.header("host") or address).rsplit(":", 1)[0])


def mapped(call: Call, node: Node, pool: Pool) -> list[Document]:
    """The endpoints of the pool's NAT pools at this node."""
    return convert.show_endpoints(node, pool, front(call))


async def add_logins(
    call: Call, documents: Iterable[Document], nodes: Mapping[str, Node], names: frozenset[str] | None
) -> None:
    """Add the SSH endpoint that older versions list for every node. `names` are the members asked for, None: all."""
    doors = call.services.doors
    if call.version >= MAPPED_LOGIN_SINCE or doors is None:
        return
    if names is not None and "endpointConfiguration" not in names:
        return
    for document in documents:
        node = nodes.get(str(document.get("id")))
        if node is None or node.address is None or node.state not in _LIVING:
            continue
        given = document.setdefault("endpointConfiguration", {"inboundEndpoints": []})["inboundEndpoints"]
        if any(one["backendPort"] == _SSH_PORT for one in given):
            continue
        port = await doors.offer(node.account, node.pool, node.id, node.machine)
        if port is not None:
            given.append(convert.endpoint(f"SSHRule.{len(given)}", "tcp", front(call), port, _SSH_PORT))
