"""Pools made for a job or a schedule: what they may be, their making together with the job, and what may be changed.

The pool's row is written in the transaction of its job, so there is exactly one or none. What the form of the request
tells is refused at once; what depends on the state of the account (quota, image, formula) ends the job with a
scheduling error, as in the public service. Taking the pool away is the work of reconcile/auto_pools.py.
"""

from __future__ import annotations

import re
from dataclasses import replace

from poolwright.commands import pool_rules, pools
from poolwright.commands.context import Context, record
from poolwright.domain.auto_pool import JOB, SCHEDULE, AutoPool, AutoPoolRow
from poolwright.domain.errors import ServiceError, bad_property, within
from poolwright.domain.job import JobSpec
from poolwright.domain.limits import AUTO_POOL_PREFIX_MAX
from poolwright.domain.node import Failure
from poolwright.store.base import Tx

PATH = "poolInfo.autoPoolSpecification."
_PREFIX = re.compile(r"[A-Za-z0-9_-]*\Z")
#: What the making of a pool is refused with, as the code of a scheduling error (public table); all else is settings.
_CODES = {
    "PoolQuotaReached": "AutoPoolCreationFailedWithQuotaReached",
    "AutoScalingFormulaSyntaxError": "InvalidAutoScaleFormulaInAutoPool",
    "AutoScalingFormulaTooLong": "InvalidAutoScaleFormulaInAutoPool",
    "InvalidApplicationPackageReferences": "InvalidApplicationPackageReferencesInAutoPool",
    "InvalidCertificateReferences": "InvalidCertificatesInAutoPool",
    "CertificateBeingDeleted": "InvalidCertificatesInAutoPool",
}
_SETTINGS = "InvalidAutoPoolSettings"


def check(ctx: Context, auto: AutoPool, *, scheduled: bool) -> None:
    """Rules that need no state, and the caller's right to the image.

    Raises 400 InvalidPropertyValue or MissingRequiredProperty, 403 AuthenticationFailed (custom image and shared
    key), 404 NodeAgentSKUNotFound.
    """
    if auto.lifetime == SCHEDULE and not scheduled:
        reason = "Only the pool of a job schedule's jobs can live as long as the schedule; say job."
        raise bad_property(PATH + "poolLifetimeOption", auto.lifetime, reason)
    if len(auto.prefix) > AUTO_POOL_PREFIX_MAX or not _PREFIX.match(auto.prefix):
        reason = f"At most {AUTO_POOL_PREFIX_MAX} characters out of letters, digits, hyphen and underscore."
        raise bad_property(PATH + "autoPoolIdPrefix", auto.prefix, reason)
    try:
        pool_rules.check_spec(auto.spec)
        if not auto.scale.enabled:
            pool_rules.check_targets(ctx, auto.spec, auto.target_dedicated, auto.target_low_priority)
            dedicated, low_priority = auto.target_dedicated or 0, auto.target_low_priority or 0
            pool_rules.check_sum(auto.spec, dedicated, low_priority)
        pool_rules.check_caller(ctx, auto.spec)
    except ServiceError as error:
        raise within(PATH + "pool.", error) from None


def make(
    tx: Tx, ctx: Context, account: str, owner: str, owner_id: str, auto: AutoPool
) -> tuple[str, Failure | None]:
    """Make the pool of a job or schedule. Returns its id, and why it could not be made (then there is none)."""
    name = f"{auto.prefix}_{ctx.ids.uuid()}" if auto.prefix else ctx.ids.uuid()
    try:
        pool = pools.create(
            tx,
            ctx,
            account,
            name,
            auto.spec,
            auto.document,
            auto.target_dedicated,
            auto.target_low_priority,
            auto.scale,
            auto=True,
        )
    except ServiceError as error:
        return name, _failure(error)
    tx.auto_pools.insert(AutoPoolRow(pool.account, name, owner, owner_id, auto.keep_alive, ctx.now))
    record(tx, ctx, pool.account, f"pool/{name}", "pool.auto", owner=owner, owner_id=owner_id)
    return name, None


def _failure(error: ServiceError) -> Failure:
    details = tuple((key, value) for key, value in error.values)
    return Failure("usererror", _CODES.get(error.code, _SETTINGS), error.message, details)


def changed(tx: Tx, account: str, before: JobSpec, after: JobSpec) -> JobSpec:
    """The new spec of a job with the pool it has. Of an auto pool only keepAlive can change, and only where the pool
    shares the life of the job. Raises InvalidPropertyValue (400)."""
    old, new = before.auto_pool, after.auto_pool
    if new is None:
        return after
    if old is None:
        reason = (
            "An auto pool is made together with its job; a job that has begun can only be given a poolId."
        )
        raise bad_property(PATH.removesuffix("."), "an auto pool", reason)
    if replace(new, keep_alive=old.keep_alive, document=old.document) != old:
        reason = "Of a job's auto pool only keepAlive can be changed."
        raise bad_property(PATH.removesuffix("."), "another auto pool", reason)
    if new.keep_alive != old.keep_alive:
        if old.lifetime != JOB:
            reason = "It can be changed only where poolLifetimeOption is job."
            raise bad_property(PATH + "keepAlive", str(new.keep_alive).lower(), reason)
        tx.auto_pools.keep(account, before.pool, new.keep_alive)
    return replace(after, pool=before.pool)
