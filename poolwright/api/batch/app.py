"""The data plane as an ASGI application: from a request to an operation's handler and its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field

from starlette.routing import BaseRoute, Mount

from poolwright.api.auth import AuthError, assert_declared, batch_target, require
from poolwright.api.auth.requests import Scope, header_values
from poolwright.api.batch import heads, parameters
from poolwright.api.batch.addresses import Address, Match, Router, decode, read_address
from poolwright.api.batch.answers import DATA_SERVICE_VERSION, JSON, Answer, Header, validators
from poolwright.api.batch.call import Call, NotModified
from poolwright.api.batch.live import Receive, Send, pour
from poolwright.api.batch.registry import OPERATIONS, Operation
from poolwright.api.batch.services import BatchServices
from poolwright.api.batch.task_tokens import check_task_token
from poolwright.domain.errors import ServiceError, disk_full
from poolwright.domain.limits import REQUEST_TIMEOUT_S
from poolwright.store.base import Busy, Full
from poolwright.wire.errors import error_body
from poolwright.wire.links import Links
from poolwright.wire.query import Query
from poolwright.wire.versions import older_files, read_version

_log = logging.getLogger(__name__)
_ID_MAX = 256
_DRAINED_MAX = 16 * 1_048_576
"""How much of a body that is too large is still read, so that the client gets to read the answer."""


@dataclass(slots=True)
class _Exchange:
    """What is known of a request while it is answered, also when it fails."""

    scope: Scope
    request_id: str
    endpoint: str
    success: int = 200
    operation: str = "unknown"
    headers: list[Header] = field(default_factory=list)


class BatchApp:
    """The data plane. Serves every path it is given: mount it behind the other planes."""

    def __init__(self, services: BatchServices) -> None:
        assert_declared((operation.name, operation.permission) for operation in OPERATIONS)
        self._services = services
        self._router: Router[Operation] = Router()
        for operation in OPERATIONS:
            self._router.add(operation.method, operation.path, operation)
        self._roots = self._router.roots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other kinds of connections are not ours."""
        if scope["type"] != "http":
            raise RuntimeError(f"the data plane does not speak {scope['type']}")
        services = self._services
        began = time.monotonic()
        exchange = _Exchange(scope, services.ids.uuid(), services.endpoint)
        try:
            answer = await self._answer(exchange, receive)
        except Exception as failure:  # noqa: BLE001 - every failure is answered, see _failed
            answer = self._failed(exchange, failure)
        services.meter(exchange.operation, answer.status or exchange.success, time.monotonic() - began)
        await self._deliver(exchange, answer, receive, send)

    async def _deliver(self, exchange: _Exchange, answer: Answer, receive: Receive, send: Send) -> None:
        await _send(exchange, answer, send)
        if answer.live is not None and not await pour(answer.live, receive, send):
            _log.warning("request %s: the client does not read what it follows; dropped", exchange.request_id)
            if self._services.feed is not None:
                self._services.feed.dropped += 1

    async def _answer(self, exchange: _Exchange, receive: Receive) -> Answer:
        services, scope = self._services, exchange.scope
        heads.check_verb(scope["method"])
        address = read_address(scope, services.accounts, self._roots, services.endpoint)
        exchange.endpoint = address.endpoint
        match, raw = self._match(address, exchange)
        operation = match.what
        exchange.success = operation.success
        exchange.operation = operation.name
        params = {name: decode(value) for name, value in zip(match.names, raw, strict=True)}
        principal = services.authenticate(scope, address.account)
        if principal.kind == "task":
            await services.store.read(lambda tx: check_task_token(tx, principal, services.clock.now()))
        account = address.account or principal.account or services.accounts.default()
        if account is None:
            reason = "Name the account by host, by the first segment of the path or in the signature."
            raise ServiceError("ResourceNotFound", None, (("Reason", reason),))
        require(principal, operation.permission, batch_target(account, params.get("jobId")), services.roles)
        cause = services.intake() if operation.takes_in else None
        if cause is not None:
            raise disk_full(cause)
        query = Query(bytes(scope["query_string"]).decode("latin-1"))
        version = read_version(query)
        parameters.check(operation.name, query)
        timeout = query.number("timeout")
        body = b""
        if operation.method not in ("GET", "HEAD"):
            heads.check_length(scope)
            body = await _read_body(exchange, operation.body_max, receive)
            heads.check_type(scope, body)
            body = older_files(body, version)
        call = Call(
            services,
            scope,
            account,
            principal,
            params,
            query,
            version,
            Links(address.endpoint),
            "/".join((address.endpoint, *address.segments)),
            body,
            exchange.request_id,
            services.clock.now(),
        )
        async with asyncio.timeout(min(timeout or REQUEST_TIMEOUT_S, REQUEST_TIMEOUT_S)):
            return await operation.handler(call)

    def _match(self, address: Address, exchange: _Exchange) -> tuple[Match[Operation], list[str]]:
        found = self._router.find(address.segments)
        if found is None:
            raise ServiceError("InvalidUri", None, (("Reason", "There is nothing at this path."),))
        methods, raw = found
        match = methods.get(exchange.scope["method"])
        if match is None:
            exchange.headers.append(("allow", ", ".join(sorted(methods))))
            raise ServiceError("UnsupportedHttpVerb", None, (("Method", exchange.scope["method"][:20]),))
        return match, raw

    def _failed(self, exchange: _Exchange, failure: Exception) -> Answer:
        """The answer that stands for a failure; what nobody foresaw is logged under the request's id."""
        headers: list[Header] = [*exchange.headers, ("content-type", JSON)]
        error: ServiceError | AuthError
        match failure:
            case AuthError():
                error = failure
                headers += failure.headers.items()
            case ServiceError():
                error = failure
            case NotModified():
                return Answer(headers=validators(failure.modified_at), status=304)
            case Busy():
                error = ServiceError("ServerBusy")
            case Full():
                error = disk_full("The disk of this host has no room left")
            case TimeoutError():
                error = ServiceError("OperationTimedOut")
            case _:
                _log.error("request %s failed", exchange.request_id, exc_info=failure)
                error = ServiceError("InternalError")
        if error.status == 503:
            headers.append(("retry-after", "1"))
        now = self._services.clock.now()
        body = error_body(
            exchange.endpoint, error.code, error.message, error.values, exchange.request_id, now
        )
        return Answer(body, headers, error.status)


