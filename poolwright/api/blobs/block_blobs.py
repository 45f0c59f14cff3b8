"""Operations on block blobs: put whole or in blocks, get (also in part), describe, delete."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import replace
from email.utils import formatdate

from starlette.responses import Response, StreamingResponse

from poolwright.api.blobs import lists
from poolwright.api.blobs.answers import Refused, span
from poolwright.api.blobs.bodies import (
    BLOCK_MAX_BYTES,
    LIST_MAX_BYTES,
    block_id,
    block_list,
    check_digest,
    content_length,
)
from poolwright.api.blobs.call import BlobCall, changed, md5_header, told_metadata
from poolwright.api.blobs.signatures import overrides
from poolwright.domain.blobs import Blob, Piece
from poolwright.domain.clock import SECOND
from poolwright.domain.errors import disk_full

BLOB_MAX_BYTES = 5000 * 1024**2  # public limit of what is put at once
NAME_MAX = 1024  # public limit, in characters
_DIGESTED_MAX = 4 * 1024**2  # public limit of a range whose digest is asked for
_DEFAULT_TYPE = "application/octet-stream"
_NOT_ENCRYPTED = {"x-ms-request-server-encrypted": "false"}


async def put(call: BlobCall) -> Response:
    """Put Blob."""
    call.access.check("w", "c")
    call.check_offered()
    if (call.header("x-ms-blob-type") or "").lower() != "blockblob":
        text = "x-ms-blob-type must be BlockBlob: there are no page and append blobs here."
        raise Refused(400, "UnsupportedHeader", text)
    _check_room(call)
    file, digest, size = await _take(call, BLOB_MAX_BYTES)
    try:
        check_digest(call.request, digest)
        blob = Blob(call.blob, size, _told_md5(call) or digest, _settings(call), call.metadata())
        pieces = [Piece(file, size)]
        written = await call.keeper.change(
            lambda index: index.put(call.key, blob, pieces, call.judge(), call.now)
        )
    except BaseException:
        await call.keeper.drop(file)
        raise
    md5 = {"Content-MD5": base64.b64encode(digest).decode()}
    return Response(b"", 201, {**changed(written), **md5, **_NOT_ENCRYPTED})


async def put_block(call: BlobCall) -> Response:
    """Put Block."""
    call.access.check("w", "c")
    call.check_offered()
    block = block_id(call.query.get("blockid", ""))
    _check_room(call)
    file, digest, size = await _take(call, BLOCK_MAX_BYTES)
    try:
        check_digest(call.request, digest)
        piece = Piece(file, size, block)
        await call.keeper.change(lambda index: index.put_block(call.key, piece, call.now))
    except BaseException:
        await call.keeper.drop(file)
        raise
    return Response(b"", 201, {"Content-MD5": base64.b64encode(digest).decode(), **_NOT_ENCRYPTED})


async def put_block_list(call: BlobCall) -> Response:
    """Put Block List."""
    call.access.check("w", "c")
    call.check_offered()
    content_length(call.request, LIST_MAX_BYTES)
    body = await call.request.body()
    check_digest(call.request, hashlib.md5(body, usedforsecurity=False).digest())
    wanted = block_list(body)
    blob = Blob(call.blob, 0, _told_md5(call), _settings(call), call.metadata())
    written = await call.keeper.change(
        lambda index: index.commit(call.key, blob, wanted, call.judge(), call.now)
    )
    return Response(b"", 201, {**changed(written), **_NOT_ENCRYPTED})


async def get_block_list(call: BlobCall) -> Response:
    """Get Block List."""
    call.access.check("r")
    kind = call.query.get("blocklisttype", "committed").lower()
    if kind not in ("committed", "uncommitted", "all"):
        raise Refused(400, "InvalidQueryParameterValue", "blocklisttype is committed, uncommitted or all.")
    committed, waiting = await call.keeper.ask(lambda index: index.blocks(call.key))
    text = lists.blocks(
        None if kind == "uncommitted" else committed, None if kind == "committed" else waiting
    )
    return Response(text.encode(), 200, media_type="application/xml")


async def get(call: BlobCall) -> Response:
    """Get Blob."""
    call.access.check("r")
    blob, stream = await call.keeper.open_blob(call.key)
    if (unchanged := _unchanged(call, blob)) is not None:
        return unchanged
    status, start, end, headers = span(call.request, blob.size)
    said = {**_described(blob), **headers, **overrides(call.query)}
    if status == 206:
        said.pop("Content-MD5", None)
        if blob.md5 is not None:
            said["x-ms-blob-content-md5"] = base64.b64encode(blob.md5).decode()
    if (call.header("x-ms-range-get-content-md5") or "").lower() == "true":
        if status != 206 or end - start > _DIGESTED_MAX:
            raise Refused(
                400, "InvalidHeaderValue", "x-ms-range-get-content-md5 goes with ranges up to 4 MiB."
            )
        data = b"".join([piece async for piece in stream.read(start, end)])
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        return Response(data, status, {**said, "Content-MD5": base64.b64encode(digest).decode()})
    return StreamingResponse(stream.read(start, end), status, said)


async def head(call: BlobCall) -> Response:
    """Get Blob Properties."""
    call.access.check("r")
    blob, _ = await call.keeper.ask(lambda index: index.blob(call.key))
    if (unchanged := _unchanged(call, blob)) is not None:
        return unchanged
    return Response(b"", 200, {**_described(blob), "Content-Length": str(blob.size)})


async def set_metadata(call: BlobCall) -> Response:
    """Set Blob Metadata."""
    call.access.check("w")
    call.check_offered()
    metadata = call.metadata()

    def described(blob: Blob) -> Blob:
        return replace(blob, metadata=metadata)

    written = await call.keeper.change(
        lambda index: index.describe(call.key, described, call.judge(may_create=False), call.now)
    )
    return Response(b"", 200, {**changed(written), **_NOT_ENCRYPTED})


async def set_properties(call: BlobCall) -> Response:
    """Set Blob Properties: those that are not given are cleared."""
    call.access.check("w")
    call.check_offered()
    md5, settings = _told_md5(call), call.settings()

    def described(blob: Blob) -> Blob:
        return replace(blob, md5=md5, settings=settings)

    written = await call.keeper.change(
        lambda index: index.describe(call.key, described, call.judge(may_create=False), call.now)
    )
    return Response(b"", 200, changed(written))


async def delete(call: BlobCall) -> Response:
    """Delete Blob."""
    call.access.check("d")
    call.check_offered()
    if (call.header("x-ms-delete-snapshots") or "").lower() == "only":
        raise Refused(400, "UnsupportedHeader", "x-ms-delete-snapshots: there are no snapshots here.")
    await call.keeper.change(lambda index: index.delete(call.key, call.judge(may_create=False)))
    return Response(b"", 202, {"x-ms-delete-type-permanent": "true"})


def _check_room(call: BlobCall) -> None:
    cause = call.refusal()
    if cause is not None:
        raise Refused(409, "HostDiskFull", disk_full(cause).message)


async def _take(call: BlobCall, most: int) -> tuple[str, bytes, int]:
    size = content_length(call.request, most)
    file, digest = await call.keeper.take(call.request.stream(), size)
    return file, digest, size


def _settings(call: BlobCall) -> tuple[tuple[str, str], ...]:
    """What the request says of the content; its own type counts where no other is told."""
    told = dict(call.settings())
    if call.query.get("comp") is None and "content-type" not in told and call.header("content-type"):
        told["content-type"] = str(call.header("content-type"))
    return tuple({"content-type": _DEFAULT_TYPE, **told}.items())


def _told_md5(call: BlobCall) -> bytes | None:
    text = call.header("x-ms-blob-content-md5")
    if text is None:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise Refused(400, "InvalidMd5", "x-ms-blob-content-md5 is an MD5 in base64.")
    return digest


def _described(blob: Blob) -> dict[str, str]:
    return {
        **changed(blob),
        **md5_header(blob),
        **told_metadata(blob.metadata),
        "content-type": _DEFAULT_TYPE,
        **dict(blob.settings),
        "x-ms-creation-time": formatdate(blob.created_at // SECOND, usegmt=True),
        "x-ms-blob-type": "BlockBlob",
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
        "x-ms-server-encrypted": "false",
        "Accept-Ranges": "bytes",
    }


def _unchanged(call: BlobCall, blob: Blob) -> Response | None:
    """304 for a read of what the caller has already. Other conditions that do not hold raise Refused (412)."""
    try:
        call.check_conditions(blob.tag, blob.modified_at)
    except Refused as refused:
        reads = call.header("if-none-match") is not None or call.header("if-modified-since") is not None
        if refused.status == 412 and reads and call.header("if-match") is None:
            return Response(b"", 304, {**changed(blob), "x-ms-error-code": refused.code})
        raise
    return None
