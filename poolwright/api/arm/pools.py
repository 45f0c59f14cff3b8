"""Microsoft.Batch batchAccounts/pools: the pools of the data plane, made and changed through Resource Manager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import Response

from poolwright.api.arm.call import RETRY_AFTER_S, Call, answer, empty
from poolwright.api.arm.router import ArmRoute, in_group
from poolwright.api.auth import permission
from poolwright.api.batch.secrets import SECRETS
from poolwright.commands import autoscale, batch_accounts, pools
from poolwright.commands.context import Preconditions
from poolwright.domain.account import Account
from poolwright.domain.clock import etag
from poolwright.domain.errors import ManagementError, ServiceError, disk_full
from poolwright.domain.limits import PAGE_SIZE_MAX
from poolwright.domain.pool import Pool
from poolwright.domain.resource_id import ACCOUNTS
from poolwright.store.base import Tx
from poolwright.wire.arm import pools as wire
from poolwright.wire.arm.pool_shape import Json
from poolwright.wire.arm.pools import PoolBody
from poolwright.wire.conditions import read_conditions
from poolwright.wire.convert.autoscale import read_enable
from poolwright.wire.convert.pool import ResizeRequest, read_pool, read_pool_patch, read_resize

T = TypeVar("T")
_ANY = Preconditions()


def _account(tx: Tx, call: Call) -> Account:
    return batch_accounts.account(tx, call.id(ACCOUNTS))


def _shown(tx: Tx, account: Account, pool: Pool) -> Json:
    counts = {True: 0, False: 0}
    for (_, dedicated), count in tx.nodes.counts(pool.account, pool.id).items():
        counts[dedicated] += count
    return wire.shown(pool, (counts[True], counts[False]), account.resource_id)


def _conditions(call: Call) -> Preconditions:
    given = read_conditions(call.headers.get)
    return Preconditions(given.if_match, given.if_none_match)


def _reading(work: Callable[[], T]) -> T:
    try:
        return work()
    except ServiceError as error:
        raise wire.told(error) from None


async def _write(call: Call, command: Callable[[Tx, Account], Pool]) -> Response:
    """Run a command on the account's pools and answer with the pool."""

    def whole(tx: Tx) -> tuple[Json, Pool]:
        account = _account(tx, call)
        pool = command(tx, account)
        return _shown(tx, account, pool), pool

    try:
        shown, pool = await call.write(whole)
    except ServiceError as error:
        raise wire.told(error) from None
    return answer(shown, headers={"ETag": f'W/"{etag(pool.modified_at)}"'})


async def put(call: Call) -> Response:
    """200 with a new pool. 409 PoolExists when there is one: a pool is changed by PATCH."""
    body = wire.read(call.body)
    raw = wire.new_pool(call.params["pool"], body)
    new = await asyncio.to_thread(_reading, lambda: read_pool(raw, SECRETS))
    cause = call.services.class_intake({disk.type for disk in new.spec.disks})
    if cause is not None:
        raise disk_full(cause)
    pre = _conditions(call)

    def command(tx: Tx, account: Account) -> Pool:
        there = tx.pools.get(account.name, new.id)
        if there is not None and (pre.if_match is not None or pre.if_none_match is not None):
            pre.check_write(there.modified_at)
        elif there is None and pre.if_match is not None:
            raise ServiceError("ConditionNotMet")
        targets = (new.target_dedicated, new.target_low_priority)
        return pools.create(
            tx, call.context, account.name, new.id, new.spec, new.document, *targets, new.scale
        )

    return await _write(call, command)


async def patch(call: Call) -> Response:
    """Change what the body names; scale settings begin a resize, or set or end a formula."""
    body = wire.read(call.body)
    change = None
    if body.pool:
        encoded = msgspec.json.encode(body.pool)
        change = await asyncio.to_thread(_reading, lambda: read_pool_patch(encoded, SECRETS))
    asked = None if body.resize is None else _reading(lambda: _resize(body))
    pre = _conditions(call)

    def command(tx: Tx, account: Account) -> Pool:
        pool = pools.changeable(tx, account.name, call.params["pool"], pre)
        if change is not None:
            pool = pools.patch(tx, call.context, account.name, pool.id, change, _ANY)
        return _scaled(tx, call, pool, body, asked)

    return await _write(call, command)


def _resize(body: PoolBody) -> ResizeRequest:
    return read_resize(msgspec.json.encode(body.resize))


def _scaled(tx: Tx, call: Call, pool: Pool, body: PoolBody, asked: ResizeRequest | None) -> Pool:
    """Have the pool sized as the body says. What it says already is no new resize and no new formula."""
    ctx = call.context
    if body.formula is not None:
        wanted = read_enable(msgspec.json.encode(body.formula))
        same = pool.autoscaled and pool.autoscale is not None and pool.autoscale.formula == wanted.formula
        if same and wanted.interval in (None, pool.autoscale.interval if pool.autoscale else None):
            return pool
        return autoscale.enable(tx, ctx, pool.account, pool.id, wanted.formula, wanted.interval, _ANY)
    if asked is None:
        return pool
    if pool.autoscaled:
        pool = autoscale.disable(tx, ctx, pool.account, pool.id)
    elif asked.dedicated in (None, pool.target_dedicated) and asked.low_priority in (
        None,
        pool.target_low_priority,
    ):
        return pool
    return pools.resize(
        tx,
        ctx,
        pool.account,
        pool.id,
        asked.dedicated,
        asked.low_priority,
        asked.timeout,
        asked.option,
        _ANY,
    )


