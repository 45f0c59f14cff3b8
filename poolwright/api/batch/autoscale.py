"""Handlers of autoscale. `evaluateautoscale?apply=true` and `simulateautoscale` are our extensions."""

from __future__ import annotations

from poolwright.api.batch.answers import Answer, json_answer, written
from poolwright.api.batch.call import Call
from poolwright.commands import autoscale
from poolwright.wire.convert import autoscale as convert


async def enable(call: Call) -> Answer:
    """POST /pools/{poolId}/enableautoscale."""
    asked, pre, pool_id = convert.read_enable(call.body), call.preconditions, call.params["poolId"]
    pool = await call.write(
        lambda tx: autoscale.enable(
            tx, call.context, call.account, pool_id, asked.formula, asked.interval, pre
        )
    )
    return written(pool.modified_at, call.url)


async def disable(call: Call) -> Answer:
    """POST /pools/{poolId}/disableautoscale."""
    pool_id = call.params["poolId"]
    pool = await call.write(lambda tx: autoscale.disable(tx, call.context, call.account, pool_id))
    return written(pool.modified_at, call.url)


async def evaluate(call: Call) -> Answer:
    """POST /pools/{poolId}/evaluateautoscale."""
    formula, pool_id = convert.read_evaluate(call.body), call.params["poolId"]
    apply = call.query.flag("apply")
    run = await (call.write if apply else call.read)(
        lambda tx: autoscale.evaluate_now(tx, call.context, call.account, pool_id, formula, apply)
    )
    name = call.links.metadata("Microsoft.Azure.Batch.Protocol.Entities.AutoScaleRun")
    return json_answer({"odata.metadata": name, **convert.show_run(run)})


async def simulate(call: Call) -> Answer:
    """POST /pools/{poolId}/simulateautoscale."""
    asked, pool_id = convert.read_simulate(call.body), call.params["poolId"]
    steps = await call.read(
        lambda tx: autoscale.simulate(
            tx, call.context, call.account, pool_id, asked.formula, asked.hours, asked.interval
        )
    )
    shown = [
        convert.show_step(step.outcome.run, step.outcome.targets, step.outcome.option.value, step.recorded)
        for step in steps
    ]
    return json_answer({"odata.metadata": call.links.metadata("autoscalesteps"), "value": shown})
