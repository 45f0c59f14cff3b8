"""Evaluate a formula: text and a situation in, targets and a run out. It never raises for what a formula does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from poolwright.decide.autoscale.expressions import Evaluator, Failed, Stopped
from poolwright.decide.autoscale.samples import History, Older
from poolwright.decide.autoscale.syntax import FormulaError, at, parse
from poolwright.decide.autoscale.tree import Formula
from poolwright.decide.autoscale.variables import ReadOnly, Variables
from poolwright.domain.autoscale import AutoscaleRun, RunError, Sample
from poolwright.domain.clock import Instant, Rng
from poolwright.domain.limits import POOL_TARGET_MAX
from poolwright.domain.states import DeallocationOption

EVALUATION_FAILED = "AutoScalingFormulaEvaluationError"
INSUFFICIENT_DATA = "InsufficientSampleData"
_MESSAGES = {
    EVALUATION_FAILED: "An error occurred when evaluating the autoscale formula",
    INSUFFICIENT_DATA: "Autoscale evaluation failed due to insufficient sample data",
}
#: Added before a target is cut to a whole number, so that 2.9999999996 gives 3.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Situation:
    """What a formula sees: one pool at one moment. `samples` are those visible now, in order of time."""

    now: Instant
    targets: tuple[int, int]  # (dedicated, low-priority)
    counts: Mapping[str, float] = field(default_factory=dict)  # metrics known for now itself
    slots_per_node: int = 1
    samples: Sequence[Sample] = ()
    since: Instant = 0  # where `older` is given: `samples` hold nothing from before
    older: Older | None = None  # reads all visible samples


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. After an error the targets are those the pool had."""

    run: AutoscaleRun
    targets: tuple[int, int]
    option: DeallocationOption = DeallocationOption.REQUEUE


def evaluate(formula: str | Formula, situation: Situation, rng: Rng) -> Outcome:
    """Run all statements. An error leaves everything as it is and is told in the run."""
    history = History(situation.samples, situation.now, situation.since, situation.older)
    variables = Variables(situation.targets, situation.counts, situation.slots_per_node, history)
    try:
        parsed = parse(formula) if isinstance(formula, str) else formula
        _run(parsed, variables, Evaluator(variables, history, rng))
        targets = (
            _whole("$TargetDedicatedNodes", variables.dedicated),
            _whole("$TargetLowPriorityNodes", variables.low_priority),
        )
    except FormulaError as error:
        return _failed(situation, EVALUATION_FAILED, str(error))
    except Failed as error:
        return _failed(situation, error.code, str(error))
    service = _service_part(targets, variables.option)
    results = ";".join([service, *variables.show_users()])
    return Outcome(AutoscaleRun(situation.now, results), targets, variables.option)


def _run(formula: Formula, variables: Variables, evaluator: Evaluator) -> None:
    for statement in formula.statements:
        try:
            value = evaluator.value(statement.expression)
        except Stopped:
            return
        if statement.target is not None:
            try:
                variables.assign(statement.target.name, value)
            except ReadOnly as error:
                raise Failed(EVALUATION_FAILED, f"{at(statement.target.place)}: {error}") from None


def _whole(name: str, value: float) -> int:
    """The number of nodes a value asks for: cut, not rounded."""
    if not math.isfinite(value) or value < -_TOLERANCE:
        raise Failed(EVALUATION_FAILED, f"{name} cannot be {value:g}: it is a number of nodes")
    if value >= POOL_TARGET_MAX + 1:
        raise Failed(EVALUATION_FAILED, f"{name} cannot be {value:g}: a pool has at most {POOL_TARGET_MAX}")
    return int(value + _TOLERANCE)


def _service_part(targets: tuple[int, int], option: DeallocationOption) -> str:
    return (
        f"$TargetDedicatedNodes={targets[0]};$TargetLowPriorityNodes={targets[1]}"
        f";$NodeDeallocationOption={option.value}"
    )


def _failed(situation: Situation, code: str, detail: str) -> Outcome:
    results = _service_part(situation.targets, DeallocationOption.REQUEUE)
    error = RunError(code, _MESSAGES[code], (("Message", detail),))
    return Outcome(AutoscaleRun(situation.now, results, error), situation.targets)
