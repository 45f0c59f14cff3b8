"""Autoscale through the official clients, and our extensions over plain HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError

from poolwright.commands import pools
from poolwright.domain.autoscale import Sample
from poolwright.domain.clock import SECOND
from poolwright.domain.limits import AUTOSCALE_SPACING, SAMPLE_LATENCY, SAMPLE_PERIOD
from poolwright.domain.states import AllocationState
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import OLD_VERSION, Live
from tests.wire.batch.raw import Caller
from tests.wire.batch.test_sdk_async import client as async_client
from tests.wire.batch.test_sdk_async import token
from tests.wire.batch.test_sdk_sync import code_of, named, pool_options

__all__ = ["async_client", "token"]

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
FORMULA = "$TargetDedicatedNodes = max(0, $PendingTasks.GetSample(1));"


@pytest.fixture(params=[None, OLD_VERSION])
def client(live: Live, request: pytest.FixtureRequest) -> Iterator[BatchClient]:
    options = {} if request.param is None else {"api_version": request.param}
    with live.client(**options) as found:
        yield found


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    return Caller(live)


def scaled_options(id: str) -> models.BatchPoolCreateOptions:
    options = pool_options(id)
    options.target_dedicated_nodes = None
    options.enable_auto_scale = True
    options.auto_scale_formula = FORMULA
    options.auto_scale_evaluation_interval = timedelta(minutes=7)
    return options


def asked_long_ago(live: Live, id: str) -> None:
    """Move the last enable request back by the spacing."""

    def move(tx: Tx) -> None:
        found = pools.get(tx, ACCOUNT, id)
        assert found.autoscale is not None
        assert found.autoscale.asked_at is not None
        past = replace(found.autoscale, asked_at=found.autoscale.asked_at - AUTOSCALE_SPACING)
        tx.pools.update(replace(found, autoscale=past))

    live.write(move)


def recording(live: Live, id: str, pending: list[float]) -> Callable[[Tx], None]:
    """Records samples that are visible now, the newest last."""
    newest = live.parts.clock.now() - SAMPLE_LATENCY - SECOND

    def fill(tx: Tx) -> None:
        for back, value in enumerate(reversed(pending)):
            counted = {"PendingTasks": value, "CurrentDedicatedNodes": 1.0}
            tx.samples.record(ACCOUNT, id, Sample(newest - back * SAMPLE_PERIOD, counted))

    return fill


def refusal(fn: Any, *args: Any, **more: Any) -> tuple[int | None, str]:
    with pytest.raises(HttpResponseError) as caught:
        fn(*args, **more)
    return caught.value.status_code, code_of(caught.value)


def test_a_pool_that_is_sized_by_a_formula(live: Live, client: Any) -> None:
    id = named(client, "scaled")
    client.create_pool(scaled_options(id))
    pool = client.get_pool(id)
    assert pool.enable_auto_scale
    assert pool.auto_scale_formula == FORMULA
    assert pool.auto_scale_evaluation_interval == timedelta(minutes=7)
    assert pool.auto_scale_run is None
    assert (pool.allocation_state, pool.target_dedicated_nodes) == ("steady", 0)
    resize = models.BatchPoolResizeOptions(target_dedicated_nodes=1)
    assert refusal(client.begin_resize_pool, id, resize) == (409, "OperationInvalidForCurrentState")
    filtered = client.list_pools(filter="enableAutoScale eq true", select=["id"])
    assert id in [found.id for found in filtered]

    live.write(recording(live, id, [1, 2, 4]))
    run = client.evaluate_pool_auto_scale(
        id, models.BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=FORMULA)
    )
    assert run.results == "$TargetDedicatedNodes=4;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"
    assert run.error is None
    asked = models.BatchPoolEvaluateAutoScaleOptions(auto_scale_formula="\n $TargetDedicatedNodes = nothing")
    failed = client.evaluate_pool_auto_scale(id, asked)
    assert failed.error.code == "AutoScalingFormulaEvaluationError"
    assert failed.error.error_values[0].value.startswith("Line 2, Col 26: ")
    assert client.get_pool(id).auto_scale_run is None


def test_enabling_changing_and_disabling(live: Live, client: Any) -> None:
    id = named(client, "manual")
    client.create_pool(pool_options(id))
    enable = models.BatchPoolEnableAutoScaleOptions(auto_scale_formula=FORMULA)
    assert refusal(client.enable_pool_auto_scale, id, enable) == (409, "PoolBeingResized")
    live.settle(id)
    interval = models.BatchPoolEnableAutoScaleOptions(auto_scale_evaluation_interval=timedelta(minutes=5))
    assert refusal(client.enable_pool_auto_scale, id, interval) == (400, "InvalidAutoScalingSettings")
    evaluate = models.BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=FORMULA)
    not_on = (409, "OperationInvalidForCurrentState")
    assert refusal(client.evaluate_pool_auto_scale, id, evaluate) == not_on
    before = client.get_pool(id)
    unmet = {"etag": before.etag, "match_condition": MatchConditions.IfModified}
    assert refusal(client.enable_pool_auto_scale, id, enable, **unmet) == (412, "ConditionNotMet")

    met = {"etag": before.etag, "match_condition": MatchConditions.IfNotModified}
    client.enable_pool_auto_scale(id, enable, **met)
    enabled = client.get_pool(id)
    assert (enabled.enable_auto_scale, enabled.auto_scale_formula) == (True, FORMULA)
    assert enabled.auto_scale_evaluation_interval == timedelta(minutes=15)
    assert enabled.etag != before.etag
    assert refusal(client.enable_pool_auto_scale, id, interval) == (503, "TooManyEnableAutoScaleRequests")
    asked_long_ago(live, id)
    client.enable_pool_auto_scale(id, interval)
    changed = client.get_pool(id)
    assert changed.auto_scale_formula == FORMULA
    assert changed.auto_scale_evaluation_interval == timedelta(minutes=5)

    client.disable_pool_auto_scale(id)
    disabled = client.get_pool(id)
    assert (disabled.enable_auto_scale, disabled.auto_scale_formula) == (False, None)
    assert disabled.etag == changed.etag
    client.disable_pool_auto_scale(id)
    assert refusal(client.enable_pool_auto_scale, id, enable) == (503, "TooManyEnableAutoScaleRequests")
    asked_long_ago(live, id)
    assert refusal(client.enable_pool_auto_scale, id, interval) == (400, "InvalidAutoScalingSettings")


def test_formulas_are_checked_when_they_are_enabled(live: Live, client: Any) -> None:
    id = named(client, "checked")
    client.create_pool(pool_options(id))
    live.settle(id)
    for formula, code in (
        ("$TargetDedicatedNodes=", "AutoScalingFormulaSyntaxError"),
        ("x=1;" * 101, "AutoScalingFormulaTooLong"),
    ):
        options = models.BatchPoolEnableAutoScaleOptions(auto_scale_formula=formula)
        assert refusal(client.enable_pool_auto_scale, id, options) == (400, code)
    for minutes in (4, 168 * 60 + 1):
        options = models.BatchPoolEnableAutoScaleOptions(
            auto_scale_formula=FORMULA, auto_scale_evaluation_interval=timedelta(minutes=minutes)
        )
        assert refusal(client.enable_pool_auto_scale, id, options) == (400, "InvalidPropertyValue")
    assert not client.get_pool(id).enable_auto_scale


async def test_the_same_with_the_asynchronous_client(live: Live, async_client: Any) -> None:
    id = named(async_client, "async-scaled")
    await async_client.create_pool(scaled_options(id))
    await live.store.write(recording(live, id, [3]))
    evaluate = models.BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=FORMULA)
    run = await async_client.evaluate_pool_auto_scale(id, evaluate)
    assert run.results.startswith("$TargetDedicatedNodes=3;")
    interval = models.BatchPoolEnableAutoScaleOptions(auto_scale_evaluation_interval=timedelta(hours=1))
    await async_client.enable_pool_auto_scale(id, interval)
    pool = await async_client.get_pool(id)
    assert pool.auto_scale_evaluation_interval == timedelta(hours=1)
    await async_client.disable_pool_auto_scale(id)
    assert not (await async_client.get_pool(id)).enable_auto_scale


def test_an_evaluation_that_is_applied(live: Live, call: Caller, client: Any) -> None:
    id = named(client, "applied")
    client.create_pool(scaled_options(id))
    body = {"autoScaleFormula": "$TargetDedicatedNodes=2; $NodeDeallocationOption=taskcompletion"}
    reply = call("POST", f"/pools/{id}/evaluateautoscale", body, query="apply=true")
    assert (reply.status, "error" in reply.document) == (200, False)
    assert reply.document["odata.metadata"].endswith("#Microsoft.Azure.Batch.Protocol.Entities.AutoScaleRun")
    pool = client.get_pool(id)
    assert (pool.target_dedicated_nodes, pool.allocation_state) == (2, AllocationState.RESIZING.value)
    assert pool.auto_scale_run.results == reply.document["results"]
    assert pool.auto_scale_formula == FORMULA


def test_a_replay_over_recorded_samples(live: Live, call: Caller, client: Any) -> None:
    id = named(client, "replayed")
    client.create_pool(scaled_options(id))
    live.write(recording(live, id, [float(index // 10) for index in range(60)]))
    body = {"autoScaleEvaluationInterval": "PT5M", "hours": 2}
    reply = call("POST", f"/pools/{id}/simulateautoscale", body)
    assert reply.status == 200
    # The first run is at the first sample, which does not show yet; ten samples lie between runs.
    assert [step["targetDedicatedNodes"] for step in reply.document["value"]] == [0, 0, 1, 2, 3, 4, 5]
    assert reply.document["value"][3]["recorded"] == {"PendingTasks": 3.0, "CurrentDedicatedNodes": 1.0}
    assert client.get_pool(id).target_dedicated_nodes == 0
    for wrong, code in (
        ({"hours": 25}, "InvalidPropertyValue"),
        ({"hours": 0}, "InvalidPropertyValue"),
        ({"hours": 1, "autoScaleFormula": "x="}, "AutoScalingFormulaSyntaxError"),
        ({"autoScaleEvaluationInterval": "PT1M"}, "InvalidPropertyValue"),
        ({"days": 1}, "UnsupportedProperty"),
    ):
        assert call("POST", f"/pools/{id}/simulateautoscale", wrong).code == code
