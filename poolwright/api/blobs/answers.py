"""How the blob routes answer and refuse, as blob services do."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from xml.sax.saxutils import escape

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from poolwright.api.auth import PUBLIC
from poolwright.api.auth.permissions import needs
from poolwright.api.blobs.bytes import BytesRefused
from poolwright.domain.blobs import BlobRefused

VERSION = "2021-12-02"
_RANGE = re.compile(r"bytes=(\d{1,20})-(\d{1,20})?\Z")


class Refused(Exception):
    """The request is answered with this status and code."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


def bad_signature() -> Refused:
    """The address is not one that was handed out for now."""
    text = "The signature of the address is not valid, or the access it was made for has ended."
    return Refused(403, "AuthenticationFailed", text)


def check_allowed(request: Request, needed: str) -> None:
    """Raises Refused unless the (proven) address allows the operation."""
    if needed not in request.query_params["sp"]:
        raise Refused(403, "AuthorizationPermissionMismatch", "The address does not allow this operation.")


async def settled(answering: Awaitable[Response]) -> Response:
    """The answer, or what the refusals on the way to it come to."""
    try:
        return await answering
    except (Refused, BlobRefused) as error:
        return _error(error.status, error.code, str(error))
    except BytesRefused as error:
        status, code = (503, "ServerBusy") if error.retry else (409, "OperationNotAllowed")
        return _error(status, code, str(error))
    except ClientDisconnect:
        return Response(b"", 499)


def route(path: str, handler: Callable[[Request], Awaitable[Response]], method: str) -> Route:
    """A route whose only authentication is the signature in the address."""

    async def answer(request: Request) -> Response:
        return await settled(handler(request))

    made = Route(path, needs(PUBLIC)(answer), methods=[method])
    made.methods = {method}  # Starlette would let GET answer HEAD as well
    return made


def _error(status: int, code: str, text: str) -> Response:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{escape(text)}</Message></Error>'
    headers = {"x-ms-error-code": code, "x-ms-version": VERSION}
    return Response(body, status, headers, media_type="application/xml")


def asked_range(request: Request) -> tuple[int, int] | None:
    """First and last byte asked for (the last may be far beyond the end); None for all. Raises Refused."""
    text = request.headers.get("x-ms-range") or request.headers.get("range")
    if text is None:
        return None
    found = _RANGE.match(text)
    if found is None:
        raise Refused(400, "InvalidHeaderValue", "A range has the form bytes=first-last.")
    return int(found[1]), int(found[2]) if found[2] is not None else 2**63


def span(request: Request, size: int) -> tuple[int, int, int, dict[str, str]]:
    """Status, first byte, end (exclusive) and headers of a download of what has `size` bytes. Raises Refused."""
    asked = asked_range(request)
    start, end = (0, size) if asked is None else (asked[0], min(asked[1] + 1, size))
    if start >= end and not (size == 0 and asked is None):
        raise Refused(416, "InvalidRange", f"The range is not satisfiable: the blob has {size} bytes.")
    headers = {"Content-Length": str(end - start)}
    if asked is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return 200 if asked is None else 206, start, end, headers
