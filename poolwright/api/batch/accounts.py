"""Handlers of what belongs to the account as a whole."""

from __future__ import annotations

from itertools import islice

from poolwright.api.batch.answers import Answer
from poolwright.api.batch.call import Call, Listing, collect
from poolwright.commands.usage import INTERVAL, Usage, usage_after
from poolwright.domain.catalogue import AGENT_SKUS, SupportedImage
from poolwright.domain.clock import Instant
from poolwright.domain.errors import ServiceError
from poolwright.domain.limits import NODE_COUNTS_PAGE_MAX
from poolwright.store.base import Tx
from poolwright.wire import filters, odata, paging
from poolwright.wire.convert.node import show_node_counts
from poolwright.wire.convert.shared import Document
from poolwright.wire.query import bad_parameter
from poolwright.wire.times import iso, parse_time
from poolwright.wire.versions import SUPPORTED_IMAGES_SINCE


def _show_image(image: SupportedImage) -> Document:
    shown: Document = {
        "nodeAgentSKUId": image.agent_sku,
        "imageReference": {
            "publisher": image.publisher,
            "offer": image.offer,
            "sku": image.sku,
            "version": image.version,
        },
        "osType": image.os_type,
        "verificationType": "verified" if image.verified else "unverified",
    }
    if image.support_ends is not None:
        shown["batchSupportEndOfLife"] = iso(image.support_ends)
    if image.capabilities:
        shown["capabilities"] = list(image.capabilities)
    return shown


def _image_key(image: SupportedImage) -> str:
    return "/".join((image.publisher, image.offer, image.sku, image.version, image.agent_sku)).lower()


async def list_images(call: Call) -> Answer:
    """GET /supportedimages."""
    if call.version < SUPPORTED_IMAGES_SINCE:
        reason = f"Before {SUPPORTED_IMAGES_SINCE} the images are listed at /nodeagentskus."
        raise ServiceError("InvalidUri", None, (("Reason", reason),))
    test = odata.read_filter(call.query, filters.SUPPORTED_IMAGES)
    listing = Listing("image", paging.read_page(call.query), test, None, call.version)
    images = sorted(call.services.images, key=_image_key)

    def fetch(after: str | None, limit: int) -> list[SupportedImage]:
        return [image for image in images if after is None or _image_key(image) > after][:limit]

    return call.page("supportedimages", *collect(listing, fetch, _image_key, _show_image))


async def list_agent_skus(call: Call) -> Answer:
    """GET /nodeagentskus: what /supportedimages was before 2019-06-01."""
    if call.version >= SUPPORTED_IMAGES_SINCE:
        reason = f"Since {SUPPORTED_IMAGES_SINCE} the images are listed at /supportedimages."
        raise ServiceError("InvalidUri", None, (("Reason", reason),))
    test = odata.read_filter(call.query, filters.NODE_AGENT_SKUS)
    listing = Listing("nodeagentsku", paging.read_page(call.query), test, None, call.version)
    skus = sorted(AGENT_SKUS)

    def show(sku: str) -> Document:
        verified = [image for image in call.services.images if image.agent_sku == sku and image.verified]
        references = [_show_image(image)["imageReference"] for image in sorted(verified, key=_image_key)]
        return {"id": sku, "verifiedImageReferences": references, "osType": AGENT_SKUS[sku]}

    def fetch(after: str | None, limit: int) -> list[str]:
        return [sku for sku in skus if after is None or sku > after][:limit]

    return call.page("nodeagentskus", *collect(listing, fetch, str, show))


async def list_node_counts(call: Call) -> Answer:
    """GET /nodecounts."""
    test = odata.read_filter(call.query, filters.NODE_COUNTS)
    page = paging.read_page(call.query, NODE_COUNTS_PAGE_MAX)
    listing = Listing("nodecounts", page, test, None, call.version)

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        return collect(
            listing,
            lambda after, limit: tx.pools.page(call.account, after, limit),
            lambda pool: pool.id,
            lambda pool: show_node_counts(pool.id, tx.nodes.counts(call.account, pool.id)),
        )

    return call.page("nodecounts", *await call.read(query))


async def list_usage(call: Call) -> Answer:
    """GET /poolusagemetrics."""
    test = odata.read_filter(call.query, filters.USAGE)
    listing = Listing("usage", paging.read_page(call.query), test, None, call.version)
    since, until = _moment(call, "startTime"), _moment(call, "endTime")
    if since is not None and until is not None and since > until:
        raise bad_parameter("startTime", call.query.text("startTime"), "It is after endTime.")

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        def fetch(after: str | None, limit: int) -> list[Usage]:
            return list(islice(usage_after(tx, call.account, since, until, call.now, after), limit))

        return collect(listing, fetch, lambda usage: usage.key, _show_usage)

    return call.page("poolusagemetrics", *await call.read(query))


def _moment(call: Call, name: str) -> Instant | None:
    text = call.query.text(name)
    try:
        return None if text is None else parse_time(text)
    except ValueError as bad:
        raise bad_parameter(name, text, str(bad)) from None


def _show_usage(usage: Usage) -> Document:
    return {
        "poolId": usage.pool,
        "startTime": iso(usage.start),
        "endTime": iso(usage.start + INTERVAL),
        "vmSize": usage.vm_size,
        "totalCoreHours": usage.core_hours,
    }
