"""A live TLS server with the token issuer and an application that only authenticates."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from poolwright.api.auth import AuthError, Plane, Principal, authenticate
from poolwright.api.identity import TlsFiles, ensure_tls, identity_routes
from tests.support.waiting import wait_until
from tests.unit.identity.parts import HandClock, IdentityParts


class HostClock(HandClock):
    """The host's own time: real clients compare tokens and dates with it."""

    def now(self) -> int:
        return int(time.time() * 1_000_000)


@dataclass(slots=True)
class LiveIdentity:
    parts: IdentityParts
    tls: TlsFiles
    port: int
    seen: list[tuple[str, str, Principal | AuthError]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    async def whoami(self, request: Request) -> Response:
        """Authenticate any path, remember the outcome, and answer what the Batch client expects."""
        plane = Plane.ARM if request.url.path.startswith("/subscriptions") else Plane.BATCH
        await request.body()
        target = bytes(request.scope["raw_path"]).decode()
        try:
            found = authenticate(
                request.scope,
                plane=plane,
                keys=self.parts.keys,
                tokens=self.parts.verifier,
                now=self.parts.clock.now(),
            )
        except AuthError as error:
            self.seen.append((request.method, target, error))
            body = {
                "code": error.code,
                "message": {"lang": "en-US", "value": error.message},
                "values": [{"key": key, "value": value} for key, value in error.values],
            }
            return JSONResponse(body, status_code=error.status, headers=dict(error.headers))
        self.seen.append((request.method, target, found))
        who: dict[str, object] = {
            "kind": found.kind,
            "account": found.account,
            "object_id": found.object_id,
            "value": [],
        }
        status = {"POST": 201, "DELETE": 202}.get(request.method, 200)
        if request.method == "POST" and target.endswith(("resize", "disable")):
            status = 202
        return JSONResponse(who, status_code=status)


class Server(uvicorn.Server):
    """Does not wait for clients that keep an idle TLS connection and will never answer its end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        await super().shutdown(sockets)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveIdentity]:
    data_dir: Path = tmp_path_factory.mktemp("identity")
    clock = HostClock()
    tls = ensure_tls(data_dir, clock, ["render1.localhost"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        identity = LiveIdentity(IdentityParts(data_dir, port, clock), tls, port)
        methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        routes = [
            *identity_routes(identity.parts.issuer),
            Route("/{rest:path}", identity.whoami, methods=methods),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            ssl_certfile=tls.certificate_file,
            ssl_keyfile=tls.key_file,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
        server = Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started, 20, "the server has not started")
        yield identity
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"
