"""The host agent's side of its one connection to the service: dial, greet, batch, beat."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable
from typing import Any

from poolwright.agent.frames import Connection, Message
from poolwright.agent.loop import Loop, Timer

_FIRST_RETRY_S, _LAST_RETRY_S = 0.05, 2.0
_BEAT_S = 5.0
_ITEMS_PER_MESSAGE = 5_000


class Service:
    """Keeps trying to be connected. `hello` builds the greeting at the moment it is sent, `usage` what goes with each
    sign of life."""

    def __init__(
        self,
        loop: Loop,
        run_dir: str,
        hello: Callable[[], Message],
        on_message: Callable[[Message], None],
        usage: Callable[[], Message],
        on_lost: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._run_dir = run_dir
        self._hello = hello
        self._on_message = on_message
        self._usage = usage
        self._on_lost = on_lost
        self._connection: Connection | None = None
        self._welcomed = False
        self._retry_s = _FIRST_RETRY_S
        self._items: list[dict[str, Any]] = []
        self._flush_waits = False
        self._sequence = 0
        self._beat: Timer | None = None
        self.away_since = time.monotonic()

    @property
    def away_s(self) -> float:
        """Seconds since the service was last here; 0 while it is."""
        return 0.0 if self._welcomed else time.monotonic() - self.away_since

    def dial(self) -> None:
        """Connect now, or later when nobody listens."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with open(os.path.join(self._run_dir, "agents.token"), encoding="utf-8") as stream:
                token = stream.read().strip()
            sock.connect(os.path.join(self._run_dir, "agents.sock"))
        except OSError:
            sock.close()
            self._retry()
            return
        self._items.clear()  # the hello tells all of it
        self._connection = Connection(self._loop, sock, self._on_any, self._on_close)
        self._connection.send({"op": "hello", "token": token, **self._hello()})

    def report(self, item: dict[str, Any]) -> None:
        """Send an event; all events of a turn go out as one message."""
        if self._connection is None:
            return
        self._items.append(item)
        if not self._flush_waits:
            self._flush_waits = True
            self._loop.at_turn_end(self._flush)

    def send(self, message: Message) -> None:
        """Send a message, after the events that came before it."""
        self._flush()
        if self._connection is not None:
            self._connection.send(message)

    def send_bytes(self, data: bytes) -> None:
        """Send an encoded frame."""
        if self._connection is not None:
            self._connection.send_bytes(data)

    def _flush(self) -> None:
        self._flush_waits = False
        while self._items and self._connection is not None:
            batch, self._items = self._items[:_ITEMS_PER_MESSAGE], self._items[_ITEMS_PER_MESSAGE:]
            self._sequence += 1
            self._connection.send({"op": "events", "seq": self._sequence, "items": batch})

    def _on_any(self, message: Message) -> None:
        if message.get("op") == "welcome":
            self._welcomed = True
            self._retry_s = _FIRST_RETRY_S
            self._send_beat()
        elif self._welcomed:
            self._on_message(message)

    def _on_close(self) -> None:
        self._connection = None
        if self._welcomed:
            self._welcomed = False
            self.away_since = time.monotonic()
            self._on_lost()
        if self._beat is not None:
            self._beat.cancel()
        self._items.clear()
        self._retry()

    def _retry(self) -> None:
        self._loop.later(self._retry_s * random.uniform(0.8, 1.2), self.dial)
        self._retry_s = min(_LAST_RETRY_S, self._retry_s * 2)

    def _send_beat(self) -> None:
        if not self._welcomed:
            return
        self._sequence += 1
        self.send(
            {
                "op": "beat",
                "seq": self._sequence,
                "at_us": time.time_ns() // 1000,
                **pressure(),
                **self._usage(),
            }
        )
        self._beat = self._loop.later(_BEAT_S, self._send_beat)


def pressure() -> dict[str, float | int]:
    """Load of this host (proc(5): loadavg, meminfo, pressure)."""
    memory = {}
    with open("/proc/meminfo", encoding="ascii") as stream:
        for line in stream:
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                memory[name] = int(rest.split()[0]) // 1024
    some10 = 0.0
    try:
        with open("/proc/pressure/memory", encoding="ascii") as stream:
            some10 = float(stream.readline().split()[1].partition("=")[2])
    except (OSError, IndexError, ValueError):
        pass  # a kernel without pressure information
    return {
        "load1": os.getloadavg()[0],
        "memory_available_mib": memory.get("MemAvailable", 0),
        "memory_total_mib": memory.get("MemTotal", 0),
        "psi_memory_some10": some10,
    }
