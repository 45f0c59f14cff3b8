"""The one HTTPS port: which plane a request belongs to, and what must be true before its answer leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MANAGEMENT = "/subscriptions"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def front(
    identity: Iterable[BaseRoute],
    management: Iterable[BaseRoute],
    data: ASGIApp,
    refreshes: Sequence[Callable[[], Awaitable[None]]],
) -> ASGIApp:
    """All planes behind one ASGI application.

    Identity and management paths never collide with data-plane paths, so whatever they do not claim is `data`'s.
    `refreshes` run after each management write and before its answer leaves, so that a client that was told of its
    new account can use it at once.
    """
    planes = Starlette(routes=[*identity, *management])
    planes.router.default = data
    planes.router.redirect_slashes = False
    routed = planes.router

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await routed.lifespan(scope, receive, send)
            return
        writes = scope["method"] not in _READS and str(scope["path"]).lower().startswith(_MANAGEMENT)
        await routed(scope, receive, _after(refreshes, send) if writes else send)

    return application


def _after(refreshes: Sequence[Callable[[], Awaitable[None]]], send: Send) -> Send:
    async def refreshed(message: Message) -> None:
        if message["type"] == "http.response.start":
            for refresh in refreshes:
                await refresh()
        await send(message)

    return refreshed
