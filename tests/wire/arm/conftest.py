"""A live TLS server with the token issuer, the management plane, its loop, a store on disk and planes in memory."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from poolwright.api.arm import ArmServices, EndpointInfo, routes
from poolwright.api.auth import Plane, Principal, authenticate
from poolwright.api.auth.requests import Scope
from poolwright.api.blobs import BlobServices, blob_routes
from poolwright.api.blobs.blocks import package_routes
from poolwright.api.front import front
from poolwright.api.identity import TlsFiles, ensure_tls, identity_routes
from poolwright.commands.batch_accounts import KeyPair
from poolwright.domain.limits import Settings
from poolwright.domain.storage_account import ExternalStorage
from poolwright.images.fake import FakeImagePlane
from poolwright.reconcile.resources import ResourceReconciler
from poolwright.serve.blob_files import BlobFiles
from poolwright.serve.disk_bytes import PlaneBytes
from poolwright.serve.packages import StoredPackages
from poolwright.serve.storage import AccountStorage
from poolwright.serve.system import SystemIds
from poolwright.store.base import Store, Tx
from poolwright.store.sqlite import SqliteStore
from tests.support.waiting import wait_until
from tests.unit.identity.parts import CLIENT, TENANT, IdentityParts
from tests.unit.resources.house import SUBSCRIPTION, CountingIds
from tests.unit.resources.machines import MemoryCommander, MemoryEngine
from tests.wire.identity.conftest import HostClock, Server

T = TypeVar("T")
_PASS_S = 0.5


@dataclass(slots=True)
class LiveArm:
    """The server, and its parts for a test to look at and to disturb."""

    parts: IdentityParts
    tls: TlsFiles
    port: int
    directory: Path
    images: FakeImagePlane = field(default_factory=FakeImagePlane)
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    commander: MemoryCommander = field(default_factory=MemoryCommander)
    ids: CountingIds = field(default_factory=CountingIds)
    store: Store | None = None
    loop: asyncio.AbstractEventLoop | None = None
    keys_made: int = 0
    metered: list[tuple[str, int]] = field(default_factory=list)
    full: str | None = None  # why nothing is taken in
    blobs: BlobFiles | None = None
    storage: AccountStorage | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def secret(self) -> str:
        return self.parts.secret

    def new_keys(self) -> KeyPair:
        self.keys_made += 1
        first, second = f"primary{self.keys_made:057}", f"second{self.keys_made:058}"
        return KeyPair(base64.b64encode(first.encode()).decode(), base64.b64encode(second.encode()).decode())

    def know(self, outside: ExternalStorage) -> None:
        """As if the operator had named this storage at the start."""
        assert self.storage is not None
        self.storage._known[outside.name] = outside

    def authenticator(self, scope: Scope) -> Principal:
        return authenticate(
            scope,
            plane=Plane.ARM,
            keys=self.parts.keys,
            tokens=self.parts.verifier,
            now=self.parts.clock.now(),
        )

    def run(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Run something on the server's own loop."""
        assert self.loop is not None
        assert self.store is not None
        store = self.store

        async def call() -> T:
            return await work(store)

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(20)

    def read(self, fn: Callable[[Tx], T]) -> T:
        return self.run(lambda store: store.read(fn))

    def write(self, fn: Callable[[Tx], T]) -> T:
        return self.run(lambda store: store.write(fn))


def _application(live: LiveArm) -> Starlette:
    """Routes that work once the lifespan has made the store on the server's loop."""
    box: list[ASGIApp] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        live.loop = asyncio.get_running_loop()
        live.store = SqliteStore(live.directory / "store")
        packages = StoredPackages(live.directory / "packages", live.store, live.parts.clock)
        packages.open()
        own = BlobFiles(
            live.directory / "blobs", live.store, live.parts.clock, SystemIds(), lambda: live.full
        )
        storage = AccountStorage(live.store, live.parts.clock, live.ids, own, packages, [], None)
        await storage.open(live.url, Settings())
        live.blobs, live.storage = own, storage
        services = ArmServices(
            store=live.store,
            clock=live.parts.clock,
            ids=live.ids,
            settings=Settings(),
            authenticator=live.authenticator,
            endpoint=EndpointInfo(SUBSCRIPTION, TENANT, f"localhost:{live.port}"),
            catalogue=live.images.catalogue,
            new_keys=live.new_keys,
            packages=packages,
            meter=lambda operation, status, _seconds: live.metered.append((operation, status)),
            storage=storage,
            intake=lambda: live.full,
        )
        files = PlaneBytes(live.images)
        services_of_blobs = BlobServices(live.store, live.parts.clock, files)
        blobs = [*blob_routes(services_of_blobs), *package_routes(services_of_blobs, packages)]
        identity = [*identity_routes(live.parts.issuer), *blobs]
        otherwise = storage.app(lambda: live.full, PlainTextResponse("nothing here", 404))
        box.append(front(identity, routes(services), otherwise, [storage.refresh]))
        reconciler = ResourceReconciler(
            live.store, live.images, live.engine, live.commander, live.parts.clock, live.ids
        )
        tasks = [
            asyncio.create_task(_wakeups(live.store, reconciler)),
            asyncio.create_task(_passes(reconciler)),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await reconciler.close()
        files.close()
        own.close()
        await live.store.close()

    async def serve(scope: Scope, receive: object, send: object) -> None:
        await box[0](scope, receive, send)  # type: ignore[arg-type]

    outer = Starlette(lifespan=lifespan)
    outer.mount("/", serve)
    return outer


async def _wakeups(store: Store, reconciler: ResourceReconciler) -> None:
    running: set[asyncio.Task[float | None]] = set()
    async for key in store.wakeups():
        if key.noun == "resource":
            task = asyncio.create_task(reconciler.run_key(key.id))
            running.add(task)
            task.add_done_callback(running.discard)


async def _passes(reconciler: ResourceReconciler) -> None:
    never = asyncio.Event()
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(never.wait(), _PASS_S)
        await reconciler.pass_all()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveArm]:
    directory: Path = tmp_path_factory.mktemp("arm")
    clock = HostClock()
    tls = ensure_tls(directory, clock, [])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        made = LiveArm(IdentityParts(directory, port, clock), tls, port, directory)
        config = uvicorn.Config(
            _application(made),
            ssl_certfile=tls.certificate_file,
            ssl_keyfile=tls.key_file,
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=5,
        )
        server = Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started, 20, "the server has not started")
        yield made
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def trusted(live: LiveArm, monkeypatch: pytest.MonkeyPatch) -> LiveArm:
    """The variables a user sets: both, since synchronous and asynchronous clients read different ones."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(live.tls.ca_file))
    monkeypatch.setenv("SSL_CERT_FILE", str(live.tls.ca_file))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", live.url)
    monkeypatch.setenv("AZURE_TENANT_ID", "adfs")
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", live.secret)
    return live
