"""Handlers of pools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from poolwright.api.batch.answers import Answer, validators, written
from poolwright.api.batch.call import Call, check_read, collect, read_listing
from poolwright.api.batch.secrets import SECRETS
from poolwright.commands import pools
from poolwright.commands.pool_image import image_info
from poolwright.domain.clock import Instant
from poolwright.domain.errors import ServiceError, disk_full
from poolwright.domain.pool import Pool, PoolSpec
from poolwright.store.base import Tx
from poolwright.wire import filters
from poolwright.wire.convert import pool as convert
from poolwright.wire.convert.image import show_image_info
from poolwright.wire.convert.shared import Document
from poolwright.wire.convert.stats import show_pool_stats
from poolwright.wire.odata import wants_stats
from poolwright.wire.versions import OS_UPGRADE_UNTIL


async def create(call: Call) -> Answer:
    """POST /pools."""
    call.unconditional()
    new = await asyncio.to_thread(convert.read_pool, call.body, SECRETS, call.version)
    cause = call.services.class_intake({disk.type for disk in new.spec.disks})
    if cause is not None:
        raise disk_full(cause)
    made = await call.write(
        lambda tx: pools.create(
            tx,
            call.context,
            call.account,
            new.id,
            new.spec,
            new.document,
            new.target_dedicated,
            new.target_low_priority,
            new.scale,
        )
    )
    address = call.links.pool(made.id)
    return written(made.modified_at, address, address)


def _show(tx: Tx, pool: Pool, call: Call) -> Document:
    dedicated = low_priority = 0
    for (_, is_dedicated), count in tx.nodes.counts(pool.account, pool.id).items():
        if is_dedicated:
            dedicated += count
        else:
            low_priority += count
    document = convert.show_pool(pool, (dedicated, low_priority), call.links)
    if wants_stats(call.query):
        document["stats"] = show_pool_stats(pool, tx.samples.stats(pool.account, pool.id), call.links)
    return document


async def list_all(call: Call) -> Answer:
    """GET /pools."""
    listing = read_listing(call, "pool", filters.POOLS)

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        return collect(
            listing,
            lambda after, limit: tx.pools.page(call.account, after, limit),
            lambda pool: pool.id,
            lambda pool: _show(tx, pool, call),
        )

    return call.page("pools", *await call.read(query))


async def get(call: Call) -> Answer:
    """GET /pools/{poolId}."""
    pre, pool_id = call.preconditions, call.params["poolId"]

    def query(tx: Tx) -> tuple[Document, Instant]:
        pool = pools.get(tx, call.account, pool_id)
        check_read(pre, pool.modified_at)
        document = _show(tx, pool, call)
        info = image_info(tx, pool)
        if info is not None:
            document["imageInfo"] = show_image_info(info.id, info.facts, info.origins, info.versions)
        return document, pool.modified_at

    document, modified_at = await call.read(query)
    return call.entity("pool", "pools", document, modified_at)


async def exists(call: Call) -> Answer:
    """HEAD /pools/{poolId}."""
    pre = call.preconditions
    pool = await call.read(lambda tx: pools.get(tx, call.account, call.params["poolId"]))
    check_read(pre, pool.modified_at)
    return Answer(headers=validators(pool.modified_at))


async def patch(call: Call) -> Answer:
    """PATCH /pools/{poolId}."""
    change = await asyncio.to_thread(convert.read_pool_patch, call.body, SECRETS, call.version)
    return await _change(call, change)


async def replace_properties(call: Call) -> Answer:
    """POST /pools/{poolId}/updateproperties."""
    call.unconditional()
    return await _change(call, convert.read_pool_properties(call.body, call.version))


async def _change(call: Call, change: Callable[[Pool], tuple[PoolSpec, bytes]]) -> Answer:
    pre = call.preconditions
    pool = await call.write(
        lambda tx: pools.patch(tx, call.context, call.account, call.params["poolId"], change, pre)
    )
    return written(pool.modified_at, call.url)


async def delete(call: Call) -> Answer:
    """DELETE /pools/{poolId}."""
    force, pre = call.query.flag("force"), call.preconditions
    await call.write(
        lambda tx: pools.delete(tx, call.context, call.account, call.params["poolId"], pre, force)
    )
    return Answer()


async def upgrade_os(call: Call) -> Answer:
    """POST /pools/{poolId}/upgradeos of the oldest version: only cloud services had it."""
    if call.version >= OS_UPGRADE_UNTIL:
        gone = f"Since {OS_UPGRADE_UNTIL} there is no such operation."
        raise ServiceError("InvalidUri", None, (("Reason", gone),))
    await call.read(lambda tx: pools.get(tx, call.account, call.params["poolId"]))
    reason = (
        "Only cloud service pools are upgraded so; nodes of an image get a newer one when they are made anew."
    )
    raise ServiceError("OperationNotValidOnPool", None, (("Reason", reason),))


async def resize(call: Call) -> Answer:
    """POST /pools/{poolId}/resize."""
    asked, pre = convert.read_resize(call.body), call.preconditions
    pool = await call.write(
        lambda tx: pools.resize(
            tx,
            call.context,
            call.account,
            call.params["poolId"],
            asked.dedicated,
            asked.low_priority,
            asked.timeout,
            asked.option,
            pre,
        )
    )
    return written(pool.modified_at, call.url)


async def stop_resize(call: Call) -> Answer:
    """POST /pools/{poolId}/stopresize."""
    pre = call.preconditions
    pool = await call.write(
        lambda tx: pools.stop_resize(tx, call.context, call.account, call.params["poolId"], pre)
    )
    return written(pool.modified_at, call.url)


async def remove_nodes(call: Call) -> Answer:
    """POST /pools/{poolId}/removenodes."""
    asked, pre = convert.read_remove_nodes(call.body), call.preconditions
    pool = await call.write(
        lambda tx: pools.remove_nodes(
            tx,
            call.context,
            call.account,
            call.params["poolId"],
            asked.nodes,
            asked.timeout,
            asked.option,
            pre,
        )
    )
    return written(pool.modified_at, call.url)
