"""What autoscale settings may be (public behaviour, autoscale: placement and timing)."""

from __future__ import annotations

from poolwright.decide.autoscale import FormulaError, parse
from poolwright.domain.autoscale import Autoscale, ScaleRequest
from poolwright.domain.clock import MINUTE, Instant, Micros, span
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import (
    AUTOSCALE_INTERVAL_DEFAULT,
    AUTOSCALE_INTERVAL_MAX,
    AUTOSCALE_INTERVAL_MIN,
)

NO_SCALE = ScaleRequest()


def new_settings(
    asked: ScaleRequest, dedicated: int | None, low_priority: int | None, now: Instant
) -> Autoscale | None:
    """The settings of a new pool; None: it is sized by hand.

    Raises 400 InvalidAutoScalingSettings (a formula is needed with enableAutoScale and refused without it; targets
    are refused with it), InvalidPropertyValue (interval), AutoScalingFormulaSyntaxError or AutoScalingFormulaTooLong.
    """
    if not asked.enabled:
        for name, value in (
            ("autoScaleFormula", asked.formula),
            ("autoScaleEvaluationInterval", asked.interval),
        ):
            if value is not None:
                raise _invalid(name, "It may only be given together with enableAutoScale true.")
        return None
    for name, target in (("targetDedicatedNodes", dedicated), ("targetLowPriorityNodes", low_priority)):
        if target is not None:
            raise _invalid(name, "The formula sizes a pool with enableAutoScale true.")
    if asked.formula is None:
        raise _invalid("autoScaleFormula", "It is required with enableAutoScale true.")
    check_formula(asked.formula)
    interval = AUTOSCALE_INTERVAL_DEFAULT if asked.interval is None else asked.interval
    check_interval(interval)
    return Autoscale(asked.formula, interval, due_at=now)


def check_formula(formula: str) -> None:
    """Raises AutoScalingFormulaSyntaxError or AutoScalingFormulaTooLong (400), with the place and the reason."""
    if not formula.strip():
        raise _invalid("autoScaleFormula", "A formula is needed.")
    try:
        parse(formula)
    except FormulaError as error:
        values = (("PropertyName", "autoScaleFormula"), ("Reason", str(error)))
        raise ServiceError(error.code, None, values) from None


def check_interval(interval: Micros) -> None:
    """Raises InvalidPropertyValue (400) outside the public range."""
    if not AUTOSCALE_INTERVAL_MIN <= interval <= AUTOSCALE_INTERVAL_MAX:
        low, high = AUTOSCALE_INTERVAL_MIN // MINUTE, AUTOSCALE_INTERVAL_MAX // MINUTE // 60
        reason = f"A formula is evaluated every {low} minutes to {high} hours."
        raise bad_property("autoScaleEvaluationInterval", span(interval), reason)


def _invalid(name: str, reason: str) -> ServiceError:
    return ServiceError("InvalidAutoScalingSettings", None, (("PropertyName", name), ("Reason", reason)))
