"""Handlers of our extension that says why something waits or failed."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.api.batch.answers import Answer, json_answer
from poolwright.api.batch.call import Call
from poolwright.commands import nodes
from poolwright.domain.facts import Explanation
from poolwright.wire.convert import node as convert
from poolwright.wire.convert.shared import Document, show_pairs


def _show(explanation: Explanation) -> Document:
    shown: Document = {"code": explanation.code, "message": explanation.message}
    if explanation.next_step:
        shown["nextStep"] = explanation.next_step
    if explanation.evidence:
        shown["evidence"] = show_pairs(explanation.evidence)
    return shown


def _answer(call: Call, found: Sequence[Explanation], **more: object) -> Answer:
    value = [_show(item) for item in found]
    return json_answer({"odata.metadata": call.links.metadata("explanations"), "value": value, **more})


async def pool(call: Call) -> Answer:
    """GET /pools/{poolId}/explain."""
    return _answer(call, await call.services.explain.pool(call.account, call.params["poolId"]))


async def node(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/explain: also the node's moves, what its host could not do, and boot times."""
    pool_id, node_id = call.params["poolId"], call.params["nodeId"]
    found = await call.services.explain.node(call.account, pool_id, node_id)
    row = await call.read(lambda tx: nodes.get(tx, call.account, pool_id, node_id))
    return _answer(
        call,
        found,
        history=convert.show_history(row),
        phases=convert.show_phases(row),
        notes=row.notes,
        phasesMs=row.phases_ms,
    )


async def task(call: Call) -> Answer:
    """GET /jobs/{jobId}/tasks/{taskId}/explain."""
    params = call.params
    return _answer(call, await call.services.explain.task(call.account, params["jobId"], params["taskId"]))


async def job(call: Call) -> Answer:
    """GET /jobs/{jobId}/explain."""
    return _answer(call, await call.services.explain.job(call.account, call.params["jobId"]))


async def job_schedule(call: Call) -> Answer:
    """GET /jobschedules/{jobScheduleId}/explain."""
    found = await call.services.explain.job_schedule(call.account, call.params["jobScheduleId"])
    return _answer(call, found)
