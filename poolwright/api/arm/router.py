"""From a management request to its handler: case-insensitive paths, caller, permission, api-version, error bodies."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from poolwright.api.arm.call import Call, answer
from poolwright.api.arm.services import ArmServices
from poolwright.api.auth import PUBLIC, AuthError, Permission, arm_target, request_authority, require
from poolwright.api.auth.permissions import assert_declared
from poolwright.domain.errors import ManagementError, ServiceError, disk_full
from poolwright.domain.limits import REQUEST_BODY_BYTES_MAX
from poolwright.store.base import Busy, Full, Stale
from poolwright.wire.arm.operations import error as error_body

Handler = Callable[[Call], Awaitable[Response]]
_LOG = logging.getLogger(__name__)
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[A-Za-z0-9.-]{1,40})?\Z")
_CORRELATION = re.compile(r"[A-Za-z0-9-]{1,64}\Z")
_SEGMENTS_MAX = 24
_ALWAYS = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}


def in_group(type: str) -> str:
    """The template of all resources of a type in a group."""
    return f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{type}"


@dataclass(frozen=True, slots=True)
class ArmRoute:
    """One operation. `template` has fixed words and `{names}` between slashes; `versioned` ones need api-version."""

    method: str
    template: str
    permission: Permission
    handler: Handler
    versioned: bool = True

    @property
    def name(self) -> str:
        """The operation in figures: its method, and what of its template tells it from others."""
        return f"{self.method} {self.template.rpartition('/providers/')[2].lstrip('/')}"

    @property
    def takes_in(self) -> bool:
        """Whether it makes something that needs room on the host's disk."""
        if self.method == "PUT" and self.template.endswith("/pools/{pool}"):
            return True
        compute = "Microsoft.Compute" in self.template
        return compute and (self.method == "PUT" or self.template.endswith(("/start", "/runCommand")))


