"""Handlers of our extension that says why something waits or failed."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.api.batch.answers import Answer, json_answer
from poolwright.api.batch.call import Call
from poolwright.domain.facts import Explanation
from poolwright.wire.convert.shared import Document, show_pairs


def _show(explanation: Explanation) -> Document:
    shown: Document = {"code": explanation.code, "message": explanation.message}
    if explanation.next_step:
        shown["nextStep"] = explanation.next_step
    if explanation.evidence:
        shown["evidence"] = show_pairs(explanation.evidence)
    return shown


def _answer(call: Call, found: Sequence[Explanation]) -> Answer:
    return json_answer(
        {"odata.metadata": call.links.metadata("explanations"), "value": [_show(item) for item in found]}
    )


async def pool(call: Call) -> Answer:
    """GET /pools/{poolId}/explain."""
    return _answer(call, await call.services.explain.pool(call.account, call.params["poolId"]))


async def node(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/explain."""
    params = call.params
    return _answer(call, await call.services.explain.node(call.account, params["poolId"], params["nodeId"]))


async def task(call: Call) -> Answer:
    """GET /jobs/{jobId}/tasks/{taskId}/explain."""
    params = call.params
    return _answer(call, await call.services.explain.task(call.account, params["jobId"], params["taskId"]))
