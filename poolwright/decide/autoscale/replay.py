"""What a formula would have done: it is run again and again over recorded samples.

Each run sees only samples that were visible at its moment, the targets of the run before it, and a pool that had
already come to them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from poolwright.decide.autoscale.evaluation import Outcome, Situation, evaluate
from poolwright.decide.autoscale.schedule import visible
from poolwright.decide.autoscale.tree import Formula
from poolwright.domain.autoscale import Sample
from poolwright.domain.clock import Instant, Micros, Rng


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the replay, with the last sample recorded by then."""

    outcome: Outcome
    recorded: Sample


def replay(
    formula: Formula, samples: Sequence[Sample], begin: Situation, until: Instant, interval: Micros, rng: Rng
) -> list[Step]:
    """Runs every `interval` from `begin.now` to `until`; nothing before the first sample. At most 288 runs a day."""
    times = [sample.at for sample in samples]
    steps: list[Step] = []
    targets = begin.targets
    now = begin.now if not times else max(begin.now, times[0])
    while times and now <= until:
        since, newest = visible(now)
        seen = samples[bisect_left(times, since) : bisect_right(times, newest)]
        counts = {"CurrentDedicatedNodes": float(targets[0]), "CurrentLowPriorityNodes": float(targets[1])}
        moment = replace(begin, now=now, targets=targets, counts=counts, samples=seen)
        outcome = evaluate(formula, moment, rng)
        targets = outcome.targets
        steps.append(Step(outcome, samples[bisect_right(times, now) - 1]))
        now += interval
    return steps
