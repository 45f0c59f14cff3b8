"""Handler of uploads of a node's logs."""

from __future__ import annotations

from poolwright.api.batch.answers import Answer, json_answer
from poolwright.api.batch.call import Call
from poolwright.api.batch.services import NodeUnreachable
from poolwright.commands import nodes, pools
from poolwright.domain.errors import ServiceError
from poolwright.domain.facts import Fact
from poolwright.domain.node import Node
from poolwright.store.base import Tx
from poolwright.wire.convert import node_logs as convert

_FACTS_MAX = 1000  # told of one node, the newest


async def upload(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/uploadbatchservicelogs: answered at once, uploaded afterwards."""
    request, params = convert.read_log_upload(call.body), call.params

    def query(tx: Tx) -> tuple[Node, list[Fact]]:
        pool = pools.get(tx, call.account, params["poolId"])
        node = nodes.get(tx, call.account, pool.id, params["nodeId"])
        return node, tx.journal.of_subject(call.account, f"node/{pool.id}/{node.id}", _FACTS_MAX)

    node, facts = await call.read(query)
    logs = call.services.node_logs
    if logs is None:
        raise ServiceError("NotImplemented", "This service keeps no logs of nodes.")
    try:
        started = await logs.upload(node, facts, request)
    except NodeUnreachable as away:
        raise ServiceError("NodeNotReady", None, (("Reason", str(away)),)) from None
    metadata = call.links.metadata("Microsoft.Azure.Batch.Protocol.Entities.UploadBatchServiceLogsResult")
    return json_answer({"odata.metadata": metadata, **convert.show_log_upload(started)})
