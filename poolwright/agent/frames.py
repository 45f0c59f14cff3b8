"""Frames between service, host agent and machines: 4-byte big-endian length, one kind byte, body.

Kind `J`: a UTF-8 JSON object. Kind `B`: 8-byte big-endian call id, then raw bytes.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

from poolwright.agent.loop import Loop

# A hello repeats the state of every machine and every unacknowledged execution: a few thousand short texts.
MAX_FRAME = 32 * 1024 * 1024
MAX_UNSENT = 64 * 1024 * 1024  # a peer that reads nothing for this long is dropped and greeted anew later
_RECEIVE = 256 * 1024
_HEAD = struct.Struct(">IB")
_JSON, _BINARY = ord("J"), ord("B")

Message = dict[str, Any]

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


class FrameError(Exception):
    """The peer does not speak this protocol."""


def encode(message: Message) -> bytes:
    """A JSON frame."""
    body = _encode(message).encode()
    return _HEAD.pack(len(body) + 1, _JSON) + body


def encode_binary(call_id: int, data: bytes) -> bytes:
    """A frame with bytes that belong to a call."""
    return _HEAD.pack(len(data) + 9, _BINARY) + call_id.to_bytes(8, "big") + data


def split(buffer: bytearray) -> list[tuple[int, bytes]]:
    """Take all whole frames off the front of `buffer`: pairs of kind and body. Raises `FrameError`."""
    frames = []
    start = 0
    while len(buffer) - start >= 5:
        size, kind = _HEAD.unpack_from(buffer, start)
        if not 1 <= size <= MAX_FRAME:
            raise FrameError(f"frame of {size} bytes, allowed are 1 to {MAX_FRAME}")
        end = start + 4 + size
        if len(buffer) < end:
            break
        frames.append((kind, bytes(buffer[start + 5 : end])))
        start = end
    if start:
        del buffer[:start]
    return frames


def decode(body: bytes) -> Message:
    """The object of a JSON frame. Raises `FrameError`."""
    try:
        message = _decode(body.decode())
    except ValueError as failure:
        raise FrameError(f"not JSON: {failure}") from failure
    if not isinstance(message, dict):
        raise FrameError("not a JSON object")
    return message


class Connection:
    """A connected, non-blocking stream socket in a `Loop`, with bounded buffers on both sides."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_message: Callable[[Message], None],
        on_close: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._on_message = on_message
        self._on_close = on_close
        self._received = bytearray()
        self._unsent = bytearray()
        self.open = True
        sock.setblocking(False)
        loop.read(sock.fileno(), self._on_readable)

    @property
    def unsent(self) -> int:
        """Bytes waiting for the peer."""
        return len(self._unsent)

    def send(self, message: Message) -> None:
        """Send a JSON frame; nothing happens when the connection is closed."""
        self.send_bytes(encode(message))

    def send_bytes(self, data: bytes) -> None:
        """Send an encoded frame."""
        if not self.open:
            return None
        if self._unsent:
            self._unsent += data
            if len(self._unsent) > MAX_UNSENT:
                self.close()
            return None
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return self._loop.at_turn_end(self.close)
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            self._loop.write(self._socket.fileno(), self._on_writable)
        return None

    def close(self) -> None:
        """Close and tell the owner once."""
        if not self.open:
            return
        self.open = False
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._on_close()

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            return self.close()
        self._received += data
        try:
            for kind, body in split(self._received):
                if kind != _JSON:
                    raise FrameError(f"unexpected frame kind {kind}")
                self._on_message(decode(body))
                if not self.open:
                    return None
        except FrameError:
            self.close()
        return None

    def _on_writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return None
        except OSError:
            return self.close()
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.write(self._socket.fileno(), None)
        return None