async def _read_body(exchange: _Exchange, limit: int, receive: Receive) -> bytes:
    """The whole body. RequestBodyTooLarge beyond `limit` bytes."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ServiceError("InvalidRequestBody", None, (("Reason", "The body ended too early."),))
        piece = message.get("body", b"")
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        if not message.get("more_body", False) or size > _DRAINED_MAX:
            break
    if size > limit:
        if size > _DRAINED_MAX:
            exchange.headers.append(("connection", "close"))
        raise ServiceError("RequestBodyTooLarge", None, (("MaxLimit", str(limit)),))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _send(exchange: _Exchange, answer: Answer, send: Send) -> None:
    headers = [
        *answer.headers,
        ("request-id", exchange.request_id),
        ("dataserviceversion", DATA_SERVICE_VERSION),
        ("x-content-type-options", "nosniff"),
    ]
    echoed = _echoed(exchange.scope)
    if echoed is not None:
        headers.append(("client-request-id", echoed))
    status = answer.status or exchange.success
    if (
        answer.stream is None
        and answer.live is None
        and status not in (204, 304)
        and not any(name == "content-length" for name, _ in headers)
    ):
        headers.append(("content-length", str(len(answer.body))))
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    if answer.live is not None:
        return
    if answer.stream is not None:
        async for piece in answer.stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": answer.body})


def _echoed(scope: Scope) -> str | None:
    """The client's own id, for clients that ask to have it back."""
    wanted = header_values(scope, b"return-client-request-id")
    given = header_values(scope, b"client-request-id")
    if wanted and given and wanted[0].lower() == "true" and len(given[0]) <= _ID_MAX:
        return given[0]
    return None


def routes(services: BatchServices) -> list[BaseRoute]:
    """The data plane as routes for the end of a Starlette application's list: it takes every path that is left."""
    return [Mount("", app=BatchApp(services))]
