"""Why a pool that a formula sizes has the size it has."""

from __future__ import annotations

from dataclasses import replace

from poolwright.decide.autoscale.values import show, timestamp
from poolwright.domain.facts import Explanation
from poolwright.domain.pool import Pool
from poolwright.domain.states import AllocationState, PoolState


def explain(pool: Pool, size: Explanation) -> Explanation:
    """`size` says why the pool has not its targets; once it has them, its formula is the reason."""
    scale = pool.autoscale
    busy = pool.allocation is not AllocationState.STEADY or pool.state is not PoolState.ACTIVE
    if scale is None or not scale.enabled or busy or pool.resize_errors:
        return size
    again = f"It runs next at {show(timestamp(scale.due_at))}."
    if scale.run is None:
        return replace(
            size, code="AutoscaleDue", message="The pool's formula has not run yet.", next_step=again
        )
    at = show(timestamp(scale.run.at))
    evidence = (*size.evidence, ("Results", scale.run.results))
    if scale.run.error is not None:
        error = scale.run.error
        why = " ".join(value for _, value in error.values)
        message = (
            f"{size.message} The pool's formula failed at {at}, so its size stays: {error.message}: {why}."
        )
        return Explanation("AutoscaleFailed", message, f"Mend the formula. {again}", evidence)
    wanted = f"{pool.target_dedicated} dedicated and {pool.target_low_priority} low-priority nodes"
    message = f"{size.message} At {at} the pool's formula asked for {wanted}."
    return Explanation("AutoscaleSized", message, again, evidence)
