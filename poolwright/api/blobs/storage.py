"""This service's own blob storage as its clients see it: `/<account>/<container>/<blob>`, like the public emulator.

The first segment of a path is a storage account where one of that name lies in this storage and the request has no
`api-version` in its query, which every request of the Batch data plane has and none of a storage client.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from poolwright.api.blobs import block_blobs, containers
from poolwright.api.blobs.answers import VERSION, Refused, settled
from poolwright.api.blobs.bytes import BlobKeeper
from poolwright.api.blobs.call import BlobCall
from poolwright.api.blobs.signatures import Signed, access, decoded
from poolwright.domain.clock import Clock, Ids
from poolwright.domain.storage_account import StorageAccount

Handler = Callable[[BlobCall], Awaitable[Response]]
_QUERY_MAX = 64  # parameters
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,1024}\Z")
_NAME = re.compile(r"[a-z0-9-]{1,63}\Z|\$[a-z]{1,20}\Z")

#: By method, what is addressed (account, container, blob) and the query's `comp`.
_OPERATIONS: dict[tuple[str, str, str], Handler] = {
    ("GET", "account", "list"): containers.list_containers,
    ("GET", "account", "properties"): containers.describe_account,
    ("HEAD", "account", "properties"): containers.describe_account,
    ("PUT", "container", ""): containers.create,
    ("GET", "container", ""): containers.describe,
    ("HEAD", "container", ""): containers.describe,
    ("GET", "container", "metadata"): containers.describe,
    ("HEAD", "container", "metadata"): containers.describe,
    ("PUT", "container", "metadata"): containers.set_metadata,
    ("DELETE", "container", ""): containers.delete,
    ("GET", "container", "list"): containers.list_blobs,
    ("PUT", "blob", ""): block_blobs.put,
    ("PUT", "blob", "block"): block_blobs.put_block,
    ("PUT", "blob", "blocklist"): block_blobs.put_block_list,
    ("GET", "blob", "blocklist"): block_blobs.get_block_list,
    ("GET", "blob", ""): block_blobs.get,
    ("HEAD", "blob", ""): block_blobs.head,
    ("GET", "blob", "metadata"): block_blobs.head,
    ("HEAD", "blob", "metadata"): block_blobs.head,
    ("PUT", "blob", "metadata"): block_blobs.set_metadata,
    ("PUT", "blob", "properties"): block_blobs.set_properties,
    ("DELETE", "blob", ""): block_blobs.delete,
}


class StorageApp:
    """`find`: the account of this name that lies in this storage; asked for every request, so it answers from memory.
    `otherwise` gets what is for no such account."""

    def __init__(
        self,
        find: Callable[[str], StorageAccount | None],
        keeper: BlobKeeper,
        clock: Clock,
        ids: Ids,
        refusal: Callable[[], str | None],
        otherwise: ASGIApp,
    ) -> None:
        self._find = find
        self._keeper = keeper
        self._clock = clock
        self._ids = ids
        self._refusal = refusal
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        account = self._account(scope) if scope["type"] == "http" else None
        if account is None:
            await self._otherwise(scope, receive, send)
            return
        request = Request(scope, receive)
        response = await settled(self._answer(request, account))
        self._finish(request, response)
        await response(scope, receive, send)

    def _account(self, scope: Scope) -> StorageAccount | None:
        raw = bytes(scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        found = self._find(raw.removeprefix("/").partition("/")[0])
        if found is None:
            return None
        names = {name.lower() for name, _ in _parameters(scope)}
        return None if "api-version" in names else found

    async def _answer(self, request: Request, account: StorageAccount) -> Response:
        scope = request.scope
        raw = bytes(scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
        _, _, rest = raw.removeprefix("/").partition("/")
        container, _, blob = rest.partition("/")
        container, blob = decoded(container), decoded(blob)
        parameters = _parameters(scope)
        names = [name for name, _ in scope["headers"]]
        if len(set(names)) < len(names):
            # Which value was signed, and which one is acted on, must never differ.
            raise Refused(400, "InvalidHeaderValue", "A header is given more than once.")
        if len(parameters) > _QUERY_MAX:
            raise Refused(400, "InvalidUri", f"A query has at most {_QUERY_MAX} parameters.")
        signed = Signed(
            request.method,
            raw,
            parameters,
            dict(request.headers),
            container or None,
            blob or None,
            request.client.host if request.client else None,
        )
        now = self._clock.now()
        allowed = access(signed, account, now)
        query: dict[str, str] = {}
        for name, value in parameters:
            query.setdefault(name.lower(), value)
        call = BlobCall(request, self._keeper, account, allowed, container, blob, query, now, self._refusal)
        return await _handler(call)(call)

    def _finish(self, request: Request, response: Response) -> None:
        asked = request.headers.get("x-ms-version", "")
        response.headers["x-ms-version"] = asked if _VERSION.match(asked) else VERSION
        response.headers["x-ms-request-id"] = self._ids.uuid()
        client = request.headers.get("x-ms-client-request-id", "")
        if _CLIENT_ID.match(client):
            response.headers["x-ms-client-request-id"] = client


def _parameters(scope: Scope) -> list[tuple[str, str]]:
    """All of the query, decoded; what is not UTF-8 is kept as it can be."""
    return parse_qsl(bytes(scope.get("query_string") or b"").decode("latin-1"), keep_blank_values=True)


def _handler(call: BlobCall) -> Handler:
    kind = call.query.get("restype", "").lower()
    comp = call.query.get("comp", "").lower()
    level = "blob" if call.blob else "container" if call.container else "account"
    if (level == "container" and kind != "container") or (
        level == "account" and comp == "properties" and kind != "account"
    ):
        raise Refused(
            400, "InvalidUri", "The address names neither a blob nor a container with restype=container."
        )
    if call.container and _NAME.match(call.container) is None:
        raise Refused(
            400, "InvalidResourceName", "A container's name has lower-case letters, digits and '-'."
        )
    if len(call.blob) > block_blobs.NAME_MAX:
        raise Refused(400, "InvalidUri", f"A blob's name has at most {block_blobs.NAME_MAX} characters.")
    for name in ("snapshot", "versionid"):
        if call.query.get(name):
            raise Refused(400, "UnsupportedQueryParameter", f"{name} is not supported: there are none here.")
    found = _OPERATIONS.get((call.request.method, level, comp))
    if found is None:
        asked = f"{call.request.method} {level}" + (f" comp={comp[:40]}" if comp else "")
        raise Refused(400, "UnsupportedOperation", f"This storage does not offer the operation '{asked}'.")
    return found
