"""Storage of the operator that speaks TLS by an authority of the operator's own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from poolwright.api.identity import ensure_tls
from poolwright.domain.errors import ManagementError
from poolwright.domain.limits import Settings
from poolwright.domain.package import Package
from poolwright.domain.storage_account import ExternalStorage
from poolwright.serve import storage
from poolwright.serve.storage import AccountStorage
from poolwright.serve.system import SystemClock


class Secure(BaseHTTPRequestHandler):
    """Makes every container."""

    def do_PUT(self) -> None:
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(address, file of its authority) of a server."""
    made = ensure_tls(tmp_path, SystemClock())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Secure)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate_file, made.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}", made.ca_file
    server.shutdown()
    thread.join()
    server.server_close()


class OneAccount:
    """A store in which every package lies in the operator's storage."""

    def __init__(self, endpoint: str) -> None:
        self.place = ExternalStorage("shelf", "c2VjcmV0", endpoint)

    async def write(self, _: Any) -> list[str]:
        return []

    async def read(self, query: Any) -> Any:
        return query(self)

    @property
    def storage(self) -> Any:
        return self

    def all(self) -> list[Any]:
        return []

    def link_of(self, _: str) -> None:
        return None

    def by_id(self, _: str) -> Any:
        return type("Account", (), {"name": "shelf", "key1": "c2VjcmV0", "endpoint": self.place.endpoint})


class Blobs:
    """Nothing lies here."""

    def open(self) -> None:
        """Nothing to open."""


def test_the_file_of_the_operator_is_trusted_there_too(
    secure: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, authority = secure
    monkeypatch.setattr(storage, "_TRIES", 0)
    package: Any = type(
        "P", (), {"storage": "/s", "account": "a", "application": "app", "version": "1", "blob": "b"}
    )
    given: Package = package

    async def prepare(trusted: str) -> None:
        store: Any = OneAccount(endpoint)
        nothing: Any = None
        blobs: Any = Blobs()
        made = AccountStorage(store, SystemClock(), nothing, blobs, nothing, [], None)
        await made.open("https://localhost:1", Settings(), trusted)
        await made.prepare(given)

    with pytest.raises(ManagementError, match="cannot be used"):
        asyncio.run(prepare(""))
    asyncio.run(prepare(str(authority)))
