"""What an unknown caller can make the service keep: a bounded head, for a bounded time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from poolwright.serve import protocol
from poolwright.serve.protocol import HEAD_BYTES_MAX, BoundedHttp


async def _app(scope: Any, receive: Any, send: Any) -> None:
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    text = str(size).encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


@asynccontextmanager
async def _served() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(_app, http=BoundedHttp, ws="none", lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listening = socket.create_server(("127.0.0.1", 0))
    await server.startup([listening])
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await server.shutdown([listening])


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


async def test_large_bodies_pass_and_connections_are_used_again() -> None:
    async with _served() as (reader, writer):
        for size in (0, 3 * HEAD_BYTES_MAX, 10):
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + b"b" * size)
            assert await _answer(reader) == (200, str(size).encode())


@pytest.mark.parametrize("head", [b"x: " + b"a" * 2**20, b"x: y\r\n" * 2**18, b""])
async def test_a_head_without_end_is_refused(head: bytes) -> None:
    async with _served() as (reader, writer):
        start = b"GET / HTTP/1.1\r\nhost: x\r\n" if head else b"GET /" + b"a" * 2**20
        try:
            writer.write(start + head)
            await writer.drain()
            status, _ = await _answer(reader)
        except ConnectionError:  # the answer is lost when the rest of the head meets a closed connection
            return
        assert status == 431


async def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.05)
    for begun in (b"", b"GET / HT"):
        async with _served() as (reader, writer):
            writer.write(begun)
            assert await asyncio.wait_for(reader.read(), 20) == b""
