"""The autoscale formula language: text -> tree -> targets, as pure functions of recorded samples, time and chance."""

from __future__ import annotations

from poolwright.decide.autoscale.evaluation import Outcome, Situation, evaluate
from poolwright.decide.autoscale.explaining import explain
from poolwright.decide.autoscale.replay import Step, replay
from poolwright.decide.autoscale.schedule import metrics, settle, situation, slot, visible
from poolwright.decide.autoscale.syntax import FormulaError, parse
from poolwright.decide.autoscale.usage import usage_metrics

__all__ = [
    "FormulaError",
    "Outcome",
    "Situation",
    "Step",
    "evaluate",
    "explain",
    "metrics",
    "parse",
    "replay",
    "settle",
    "situation",
    "slot",
    "usage_metrics",
    "visible",
]
