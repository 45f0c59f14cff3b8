"""The HTTPS port: sockets, server, and an end that does not wait for idle clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn
from starlette.types import ASGIApp

from poolwright.api.identity import TlsFiles
from poolwright.serve.protocol import BoundedHttp

GRACEFUL_S = 10
_BACKLOG = 512


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for the host; for the loopback address in both families where the machine has both.

    Port 0 takes a free one. Raises OSError naming host and port.
    """
    names = ["127.0.0.1", "::1"] if host in ("127.0.0.1", "localhost") else [host]
    opened: list[socket.socket] = []
    for name in names:
        family = socket.AF_INET6 if ":" in name else socket.AF_INET
        try:
            opened.append(_listen(family, name, port))
        except OSError as error:
            if opened and name == "::1":
                break  # a machine without the second family is well served by the first
            for one in opened:
                one.close()
            raise OSError(error.errno, f"cannot listen on {name} port {port}: {error.strerror}") from None
        port = opened[0].getsockname()[1]
    return opened


def front_address(host: str) -> str:
    """The IPv4 address by which others get to forwarded ports when the service listens on `host`."""
    if host in ("", "0.0.0.0"):  # noqa: S104 - compared, not bound
        return "0.0.0.0"  # noqa: S104 - as the operator chose
    try:
        return socket.gethostbyname(host)
    except OSError:
        return "127.0.0.1"  # a host reached by IPv6 only


def _listen(family: socket.AddressFamily, name: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((name, port))
        made.listen(_BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


class HttpsServer(uvicorn.Server):
    """uvicorn, which lets requests under way finish and cuts connections that carry none."""

    def __init__(self, app: ASGIApp, tls: TlsFiles) -> None:
        self._listening = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http=BoundedHttp,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ssl_certfile=str(tls.certificate_file),
                ssl_keyfile=str(tls.key_file),
                timeout_keep_alive=75,
                timeout_graceful_shutdown=GRACEFUL_S,
                h11_max_incomplete_event_size=None,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; then whoever waits for the port is told."""
        await super().startup(sockets)
        self._listening.set()

    async def wait_started(self, serving: asyncio.Task[None]) -> None:
        """Wait until requests are taken, or until `serving` has ended without."""
        listening = asyncio.ensure_future(self._listening.wait())
        await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Signals are the owner's."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close idle connections at once: a keep-alive client would otherwise hold the end for the whole grace."""
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is None or cycle.response_complete:
                transport = getattr(connection, "transport", None)
                if transport is not None:
                    transport.abort()
        await super().shutdown(sockets)