@dataclass(slots=True)
class _Node:
    fixed: dict[str, _Node] = field(default_factory=dict)
    variable: tuple[str, _Node] | None = None
    routes: dict[str, ArmRoute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """Where a path leads: the operation (None when the path knows others only), its variables, all methods there."""

    route: ArmRoute | None
    params: Mapping[str, str]
    methods: tuple[str, ...]


class Paths:
    """The table of operations as a tree; a fixed word wins over a variable."""

    def __init__(self, routes: Iterable[ArmRoute]) -> None:
        self._root = _Node()
        self.routes = tuple(routes)
        assert_declared((f"{route.method} {route.template}", route.permission) for route in self.routes)
        for route in self.routes:
            self._add(route)

    def _add(self, route: ArmRoute) -> None:
        node = self._root
        for word in route.template.strip("/").split("/"):
            if not word.startswith("{"):
                node = node.fixed.setdefault(word.lower(), _Node())
                continue
            name = word.strip("{}")
            if node.variable is None:
                node.variable = (name, _Node())
            elif node.variable[0] != name:
                raise ValueError(
                    f"{route.template}: here the variable is named {node.variable[0]!r} elsewhere"
                )
            node = node.variable[1]
        if route.method in node.routes:
            raise ValueError(f"two routes for {route.method} {route.template}")
        node.routes[route.method] = route

    def match(self, method: str, path: str) -> Match | None:
        """The operation at a raw (percent-encoded) path, in any case of letters; None when there is no such path."""
        words = [unquote(word) for word in path.strip("/").split("/")]
        if len(words) > _SEGMENTS_MAX:
            return None
        methods: dict[str, None] = {}
        params: dict[str, str] | None = None
        for node, values in _walk(self._root, words, 0, {}):
            if method in node.routes:
                return Match(node.routes[method], values, tuple(node.routes))
            methods |= dict.fromkeys(node.routes)
            params = values if params is None else params
        return None if params is None else Match(None, params, tuple(sorted(methods)))


def _walk(
    node: _Node, words: list[str], at: int, params: dict[str, str]
) -> Iterator[tuple[_Node, dict[str, str]]]:
    """Every node the words lead to, those by fixed words first."""
    if at == len(words):
        if node.routes:
            yield node, params
        return
    fixed = node.fixed.get(words[at].lower())
    if fixed is not None:
        yield from _walk(fixed, words, at + 1, params)
    if node.variable is not None and words[at]:
        name, below = node.variable
        yield from _walk(below, words, at + 1, {**params, name: words[at]})


class ArmApplication:
    """The management plane as one Starlette endpoint."""

    def __init__(self, services: ArmServices, routes: Iterable[ArmRoute]) -> None:
        self._services = services
        self.paths = Paths(routes)

    async def __call__(self, request: Request) -> Response:
        request_id, began = self._services.ids.uuid(), time.monotonic()
        found = self._find(request)
        try:
            response = await self._answer(request, found)
        except ManagementError as error:
            body = error_body(error.code, error.message, error.target, error.details)
            response = answer(body, error.status)
        except AuthError as error:
            response = answer(error_body(error.code, error.message), error.status, error.headers)
        except ServiceError as error:
            response = answer(error_body(error.code, error.message), error.status)
        except Busy:
            text = "The server is busy; try again in a moment."
            response = answer(error_body("ServerBusy", text), 503, {"Retry-After": "1"})
        except Full:
            full = disk_full("The disk of this host has no room left")
            response = answer(error_body(full.code, full.message), full.status)
        except Stale:
            text = "The resource was changed by another request at the same time; try again."
            response = answer(error_body("ConflictingConcurrentWriteNotAllowed", text), 409)
        except ClientDisconnect:
            response = Response(b"", 499)
        except Exception:  # noqa: BLE001 - every failure gets an answer in this plane's form
            _LOG.exception(
                "management request %s failed: %s %s", request_id, request.method, request.url.path
            )
            text = f"The server met an internal error. Tell the operator the request id {request_id}."
            response = answer(error_body("InternalServerError", text), 500)
        operation = found.route.name if found is not None and found.route is not None else "unknown"
        self._services.meter(operation, response.status_code, time.monotonic() - began)
        return _finish(request, response, request_id)

    def _find(self, request: Request) -> Match | None:
        raw = request.scope.get("raw_path") or request.url.path.encode()
        return self.paths.match(request.method, bytes(raw).decode("latin-1").partition("?")[0])

    async def _answer(self, request: Request, found: Match | None) -> Response:
        scope = request.scope
        route = found.route if found is not None else None
        public = route is not None and route.permission == PUBLIC
        # Who asks comes before what is asked for, so that strangers learn nothing of what exists.
        principal = None if public else self._services.authenticator(scope)
        if found is None:
            raise _unknown(request.url.path)
        if route is None:
            raise ManagementError(
                405,
                "HttpMethodNotAllowed",
                f"The method '{request.method}' is not supported here; supported: {', '.join(found.methods)}.",
            )
        self._check_subscription(found.params)
        if principal is not None:
            require(principal, route.permission, arm_target(request.url.path))
        cause = self._services.intake() if route.takes_in else None
        if cause is not None:
            raise disk_full(cause)
        query = _query(request)
        if route.versioned:
            _check_version(query)
        call = Call(
            services=self._services,
            caller=principal.name if principal is not None else "",
            authority=request_authority(scope) or self._services.endpoint.authority,
            path=request.url.path,
            params=found.params,
            query=query,
            headers=request.headers,
            body=await _body(request),
        )
        return await route.handler(call)

    def _check_subscription(self, params: Mapping[str, str]) -> None:
        named = params.get("subscription")
        if named is not None and named.lower() != self._services.endpoint.subscription_id.lower():
            text = f"The subscription '{named[:100]}' could not be found."
            raise ManagementError(404, "SubscriptionNotFound", text)


def _unknown(path: str) -> ManagementError:
    text = f"The resource type or operation of '{path[:300]}' is not known to this service."
    return ManagementError(404, "InvalidResourceType", text)


def _query(request: Request) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        query.setdefault(name.lower(), value)
    return query


def _check_version(query: Mapping[str, str]) -> None:
    version = query.get("api-version")
    if not version:
        text = "The api-version query parameter (?api-version=) is required for all requests."
        raise ManagementError(400, "MissingApiVersionParameter", text, "api-version")
    if _VERSION.match(version) is None:
        text = f"The api-version '{version[:100]}' is invalid: it must be of the form YYYY-MM-DD or YYYY-MM-DD-preview."
        raise ManagementError(400, "InvalidApiVersionParameter", text, "api-version")


async def _body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > REQUEST_BODY_BYTES_MAX:
            text = f"The request body is larger than {REQUEST_BODY_BYTES_MAX} bytes."
            raise ManagementError(413, "RequestEntityTooLarge", text)
        chunks.append(chunk)
    return b"".join(chunks)


def _finish(request: Request, response: Response, request_id: str) -> Response:
    for name, value in _ALWAYS.items():
        response.headers[name] = value
    response.headers["x-ms-request-id"] = request_id
    given = request.headers.get("x-ms-correlation-request-id", "")
    response.headers["x-ms-correlation-request-id"] = given if _CORRELATION.match(given) else request_id
    return response


def starlette_routes(application: ArmApplication) -> list[Route]:
    """Routes that lead every management path, in any case of letters, to the application."""
    made = []
    for path in (
        "/subscriptions",
        "/subscriptions/{rest:path}",
        "/tenants",
        "/providers",
        "/providers/{rest:path}",
        "/metadata/endpoints",
    ):

        async def endpoint(request: Request) -> Response:
            return await application(request)

        # Every method comes here, so that an unsupported one gets this plane's error body.
        methods = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS"]
        route = Route(path, endpoint, methods=methods, include_in_schema=False)
        route.path_regex = re.compile(route.path_regex.pattern, re.IGNORECASE)
        made.append(route)
    return made
