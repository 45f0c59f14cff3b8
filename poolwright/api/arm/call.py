"""One management request, as handlers see it, and the answers they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from poolwright.api.arm.services import ArmServices
from poolwright.commands.context import Caller, Context
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Operation, Resource
from poolwright.domain.resource_id import ResourceId
from poolwright.store.base import Tx
from poolwright.wire.arm.compute_out import etag
from poolwright.wire.arm.decode import decode

T = TypeVar("T")
M = TypeVar("M", bound=msgspec.Struct)
RETRY_AFTER_S = "1"  # zero would count as absent for the clients, which then wait half a minute


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is allowed to go on. `params` are the path's variables, `query` by lower-case name."""

    services: ArmServices
    caller: str
    authority: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        services = self.services
        caller = Caller("token", self.caller)
        context = Context(services.clock, services.ids, services.settings, caller)
        object.__setattr__(self, "context", context)

    @property
    def subscription(self) -> str:
        return self.services.endpoint.subscription_id

    @property
    def url(self) -> str:
        """The server as this caller reaches it, without a slash at the end."""
        return f"https://{self.authority}"

    def id(self, type: str, name: str = "name") -> ResourceId:
        """The resource the path names."""
        return ResourceId(self.subscription, self.params["group"], type, self.params[name])

    def decode(self, model: type[M]) -> M:
        """The body; raises ManagementError 400."""
        return decode(self.body, model)

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run a query."""
        return await self.services.store.read(fn)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """Run a command; durable when it returns."""
        return await self.services.store.write(fn)

    def check_conditions(self, existing: Resource | None) -> None:
        """412 when If-Match or If-None-Match does not hold for the resource as it is in this transaction."""
        match = self.headers.get("if-match")
        if match is not None and (existing is None or match not in ("*", etag(existing))):
            raise _condition("If-Match", match)
        none_match = self.headers.get("if-none-match")
        if none_match is not None and existing is not None and none_match in ("*", etag(existing)):
            raise _condition("If-None-Match", none_match)

    def flag(self, name: str) -> bool:
        """A boolean query parameter; absent is false. 400 for anything but true and false."""
        value = self.query.get(name.lower(), "false").lower()
        if value not in ("true", "false"):
            text = f"The value '{value[:100]}' of the query parameter '{name}' is not valid: it must be true or false."
            raise ManagementError(400, "InvalidParameter", text, name)
        return value == "true"

    def top(self) -> int | None:
        """`$top`, or None when it is not given. 400 for anything but a whole number from 1 on."""
        text = self.query.get("$top")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 9 and int(text)):
            reason = f"The value '{text[:50]}' of '$top' is not valid: it must be a whole number from 1 on."
            raise ManagementError(400, "InvalidParameter", reason, "$top")
        return int(text)


def _condition(header: str, value: str) -> ManagementError:
    text = f"The condition '{header}: {value[:100]}' does not hold for the resource as it is now."
    return ManagementError(412, "PreconditionFailed", text, header)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(
        msgspec.json.encode(content),
        status,
        dict(headers or {}),
        media_type="application/json; charset=utf-8",
    )


def tagged(content: Any, resource: Resource, status: int = 200) -> Response:
    """A JSON answer with the resource's entity tag."""
    return answer(content, status, {"ETag": etag(resource)})


def listed(items: list[Any]) -> Response:
    """A list in one page."""
    return answer({"value": items})


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An answer without a body."""
    return Response(b"", status, dict(headers or {}))


def compute_polling(call: Call, operation: Operation) -> dict[str, str]:
    """Headers of a long-running Compute operation."""
    location = call.services.settings.location
    version = quote(call.query.get("api-version", ""), safe="")
    url = (
        f"{call.url}/subscriptions/{call.subscription}/providers/Microsoft.Compute/locations/{quote(location)}"
        f"/operations/{operation.id}?api-version={version}"
    )
    return {"Azure-AsyncOperation": url, "Location": f"{url}&monitor=true", "Retry-After": RETRY_AFTER_S}


def location_polling(call: Call, base: str, operation: Operation) -> dict[str, str]:
    """Headers of an operation that is followed by `Location` alone. `base` is the path before the operation's id."""
    version = quote(call.query.get("api-version", ""), safe="")
    url = f"{call.url}{base}/{operation.id}?api-version={version}"
    return {"Location": url, "Retry-After": RETRY_AFTER_S}
