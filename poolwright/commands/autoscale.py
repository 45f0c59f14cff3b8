"""Autoscale: switch it on and off, try a formula now, and replay one over what was recorded."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random

from poolwright.commands import pools
from poolwright.commands.autoscale_rules import check_formula, check_interval
from poolwright.commands.context import Context, Preconditions, next_modified, record, wake
from poolwright.decide.autoscale import Situation, Step, evaluate, parse, replay, settle, situation
from poolwright.domain.autoscale import Autoscale, AutoscaleRun
from poolwright.domain.clock import HOUR, SECOND, Instant, Micros
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import AUTOSCALE_INTERVAL_DEFAULT, AUTOSCALE_SPACING, SAMPLE_HISTORY
from poolwright.domain.pool import Pool
from poolwright.domain.states import AllocationState
from poolwright.store.base import Tx


def enable(
    tx: Tx,
    ctx: Context,
    account: str,
    id: str,
    formula: str | None,
    interval: Micros | None,
    pre: Preconditions,
) -> Pool:
    """Have a formula size the pool, or change formula or interval; what is omitted stays. It is run at once.

    Raises 400 InvalidAutoScalingSettings (neither given, or no formula while autoscale is off), InvalidPropertyValue,
    AutoScalingFormulaSyntaxError, AutoScalingFormulaTooLong; 404 PoolNotFound; 409 PoolBeingDeleted or
    PoolBeingResized; 412; 503 TooManyEnableAutoScaleRequests within 30 seconds of the last such request.
    """
    if formula is not None:
        check_formula(formula)
    if interval is not None:
        check_interval(interval)
    pool = pools.get(tx, account, id)
    before = pool.autoscale if pool.autoscaled else None
    if formula is None and (before is None or interval is None):
        reason = "A formula is needed." if before is None else "A formula or an interval is needed."
        values = (("PropertyName", "autoScaleFormula"), ("Reason", reason))
        raise ServiceError("InvalidAutoScalingSettings", None, values)
    pools.steady(pool, pre)
    _check_spacing(pool.autoscale, ctx.now)
    made = Autoscale(
        formula=formula if formula is not None else (before.formula if before else ""),
        interval=interval or (before.interval if before else AUTOSCALE_INTERVAL_DEFAULT),
        due_at=ctx.now,
        asked_at=ctx.now,
        run=before.run if before else None,
    )
    changed = tx.pools.update(replace(pool, autoscale=made, modified_at=next_modified(ctx, pool.modified_at)))
    record(
        tx,
        ctx,
        pool.account,
        f"pool/{pool.id}",
        "pool.autoscale.enable",
        formula_changed=formula is not None,
        interval_s=made.interval // SECOND,
    )
    wake(tx, "pool", pool.account, pool.id)
    return changed


def disable(tx: Tx, ctx: Context, account: str, id: str) -> Pool:
    """Have the pool sized by hand again; its targets stay, and so does its entity tag, as in the public service.

    A pool without autoscale stays as it is. Raises 404 PoolNotFound, 409 PoolBeingDeleted or PoolBeingResized.
    """
    pool = pools.steady(pools.get(tx, account, id), Preconditions())
    if pool.autoscale is None or not pool.autoscaled:
        return pool
    changed = tx.pools.update(replace(pool, autoscale=replace(pool.autoscale, enabled=False)))
    record(tx, ctx, pool.account, f"pool/{pool.id}", "pool.autoscale.disable")
    wake(tx, "pool", pool.account, pool.id)
    return changed


def evaluate_now(tx: Tx, ctx: Context, account: str, id: str, formula: str, apply: bool) -> AutoscaleRun:
    """What the formula comes to now. Nothing changes, unless `apply` is asked for (our extension): then the run
    counts as one of the pool's own, which keeps its formula and schedule.

    Raises 404 PoolNotFound; 409 PoolBeingDeleted, OperationInvalidForCurrentState (autoscale is off, or `apply` while
    a stop is under way). Errors of the formula, also of its syntax, are told in the run.
    """
    pool = pools.changeable(tx, account, id, Preconditions())
    if not pool.autoscaled:
        values = (("Reason", "The pool has no autoscale; enable it first."),)
        raise ServiceError("OperationInvalidForCurrentState", None, values)
    if apply and pool.allocation is AllocationState.STOPPING:
        values = (("AllocationState", pool.allocation.value),)
        raise ServiceError("OperationInvalidForCurrentState", None, values)
    between = partial(tx.samples.between, pool.account, pool.id)
    counts = tx.nodes.counts(pool.account, pool.id)
    seen = situation(pool, counts, between, ctx.now)
    outcome = evaluate(formula, seen, _chance(ctx))
    if apply:
        auto = tx.auto_pools.get(account, id) is not None
        settled, facts = settle(
            pool, outcome, ctx.now, counts, auto=auto, step_max=ctx.settings.autoscale_max_step
        )
        tx.pools.update(settled)
        facts[0].detail["formula"] = formula  # the one that was tried, not the pool's own
        tx.journal.record(facts)
        wake(tx, "pool", pool.account, pool.id)
    return outcome.run


def simulate(
    tx: Tx, ctx: Context, account: str, id: str, formula: str | None, hours: float, interval: Micros | None
) -> list[Step]:
    """What a formula (the pool's own when None) would have done over the last hours, from recorded samples.

    `hours` is above 0 and at most 24. Raises 400 as `enable`, 404 PoolNotFound.
    """
    if not 0 < hours <= SAMPLE_HISTORY / HOUR:
        raise bad_property("hours", hours, f"Samples are kept for {SAMPLE_HISTORY // HOUR} hours.")
    pool = pools.get(tx, account, id)
    own = pool.autoscale
    text = formula if formula is not None else (own.formula if own is not None and own.enabled else "")
    check_formula(text)
    step = interval or (own.interval if own is not None else AUTOSCALE_INTERVAL_DEFAULT)
    check_interval(step)
    since = ctx.now - round(hours * HOUR)
    samples = tx.samples.between(pool.account, pool.id, ctx.now - SAMPLE_HISTORY, ctx.now)
    began = next((sample.metrics for sample in samples if sample.at >= since), {})
    targets = (int(began.get("CurrentDedicatedNodes", 0)), int(began.get("CurrentLowPriorityNodes", 0)))
    begin = Situation(_grid(since), targets, slots_per_node=pool.spec.slots_per_node)
    return replay(parse(text), samples, begin, ctx.now, step, _chance(ctx))


def _grid(at: Instant) -> Instant:
    """The next whole second, so that tables of runs read well."""
    return -(-at // SECOND) * SECOND


def _check_spacing(before: Autoscale | None, now: Instant) -> None:
    if before is None or before.asked_at is None:
        return
    left = before.asked_at + AUTOSCALE_SPACING - now
    if left > 0:
        values = (("RetryAfterSeconds", str(-(-left // SECOND))),)
        raise ServiceError("TooManyEnableAutoScaleRequests", None, values)


def _chance(ctx: Context) -> Random:
    """Chance for rand(), from the injected source of names."""
    return Random(int(ctx.ids.short(), 16))
