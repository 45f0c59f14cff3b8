"""Autoscale: bodies to domain values, runs to answers. The replay is our own extension."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.autoscale import Autoscale, AutoscaleRun, Sample, ScaleRequest
from poolwright.domain.clock import Micros
from poolwright.wire.bodies import decode_body
from poolwright.wire.convert.shared import Document, show_pairs
from poolwright.wire.durations import format_duration
from poolwright.wire.generated import batch_models as models
from poolwright.wire.scalars import Duration
from poolwright.wire.times import iso

HOURS_DEFAULT = 24.0


class SimulateOptions(models.Body, kw_only=True):
    """What to replay: the pool's own formula and interval where nothing is given."""

    auto_scale_formula: str | None = None
    auto_scale_evaluation_interval: Duration | None = None
    hours: float = HOURS_DEFAULT


@dataclass(frozen=True, slots=True)
class SimulateRequest:
    """What a simulate body asks for; None where it says nothing."""

    formula: str | None
    interval: Micros | None
    hours: float


def read_new(body: models.BatchPoolCreateOptions) -> ScaleRequest:
    """The autoscale members of a create-pool body."""
    return ScaleRequest(
        body.enable_auto_scale, body.auto_scale_formula, _micros(body.auto_scale_evaluation_interval)
    )


def read_enable(raw: bytes) -> ScaleRequest:
    """An enable-autoscale body."""
    body = decode_body(raw, models.BatchPoolEnableAutoScaleOptions)
    return ScaleRequest(True, body.auto_scale_formula, _micros(body.auto_scale_evaluation_interval))


def read_evaluate(raw: bytes) -> str:
    """The formula of an evaluate-autoscale body."""
    return decode_body(raw, models.BatchPoolEvaluateAutoScaleOptions).auto_scale_formula


def read_simulate(raw: bytes) -> SimulateRequest:
    """A simulate body (our extension)."""
    body = decode_body(raw, SimulateOptions)
    return SimulateRequest(body.auto_scale_formula, _micros(body.auto_scale_evaluation_interval), body.hours)


def show_settings(scale: Autoscale | None) -> Document:
    """The autoscale members of a pool."""
    if scale is None or not scale.enabled:
        return {"enableAutoScale": False}
    shown: Document = {
        "enableAutoScale": True,
        "autoScaleFormula": scale.formula,
        "autoScaleEvaluationInterval": format_duration(scale.interval),
    }
    if scale.run is not None:
        shown["autoScaleRun"] = show_run(scale.run)
    return shown


def show_run(run: AutoscaleRun) -> Document:
    """A run, as the pool shows it and as an evaluation is answered."""
    shown: Document = {"timestamp": iso(run.at), "results": run.results}
    if run.error is not None:
        error = run.error
        values = show_pairs(error.values)
        shown["error"] = {"code": error.code, "message": error.message, "values": values}
    return shown


def show_step(run: AutoscaleRun, targets: tuple[int, int], option: str, recorded: Sample) -> Document:
    """One run of a replay beside what was recorded in the pool then."""
    return {
        **show_run(run),
        "targetDedicatedNodes": targets[0],
        "targetLowPriorityNodes": targets[1],
        "nodeDeallocationOption": option,
        "recorded": dict(recorded.metrics),
    }


def _micros(given: Duration | None) -> Micros | None:
    return None if given is None else given.micros
