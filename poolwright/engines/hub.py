"""The service's end of the connection to the host agent: greeting, calls, batched orders, events."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import struct
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from poolwright.engines import base
from poolwright.engines.base import PathNotAllowed

__all__ = ["AgentHub", "HubListener", "PathNotAllowed"]

_log = logging.getLogger(__name__)

MAX_FRAME = 32 * 1024 * 1024
_MAX_UNSENT = 64 * 1024 * 1024  # an agent that reads nothing for this long is dropped; it will dial again
_READ_CHUNK = 1024 * 1024
_MAX_CALLS = 1024
_HELLO_TIMEOUT_S = 10.0
_ITEMS_PER_MESSAGE = 2_000
_HEAD = struct.Struct(">IB")
_JSON, _BINARY = ord("J"), ord("B")

Json = dict[str, Any]

_decoder = msgspec.json.Decoder(Json)
_encoder = msgspec.json.Encoder()


class HubListener(Protocol):
    """What the hub tells its owner; called in the event loop, must not block."""

    def on_hello(self, hello: Json) -> None:
        """An agent greeted: `machines` and `execs` are the whole truth of this moment."""

    def on_events(self, items: list[Json]) -> None:
        """Things that happened, in order."""

    def on_beat(self, beat: Json) -> None:
        """The agent lives; carries the host's load."""

    def on_disconnect(self) -> None:
        """The connection is gone; machines and executions go on."""


