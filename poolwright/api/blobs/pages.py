"""Put Page, Get Blob and Get Blob Properties on the disk an address is signed for (REST API of Azure page blobs)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from email.utils import formatdate

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from poolwright.api.blobs.addresses import BLOB, ROOT, is_signed, key_of
from poolwright.api.blobs.answers import (
    VERSION,
    Refused,
    asked_range,
    bad_signature,
    check_allowed,
    route,
    span,
)
from poolwright.api.blobs.bytes import DiskBytes
from poolwright.commands import disk_access
from poolwright.commands.disk_access import Granted
from poolwright.domain.clock import SECOND, Clock
from poolwright.domain.errors import disk_full
from poolwright.store.base import Store

PAGE_BYTES = 512
PUT_MAX_BYTES = 4 * 1024**2  # public limit of Put Page
_PIECE_BYTES = 1024**2
_PATH = f"/{ROOT}/{{place}}/{BLOB}"


@dataclass(frozen=True, slots=True)
class BlobServices:
    """What the routes need of the rest of the house."""

    store: Store
    clock: Clock
    bytes: DiskBytes
    intake: Callable[[], str | None] = lambda: None  # why nothing new is taken in now


def blob_routes(services: BlobServices) -> list[Route]:
    """The routes; the signature in the address is all the authentication there is."""
    blobs = _Blobs(services)
    return [route(_PATH, blobs.get, "GET"), route(_PATH, blobs.head, "HEAD"), route(_PATH, blobs.put, "PUT")]


class _Blobs:
    def __init__(self, services: BlobServices) -> None:
        self._services = services

    async def _open(self, request: Request, needed: str) -> Granted:
        key = key_of(request.path_params["place"])
        now = self._services.clock.now()
        granted = None
        if key is not None:
            granted = await self._services.store.read(lambda tx: disk_access.granted(tx, key, now))
        if granted is None or not is_signed(
            granted.access.secret, granted.resource.key, request.query_params
        ):
            raise bad_signature()
        check_allowed(request, needed)
        return granted

    async def put(self, request: Request) -> Response:
        granted = await self._open(request, "w")
        if request.query_params.get("comp") != "page":
            raise Refused(400, "UnsupportedOperation", "Of the writing operations there is Put Page only.")
        start, end = _pages(request, granted.blob_bytes)
        kind = request.headers.get("x-ms-page-write", "").lower()
        files, file = self._services.bytes, granted.file
        if kind == "clear":
            await files.clear(file, start, end - start)
        elif kind == "update":
            cause = self._services.intake()
            if cause is not None:
                raise Refused(409, "HostDiskFull", disk_full(cause).message)
            await files.write(file, start, await _body(request, end - start))
        else:
            raise Refused(400, "InvalidHeaderValue", "x-ms-page-write must be update or clear.")
        return Response(b"", 201, {**_common(granted), "x-ms-blob-sequence-number": "0"})

    async def head(self, request: Request) -> Response:
        granted = await self._open(request, "r")
        return Response(b"", 200, {**_common(granted), "Content-Length": str(granted.blob_bytes)})

    async def get(self, request: Request) -> Response:
        granted = await self._open(request, "r")
        if "comp" in request.query_params:
            raise Refused(400, "UnsupportedOperation", "Of the reading operations there is Get Blob only.")
        status, start, end, more = span(request, granted.blob_bytes)
        headers = {**_common(granted), **more}
        return StreamingResponse(
            self._stream(granted, start, end), status, headers, media_type="application/octet-stream"
        )

    async def _stream(self, granted: Granted, start: int, end: int) -> AsyncIterator[bytes]:
        held = granted.disk_bytes
        while start < min(end, held):
            piece = min(end, held, start + _PIECE_BYTES) - start
            yield await self._services.bytes.read(granted.file, start, piece)
            start += piece
        if start < end:
            created = granted.resource.created_at // SECOND
            footer = self._services.bytes.footer(held, granted.state.unique_id, created)
            yield footer[start - held : end - held]


def _common(granted: Granted) -> dict[str, str]:
    tag = hashlib.sha256(
        f"{granted.state.unique_id} {granted.file} {granted.blob_bytes}".encode()
    ).hexdigest()[:16]
    return {
        "ETag": f'"0x{tag.upper()}"',
        "Last-Modified": formatdate(granted.resource.modified_at / SECOND, usegmt=True),
        "x-ms-creation-time": formatdate(granted.resource.created_at / SECOND, usegmt=True),
        "x-ms-blob-type": "PageBlob",
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
        "x-ms-version": VERSION,
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }


def _pages(request: Request, size: int) -> tuple[int, int]:
    """The range to write, half open, of whole pages."""
    asked = asked_range(request)
    if asked is None:
        raise Refused(400, "MissingRequiredHeader", "Put Page needs a range.")
    start, end = asked[0], asked[1] + 1
    if start % PAGE_BYTES or end % PAGE_BYTES or not start < end <= size:
        raise Refused(
            416, "InvalidPageRange", f"The range must be whole pages of 512 bytes within {size} bytes."
        )
    return start, end


async def _body(request: Request, length: int) -> bytes:
    if length > PUT_MAX_BYTES:
        raise Refused(413, "RequestBodyTooLarge", f"At most {PUT_MAX_BYTES} bytes can be written at once.")
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > length:
            break
    if len(data) != length:
        raise Refused(400, "InvalidInput", f"The body is not as long as its range of {length} bytes.")
    return bytes(data)
