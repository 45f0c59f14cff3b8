"""Situations for formulas: the moment and the counts of the published examples."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from poolwright.decide.autoscale import Outcome, Situation, evaluate
from poolwright.domain.autoscale import Sample
from poolwright.domain.clock import SECOND, Instant
from poolwright.domain.limits import SAMPLE_PERIOD

#: Wednesday 2018-10-10 19:18:47.805 UTC
NOW: Instant = int(datetime(2018, 10, 10, 19, 18, 47, tzinfo=UTC).timestamp()) * SECOND + 805_000


def samples(count: int, *, until: Instant = NOW, **metrics: float | Sequence[float]) -> list[Sample]:
    """`count` samples, oldest first, the newest at `until`; a metric is one number, or one number a sample."""

    def value(given: float | Sequence[float], index: int) -> float:
        return float(given if isinstance(given, int | float) else given[index])

    return [
        Sample(
            until - (count - 1 - index) * SAMPLE_PERIOD,
            {name: value(given, index) for name, given in metrics.items()},
        )
        for index in range(count)
    ]


def situation(recorded: Sequence[Sample] = (), *, dedicated: int = 2, low: int = 0, **more: Any) -> Situation:
    counts: Mapping[str, float] = {
        "CurrentDedicatedNodes": float(dedicated),
        "CurrentLowPriorityNodes": float(low),
    }
    given: dict[str, Any] = {"now": NOW, "targets": (dedicated, low), "counts": counts, "samples": recorded}
    return Situation(**{**given, **more})


def run(formula: str, recorded: Sequence[Sample] = (), **more: Any) -> Outcome:
    return evaluate(formula, situation(recorded, **more), random.Random(1))


def told(outcome: Outcome) -> str:
    """The detail of the error."""
    assert outcome.run.error is not None, outcome
    return outcome.run.error.values[0][1]


def shown(formula: str, recorded: Sequence[Sample] = (), **more: Any) -> dict[str, str]:
    """The results of a run that must not fail, by variable."""
    outcome = run(formula, recorded, **more)
    assert outcome.run.error is None, outcome
    return dict(part.split("=", 1) for part in outcome.run.results.split(";"))