async def get(call: Call) -> Response:
    """One pool."""

    def query(tx: Tx) -> tuple[Json, Pool]:
        account = _account(tx, call)
        pool = pools.get(tx, account.name, call.params["pool"])
        return _shown(tx, account, pool), pool

    shown, pool = await call.read(query)
    return answer(shown, headers={"ETag": f'W/"{etag(pool.modified_at)}"'})


async def list_all(call: Call) -> Response:
    """An account's pools by name, in pages of `maxresults`."""
    for name in ("$filter", "$select"):
        if name in call.query:
            text = f"The query parameter '{name}' is not supported for this list; the data plane's has it."
            raise ManagementError(400, "InvalidParameter", text, name)
    limit, after = _limit(call), call.query.get("$skiptoken")

    def query(tx: Tx) -> tuple[list[Json], str | None]:
        account = _account(tx, call)
        found = tx.pools.page(account.name, after, limit + 1)
        last = found[limit - 1].id if len(found) > limit else None
        return [_shown(tx, account, pool) for pool in found[:limit]], last

    items, last = await call.read(query)
    page: Json = {"value": items}
    if last is not None:
        following = {"api-version": call.query["api-version"], "maxresults": str(limit), "$skiptoken": last}
        page["nextLink"] = f"{call.url}{quote(call.path)}?{urlencode(following)}"
    return answer(page)


def _limit(call: Call) -> int:
    given = call.query.get("maxresults")
    if given is None:
        return PAGE_SIZE_MAX
    if not (given.isascii() and given.isdigit() and len(given) <= 4 and 1 <= int(given) <= PAGE_SIZE_MAX):
        text = f"The value '{given[:50]}' of 'maxresults' is not valid: a number from 1 to {PAGE_SIZE_MAX} is needed."
        raise ManagementError(400, "InvalidParameter", text, "maxresults")
    return int(given)


async def delete(call: Call) -> Response:
    """202 and where to see the end of it; 204 when there is no such pool."""

    def command(tx: Tx) -> Pool | None:
        account = _account(tx, call)
        pool = tx.pools.get(account.name, call.params["pool"])
        if pool is not None:
            pools.delete(tx, call.context, account.name, pool.id, _ANY)
        return pool

    try:
        pool = await call.write(command)
    except ServiceError as error:
        raise wire.told(error) from None
    if pool is None:
        return empty(204)
    version = quote(call.query["api-version"], safe="")
    # Names of the pool's life: another pool of this name is another deletion.
    url = f"{call.url}{quote(call.path)}/operationResults/{pool.created_at}?api-version={version}"
    return empty(202, {"Location": url, "Retry-After": RETRY_AFTER_S})


async def deletion(call: Call) -> Response:
    """202 while the pool is being deleted, 204 once it is gone."""

    def query(tx: Tx) -> Pool | None:
        return tx.pools.get(_account(tx, call).name, call.params["pool"])

    pool = await call.read(query)
    if pool is None or str(pool.created_at) != call.params["operation"]:
        return empty(204)
    return empty(202, {"Location": f"{call.url}{quote(call.path)}?api-version={quote(call.query['api-version'])}",
                       "Retry-After": RETRY_AFTER_S})  # fmt: skip


async def stop_resize(call: Call) -> Response:
    """End a resize under way."""
    name = call.params["pool"]
    return await _write(
        call, lambda tx, account: pools.stop_resize(tx, call.context, account.name, name, _ANY)
    )


async def disable_autoscale(call: Call) -> Response:
    """Have the pool sized by hand again."""
    name = call.params["pool"]
    return await _write(call, lambda tx, account: autoscale.disable(tx, call.context, account.name, name))


_ALL = f"{in_group(ACCOUNTS)}/{{name}}/pools"
_ONE = f"{_ALL}/{{pool}}"
_RIGHT = f"{ACCOUNTS}/pools"
ROUTES = (
    ArmRoute("GET", _ALL, permission(f"{_RIGHT}/read"), list_all),
    ArmRoute("GET", _ONE, permission(f"{_RIGHT}/read"), get),
    ArmRoute("PUT", _ONE, permission(f"{_RIGHT}/write"), put),
    ArmRoute("PATCH", _ONE, permission(f"{_RIGHT}/write"), patch),
    ArmRoute("DELETE", _ONE, permission(f"{_RIGHT}/delete"), delete),
    ArmRoute("GET", f"{_ONE}/operationResults/{{operation}}", permission(f"{_RIGHT}/read"), deletion),
    ArmRoute("POST", f"{_ONE}/stopResize", permission(f"{_RIGHT}/stopResize/action"), stop_resize),
    ArmRoute(
        "POST", f"{_ONE}/disableAutoScale", permission(f"{_RIGHT}/disableAutoScale/action"), disable_autoscale
    ),
)
