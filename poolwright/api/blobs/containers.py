"""Operations on accounts and containers: create, delete, describe, list."""

from __future__ import annotations

import re

from starlette.responses import Response

from poolwright.api.blobs import lists
from poolwright.api.blobs.answers import Refused
from poolwright.api.blobs.call import BlobCall, changed, told_metadata
from poolwright.domain.blobs import Container, Listing

_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}\Z")  # public rule; the length is checked apart
_PAGE = 5000  # public limit
_LEASE = {"x-ms-lease-state": "available", "x-ms-lease-status": "unlocked"}


async def list_containers(call: BlobCall) -> Response:
    """List Containers."""
    call.access.check("l")
    asked = _asked(call)
    found = await call.keeper.ask(
        lambda index: index.containers(call.account.room, asked.prefix, asked.after, asked.limit + 1)
    )
    page = found[: asked.limit]
    after = page[-1].name if len(found) > asked.limit else ""
    return _xml(lists.containers(_endpoint(call), asked, page, after))


async def describe_account(_call: BlobCall) -> Response:
    """Get Account Information."""
    return Response(
        b"",
        200,
        {"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2", "x-ms-is-hns-enabled": "false"},
    )


async def create(call: BlobCall) -> Response:
    """Create Container."""
    call.access.check("c", "w")
    call.check_offered()
    if not 3 <= len(call.container) <= 63 or _NAME.match(call.container) is None:
        text = "A container's name has 3 to 63 lower-case letters, digits and single '-'."
        raise Refused(400, "InvalidResourceName", text)
    metadata = call.metadata()
    made = await call.keeper.change(
        lambda index: index.create_container(call.account.room, call.container, metadata, call.now)
    )
    return Response(b"", 201, changed(made))


async def describe(call: BlobCall) -> Response:
    """Get Container Properties."""
    call.access.check("r")
    found = await _found(call)
    return Response(b"", 200, {**changed(found), **told_metadata(found.metadata), **_LEASE})


async def set_metadata(call: BlobCall) -> Response:
    """Set Container Metadata."""
    call.access.check("w")
    call.check_offered()
    metadata = call.metadata()
    found = await _found(call)
    call.check_conditions(found.tag, found.modified_at)
    written = await call.keeper.change(
        lambda index: index.describe_container(call.account.room, call.container, metadata, call.now)
    )
    return Response(b"", 200, changed(written))


async def delete(call: BlobCall) -> Response:
    """Delete Container."""
    call.access.check("d")
    call.check_offered()
    found = await _found(call)
    call.check_conditions(found.tag, found.modified_at)
    await call.keeper.change(lambda index: index.delete_container(call.account.room, call.container))
    return Response(b"", 202)


async def list_blobs(call: BlobCall) -> Response:
    """List Blobs."""
    call.access.check("l")
    asked = _asked(call)
    page = await call.keeper.ask(lambda index: index.page(call.account.room, call.container, asked))
    return _xml(lists.blobs(_endpoint(call), call.container, asked, page))


def _asked(call: BlobCall) -> Listing:
    include = set(filter(None, call.query.get("include", "").lower().split(",")))
    for name in sorted(include - {"metadata", "copy"}):
        text = f"include={name[:40]} is not supported: there are none here."
        raise Refused(400, "UnsupportedQueryParameter", text)
    after = lists.after(call.query.get("marker", ""))
    if after is None:
        raise Refused(400, "InvalidQueryParameterValue", "marker is not one that was handed out.")
    return Listing(
        prefix=call.query.get("prefix", ""),
        delimiter=call.query.get("delimiter", ""),
        after=after,
        limit=call.number("maxresults", _PAGE, _PAGE),
        metadata="metadata" in include,
    )


async def _found(call: BlobCall) -> Container:
    return await call.keeper.ask(lambda index: index.container(call.account.room, call.container))


def _endpoint(call: BlobCall) -> str:
    return f"{call.request.url.scheme}://{call.request.url.netloc}/{call.account.name}/"


def _xml(text: str) -> Response:
    return Response(text.encode(), 200, media_type="application/xml")
