"""Handlers of a node's logs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from poolwright.api.batch.answers import Answer, json_answer
from poolwright.api.batch.call import Call
from poolwright.api.batch.services import NodeLogs, NodeUnreachable
from poolwright.commands import nodes, pools
from poolwright.domain.errors import ServiceError
from poolwright.domain.facts import Fact
from poolwright.domain.node import Node
from poolwright.store.base import Tx
from poolwright.wire.convert import node_logs as convert

_FACTS_MAX = 1000  # told of one node, the newest


async def upload(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/uploadbatchservicelogs: answered at once, uploaded afterwards."""
    request = convert.read_log_upload(call.body)
    node, facts, logs = await _of_node(call)
    with _told():
        started = await logs.upload(node, facts, request)
    metadata = call.links.metadata("Microsoft.Azure.Batch.Protocol.Entities.UploadBatchServiceLogsResult")
    return json_answer({"odata.metadata": metadata, **convert.show_log_upload(started)})


async def read(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/logs, our extension: the same logs in the answer."""
    node, facts, logs = await _of_node(call)
    with _told():
        texts = await logs.texts(node, facts)
    files = [{"name": name, "content": text} for name, text in texts]
    return json_answer({"odata.metadata": call.links.metadata("nodelogs"), "value": files})


async def _of_node(call: Call) -> tuple[Node, list[Fact], NodeLogs]:
    params = call.params

    def query(tx: Tx) -> tuple[Node, list[Fact]]:
        pool = pools.get(tx, call.account, params["poolId"])
        node = nodes.get(tx, call.account, pool.id, params["nodeId"])
        return node, tx.journal.of_subject(call.account, f"node/{pool.id}/{node.id}", _FACTS_MAX)

    node, facts = await call.read(query)
    if call.services.node_logs is None:
        raise ServiceError("NotImplemented", "This service keeps no logs of nodes.")
    return node, facts, call.services.node_logs


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NodeUnreachable as away:
        raise ServiceError("NodeNotReady", None, (("Reason", str(away)),)) from None
