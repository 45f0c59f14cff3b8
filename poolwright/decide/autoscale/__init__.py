"""The autoscale formula language: text -> tree -> targets, as pure functions of recorded samples, time and chance."""

from __future__ import annotations

from poolwright.decide.autoscale.evaluation import Outcome, Situation, evaluate
from poolwright.decide.autoscale.syntax import FormulaError, parse

__all__ = ["FormulaError", "Outcome", "Situation", "evaluate", "parse"]
