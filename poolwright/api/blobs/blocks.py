"""Put Blob, Put Block, Put Block List, Get Blob and its properties on the upload that a package's address is signed for
(REST API of Azure block blobs)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from email.utils import formatdate

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from poolwright.api.blobs.addresses import ARCHIVE, PACKAGES, is_signed
from poolwright.api.blobs.answers import VERSION, Refused, bad_signature, check_allowed, route, span
from poolwright.api.blobs.bodies import (
    BLOCK_MAX_BYTES,
    LIST_MAX_BYTES,
    block_id,
    block_list,
    check_digest,
    content_length,
)
from poolwright.api.blobs.bytes import BlobFacts, PackageFiles
from poolwright.api.blobs.pages import BlobServices
from poolwright.commands import applications
from poolwright.domain.errors import disk_full
from poolwright.domain.limits import PACKAGE_BYTES_MAX

_PIECE_BYTES = 1024**2
_PATH = f"/{PACKAGES}/{{blob}}/{ARCHIVE}"


def package_routes(services: BlobServices, files: PackageFiles) -> list[Route]:
    """The routes; the signature in the address is all the authentication there is."""
    blobs = _Blobs(services, files)
    return [route(_PATH, blobs.get, "GET"), route(_PATH, blobs.head, "HEAD"), route(_PATH, blobs.put, "PUT")]


class _Blobs:
    def __init__(self, services: BlobServices, files: PackageFiles) -> None:
        self._services = services
        self._files = files

    async def _open(self, request: Request, needed: str) -> str:
        blob = str(request.path_params["blob"])
        now = self._services.clock.now()
        package = await self._services.store.read(lambda tx: applications.granted(tx, blob, now))
        if package is None or not is_signed(package.secret, package.blob, request.query_params):
            raise bad_signature()
        check_allowed(request, needed)
        return package.blob

    async def put(self, request: Request) -> Response:
        blob = await self._open(request, "w")
        cause = self._services.intake()
        if cause is not None:
            raise Refused(409, "HostDiskFull", disk_full(cause).message)
        kind = request.query_params.get("comp")
        if kind is None:
            return await self._put_blob(request, blob)
        if kind == "block":
            return await self._put_block(request, blob)
        if kind == "blocklist":
            return await self._put_list(request, blob)
        raise Refused(
            400, "UnsupportedOperation", "There are Put Blob, Put Block and Put Block List of the writes."
        )

    async def _put_blob(self, request: Request, blob: str) -> Response:
        if request.headers.get("x-ms-blob-type", "").lower() != "blockblob":
            raise Refused(400, "InvalidHeaderValue", "x-ms-blob-type must be BlockBlob.")
        length = content_length(request, PACKAGE_BYTES_MAX)
        await self._check_conditions(request, blob)
        digest = await self._files.put(blob, request.stream(), length)
        check_digest(request, digest)
        return await self._written(blob, digest)

    async def _put_block(self, request: Request, blob: str) -> Response:
        block = block_id(request.query_params.get("blockid", ""))
        length = content_length(request, BLOCK_MAX_BYTES)
        digest = await self._files.put_block(blob, block, request.stream(), length)
        check_digest(request, digest)
        headers = {"x-ms-version": VERSION, "Content-MD5": base64.b64encode(digest).decode()}
        return Response(b"", 201, headers)

    async def _put_list(self, request: Request, blob: str) -> Response:
        if content_length(request, LIST_MAX_BYTES) > LIST_MAX_BYTES:
            raise Refused(413, "RequestBodyTooLarge", "The list of blocks is too long.")
        # There are only new blocks, so where a list seeks each of them makes no difference.
        blocks = [block for _, block in block_list(await request.body())]
        await self._check_conditions(request, blob)
        if not await self._files.commit(blob, blocks):
            raise Refused(400, "InvalidBlockList", "The list names a block that was not uploaded.")
        return await self._written(blob, None)

    async def _written(self, blob: str, digest: bytes | None) -> Response:
        headers = _common(await self._facts(blob))
        if digest is not None:
            headers["Content-MD5"] = base64.b64encode(digest).decode()
        return Response(b"", 201, {**headers, "x-ms-request-server-encrypted": "false"})

    async def _facts(self, blob: str) -> BlobFacts:
        facts = await self._files.facts(blob)
        if facts is None:
            raise Refused(
                404, "BlobNotFound", "Nothing was uploaded yet, or it was taken over by an activation."
            )
        return facts

    async def _check_conditions(self, request: Request, blob: str) -> None:
        """The conditions of entity tags on a write; those of times are not offered."""
        facts = await self._files.facts(blob)
        tag = None if facts is None else _tag(facts)
        none_match, match = request.headers.get("if-none-match"), request.headers.get("if-match")
        if none_match is not None and tag is not None and none_match in ("*", tag):
            raise Refused(
                409, "BlobAlreadyExists", "The package was uploaded already; say that it is replaced."
            )
        if match is not None and match not in ("*" if tag else "", tag):
            raise Refused(412, "ConditionNotMet", "The condition of the request does not hold.")

    async def head(self, request: Request) -> Response:
        facts = await self._facts(await self._open(request, "r"))
        return Response(b"", 200, {**_common(facts), **_READ, "Content-Length": str(facts.size)})

    async def get(self, request: Request) -> Response:
        blob = await self._open(request, "r")
        if "comp" in request.query_params:
            raise Refused(400, "UnsupportedOperation", "There is Get Blob only of the reads.")
        facts = await self._facts(blob)
        status, start, end, headers = span(request, facts.size)
        whole = {**_common(facts), **_READ, **headers}
        return StreamingResponse(
            self._stream(blob, start, end), status, whole, media_type="application/octet-stream"
        )

    async def _stream(self, blob: str, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            piece = await self._files.read(blob, start, min(_PIECE_BYTES, end - start))
            yield piece
            start += len(piece)


_READ = {
    "x-ms-blob-type": "BlockBlob",
    "x-ms-lease-state": "available",
    "x-ms-lease-status": "unlocked",
    "Accept-Ranges": "bytes",
    "Content-Type": "application/octet-stream",
}


def _tag(facts: BlobFacts) -> str:
    return f'"0x{facts.modified_ns:X}"'


def _common(facts: BlobFacts) -> dict[str, str]:
    modified = formatdate(facts.modified_ns / 1e9, usegmt=True)
    return {"ETag": _tag(facts), "Last-Modified": modified, "x-ms-version": VERSION}
