"""Put Page, Get Blob and Get Blob Properties on the disk an address is signed for (REST API of Azure page blobs)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from xml.sax.saxutils import escape

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from poolwright.api.auth import PUBLIC
from poolwright.api.auth.permissions import needs
from poolwright.api.blobs.addresses import BLOB, ROOT, is_signed, key_of
from poolwright.api.blobs.bytes import BytesRefused, DiskBytes
from poolwright.commands import disk_access
from poolwright.commands.disk_access import Granted
from poolwright.domain.clock import SECOND, Clock
from poolwright.domain.errors import disk_full
from poolwright.store.base import Store

PAGE_BYTES = 512
PUT_MAX_BYTES = 4 * 1024**2  # public limit of Put Page
_PIECE_BYTES = 1024**2
_RANGE = re.compile(r"bytes=(\d{1,20})-(\d{1,20})?\Z")
_VERSION = "2021-12-02"


@dataclass(frozen=True, slots=True)
class BlobServices:
    """What the routes need of the rest of the house."""

    store: Store
    clock: Clock
    bytes: DiskBytes
    intake: Callable[[], str | None] = lambda: None  # why nothing new is taken in now


class _Refused(Exception):
    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


def blob_routes(services: BlobServices) -> list[Route]:
    """The routes; the signature in the address is all the authentication there is."""
    blobs = _Blobs(services)
    return [_route(blobs.get, "GET"), _route(blobs.head, "HEAD"), _route(blobs.put, "PUT")]


def _route(handler: Callable[[Request], Awaitable[Response]], method: str) -> Route:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except _Refused as error:
            return _error(error.status, error.code, str(error))
        except BytesRefused as error:
            status, code = (503, "ServerBusy") if error.retry else (409, "OperationNotAllowed")
            return _error(status, code, str(error))
        except ClientDisconnect:
            return Response(b"", 499)

    route = Route(f"/{ROOT}/{{place}}/{BLOB}", needs(PUBLIC)(answer), methods=[method])
    route.methods = {method}  # Starlette would let GET answer HEAD as well
    return route


def _error(status: int, code: str, text: str) -> Response:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{escape(text)}</Message></Error>'
    headers = {"x-ms-error-code": code, "x-ms-version": _VERSION}
    return Response(body, status, headers, media_type="application/xml")


class _Blobs:
    def __init__(self, services: BlobServices) -> None:
        self._services = services

    async def _open(self, request: Request, needed: str) -> Granted:
        key = key_of(request.path_params["place"])
        now = self._services.clock.now()
        granted = None
        if key is not None:
            granted = await self._services.store.read(lambda tx: disk_access.granted(tx, key, now))
        if granted is None or not is_signed(granted, request.query_params):
            text = "The signature of the address is not valid, or the access it was made for has ended."
            raise _Refused(403, "AuthenticationFailed", text)
        if needed not in request.query_params["sp"]:
            raise _Refused(
                403, "AuthorizationPermissionMismatch", "The address does not allow this operation."
            )
        return granted

    async def put(self, request: Request) -> Response:
        granted = await self._open(request, "w")
        if request.query_params.get("comp") != "page":
            raise _Refused(400, "UnsupportedOperation", "Of the writing operations there is Put Page only.")
        start, end = _pages(request, granted.blob_bytes)
        kind = request.headers.get("x-ms-page-write", "").lower()
        files, file = self._services.bytes, granted.file
        if kind == "clear":
            await files.clear(file, start, end - start)
        elif kind == "update":
            cause = self._services.intake()
            if cause is not None:
                raise _Refused(409, "HostDiskFull", disk_full(cause).message)
            await files.write(file, start, await _body(request, end - start))
        else:
            raise _Refused(400, "InvalidHeaderValue", "x-ms-page-write must be update or clear.")
        return Response(b"", 201, {**_common(granted), "x-ms-blob-sequence-number": "0"})

    async def head(self, request: Request) -> Response:
        granted = await self._open(request, "r")
        return Response(b"", 200, {**_common(granted), "Content-Length": str(granted.blob_bytes)})

    async def get(self, request: Request) -> Response:
        granted = await self._open(request, "r")
        if "comp" in request.query_params:
            raise _Refused(400, "UnsupportedOperation", "Of the reading operations there is Get Blob only.")
        asked = _asked_range(request)
        size = granted.blob_bytes
        start, end = (0, size) if asked is None else (asked[0], min(asked[1] + 1, size))
        if start >= end:
            text = f"The range is not satisfiable: the blob has {size} bytes."
            raise _Refused(416, "InvalidRange", text)
        headers = {**_common(granted), "Content-Length": str(end - start)}
        if asked is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 200 if asked is None else 206
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
        "x-ms-version": _VERSION,
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }


def _asked_range(request: Request) -> tuple[int, int] | None:
    text = request.headers.get("x-ms-range") or request.headers.get("range")
    if text is None:
        return None
    found = _RANGE.match(text)
    if found is None:
        raise _Refused(400, "InvalidHeaderValue", "A range has the form bytes=first-last.")
    return int(found[1]), int(found[2]) if found[2] is not None else 2**63


def _pages(request: Request, size: int) -> tuple[int, int]:
    """The range to write, half open, of whole pages."""
    asked = _asked_range(request)
    if asked is None:
        raise _Refused(400, "MissingRequiredHeader", "Put Page needs a range.")
    start, end = asked[0], asked[1] + 1
    if start % PAGE_BYTES or end % PAGE_BYTES or not start < end <= size:
        raise _Refused(
            416, "InvalidPageRange", f"The range must be whole pages of 512 bytes within {size} bytes."
        )
    return start, end


async def _body(request: Request, length: int) -> bytes:
    if length > PUT_MAX_BYTES:
        raise _Refused(413, "RequestBodyTooLarge", f"At most {PUT_MAX_BYTES} bytes can be written at once.")
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > length:
            break
    if len(data) != length:
        raise _Refused(400, "InvalidInput", f"The body is not as long as its range of {length} bytes.")
    return bytes(data)