class AgentHub:
    """Unix socket server for one host agent. A new greeting replaces an older connection."""

    def __init__(self, socket_path: str, token: str, listener: HubListener) -> None:
        self._path = socket_path
        self._token = token
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._protocol: _AgentProtocol | None = None
        self._connected = asyncio.Event()
        self._calls: dict[int, _Call] = {}
        self._serial = 0

    @property
    def connected(self) -> bool:
        """Has an agent greeted and not gone?"""
        return self._connected.is_set()

    async def start(self) -> None:
        """Listen. A socket file left by an earlier service is replaced."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        directory = os.open(Path(self._path).parent, os.O_PATH | os.O_DIRECTORY)
        try:  # by way of the descriptor, as a socket address holds only 107 bytes
            short = f"/proc/self/fd/{directory}/{Path(self._path).name}"
            self._server = await loop.create_unix_server(lambda: _AgentProtocol(self), short)
        finally:
            os.close(directory)
        os.chmod(self._path, 0o600)

    async def close(self) -> None:
        """Stop listening and drop the agent; its machines and executions go on."""
        if self._server is not None:
            self._server.close()
        if self._protocol is not None:
            self._protocol.close()
        if self._server is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), 5)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    async def wait_connected(self, timeout_s: float) -> None:
        """Wait for an agent's greeting. Raises `Transient` when none comes in time."""
        try:
            await asyncio.wait_for(self._connected.wait(), timeout_s)
        except TimeoutError:
            raise base.Transient(f"no host agent greeted within {timeout_s:.0f} s") from None

    async def call(self, method: str, params: Mapping[str, Any], timeout_s: float) -> Json:
        """One call. Raises the engine errors; `Transient` also when the connection is lost or time runs out."""
        result, _ = await self._call(method, params, timeout_s)
        return result

    async def read_file(
        self, machine: str, path: str, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """Bytes of a file of a machine, in pieces of at most 1 MiB, up to its end or `length` bytes."""
        left = length
        while left is None or left > 0:
            wanted = _READ_CHUNK if left is None else min(_READ_CHUNK, left)
            params = {"machine": machine, "path": path, "offset": offset, "length": wanted}
            result, data = await self._call("files.read", params, 30.0)
            if data:
                yield data
            offset += len(data)
            left = None if left is None else left - len(data)
            if not data or offset >= result["size"]:
                return

    def send_start(self, items: Sequence[Mapping[str, Any]]) -> bool:
        """Order executions; False when no agent is connected (the next hello shows what really runs)."""
        return self._send_items("start", items)

    def send_kill(self, items: Sequence[Mapping[str, Any]]) -> bool:
        """Order the end of executions."""
        return self._send_items("kill", items)

    def ack(self, exec_ids: Iterable[str]) -> bool:
        """These ends are durable: the agent may forget them."""
        return self._send({"op": "ack", "execs": list(exec_ids)})

    def _send_items(self, op: str, items: Sequence[Mapping[str, Any]]) -> bool:
        return all(
            self._send({"op": op, "items": items[start : start + _ITEMS_PER_MESSAGE]})
            for start in range(0, len(items), _ITEMS_PER_MESSAGE)
        )

    def _send(self, message: Mapping[str, Any]) -> bool:
        if self._protocol is None:
            return False
        return self._protocol.send(message)

    async def _call(self, method: str, params: Mapping[str, Any], timeout_s: float) -> tuple[Json, bytes]:
        if len(self._calls) >= _MAX_CALLS:
            raise base.Transient(f"{_MAX_CALLS} calls wait for the host agent already")
        self._serial += 1
        call = self._calls[self._serial] = _Call(asyncio.get_running_loop().create_future())
        try:
            if not self._send({"op": "call", "id": self._serial, "method": method, "params": params}):
                raise base.Transient("no host agent is connected")
            return await asyncio.wait_for(call.answer, timeout_s)
        except TimeoutError:
            raise base.Transient(f"host agent: no answer to {method} within {timeout_s:.0f} s") from None
        finally:
            for number, waiting in list(self._calls.items()):
                if waiting is call:
                    del self._calls[number]

    def greet(self, protocol: _AgentProtocol, hello: Json) -> bool:
        """A connection's first message; False when it is not a host agent's greeting with our token."""
        given = hello.pop("token", "")
        if hello.get("op") != "hello" or not isinstance(given, str):
            return False
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            _log.warning("a host agent came with a wrong token and was sent away")
            return False
        if self._protocol is not None:
            self._protocol.close()
        self._protocol = protocol
        protocol.send({"op": "welcome"})
        self._connected.set()
        self._listener.on_hello(hello)
        return True

    def on_message(self, message: Json) -> None:
        """A message of the greeted connection."""
        op = message.get("op")
        if op == "events":
            self._listener.on_events(message["items"])
        elif op == "beat":
            self._listener.on_beat(message)
        elif op == "reply":
            self._on_reply(message)

    def _on_reply(self, message: Json) -> None:
        call = self._calls.get(message["id"])
        if call is None or call.answer.done():
            return
        if message.get("ok"):
            call.answer.set_result((message["result"], bytes(call.data)))
        else:
            error = message.get("error") or {}
            call.answer.set_exception(base.error_of(str(error.get("kind")), str(error.get("message", ""))))

    def on_bytes(self, call_id: int, data: bytes) -> None:
        """Bytes that belong to a call's answer."""
        call = self._calls.get(call_id)
        if call is not None:
            call.data += data

    def on_lost(self, protocol: _AgentProtocol) -> None:
        """A connection ended."""
        if self._protocol is not protocol:
            return
        self._protocol = None
        self._connected.clear()
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(base.Transient("the connection to the host agent was lost"))
        self._listener.on_disconnect()


class _Call:
    def __init__(self, answer: asyncio.Future[tuple[Json, bytes]]) -> None:
        self.answer = answer
        self.data = bytearray()


class _AgentProtocol(asyncio.Protocol):
    """Frames of one connection. A protocol rather than streams: no task switch and no copy a frame."""

    def __init__(self, hub: AgentHub) -> None:
        self._hub = hub
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._greeted = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but ancestry
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_MAX_UNSENT)
        self._timer = asyncio.get_running_loop().call_later(_HELLO_TIMEOUT_S, self.close)

    def send(self, message: Mapping[str, Any]) -> bool:
        """Queue a JSON frame; False when the connection cannot take it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > _MAX_UNSENT:
            _log.error("the host agent does not read; the connection is dropped")
            transport.abort()
            return False
        body = _encoder.encode(message)
        transport.write(_HEAD.pack(len(body) + 1, _JSON) + body)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            self._take_frames()
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as failure:
            _log.error(
                "the host agent sent something that cannot be read (%s); the connection is dropped", failure
            )
            self.close()

    def _take_frames(self) -> None:
        buffer, start = self._buffer, 0
        while len(buffer) - start >= 5:
            size, kind = _HEAD.unpack_from(buffer, start)
            if not 1 <= size <= MAX_FRAME:
                raise ValueError(f"frame of {size} bytes")
            end = start + 4 + size
            if len(buffer) < end:
                break
            body = bytes(buffer[start + 5 : end])
            start = end
            self._take(kind, body)
        if start:
            del buffer[:start]

    def _take(self, kind: int, body: bytes) -> None:
        if kind == _BINARY and self._greeted:
            self._hub.on_bytes(int.from_bytes(body[:8], "big"), body[8:])
            return
        if kind != _JSON:
            raise ValueError(f"frame kind {kind}")
        message = _decoder.decode(body)
        if self._greeted:
            self._hub.on_message(message)
            return
        if self._timer is not None:
            self._timer.cancel()
        self._greeted = True
        if not self._hub.greet(self, message):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._hub.on_lost(self)
