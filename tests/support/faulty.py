"""An HTTP server on loopback that misbehaves as it is told."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DATA = bytes(range(256)) * 2000
MD5 = base64.b64encode(hashlib.md5(DATA, usedforsecurity=False).digest()).decode()


class Faulty:
    """`plan(number, request)` answers the `number`-th request (from 1) and may close the connection at any point."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.plan: Callable[[int, BaseHTTPRequestHandler], None] = lambda _, r: whole(r)
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.requests.append({"path": self.path, "range": self.headers.get("Range")})
                self.close_connection = True
                outer.plan(len(outer.requests), self)

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stalls(self, _number: int, request: BaseHTTPRequestHandler) -> None:
        """A plan: a few bytes, then nothing until the server is closed."""
        broken(request, 10)
        request.wfile.flush()
        self._over.wait(60)

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def answer(request: BaseHTTPRequestHandler, status: int, data: bytes = b"", **headers: str) -> None:
    """A whole answer; `Content_Length` may lie."""
    request.send_response(status)
    told = {"Content_Length": str(len(data)), "Connection": "close", **headers}
    for name, value in told.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(data)


def whole(request: BaseHTTPRequestHandler) -> None:
    """The file as a blob service serves it."""
    answer(request, 200, DATA, ETag='"v1"', Content_MD5=MD5)


def rest(request: BaseHTTPRequestHandler, tag: str = '"v1"') -> None:
    """What a range request asks for."""
    start = int(str(request.headers["Range"]).removeprefix("bytes=").rstrip("-"))
    told = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
    answer(request, 206, DATA[start:], ETag=tag, Content_Range=told)


def broken(request: BaseHTTPRequestHandler, size: int, **headers: str) -> None:
    """So many bytes, then the end of the connection."""
    length = str(len(DATA))
    answer(request, 200, DATA[:size], ETag='"v1"', Content_MD5=MD5, Content_Length=length, **headers)
