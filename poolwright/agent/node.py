"""The node agent: first process of a machine. Starts and watches executions; dies by order or by kill only.

It listens on a socket made before the machine's root was entered, so that a later host agent finds it again.
Messages (JSON frames): in `start`, `kill`, `ack`, `command`; out `hello`, `events`, `command`, `trash`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import traceback
from typing import Any

from poolwright.agent.commands import Commands
from poolwright.agent.execs import Executions
from poolwright.agent.frames import Connection, Message
from poolwright.agent.loop import Loop, Timer
from poolwright.agent.rusage import Ended
from poolwright.agent.trust import Trust
from poolwright.agent.watch import Troubles, Watch

_LAST_WORDS = 4000


def run(listener: socket.socket, config: dict[str, Any]) -> None:
    """Body of the first process. Never returns."""
    os.umask(0)
    os.chdir("/")
    agent = NodeAgent(listener, config)
    try:
        agent.run()
    except Exception:  # noqa: BLE001 - the machine ends with this process; what remains is to say why
        agent.say_last(traceback.format_exc())
    os._exit(0)


class NodeAgent:
    """Serves one host agent at a time; a new connection replaces the old one."""

    def __init__(self, listener: socket.socket, config: dict[str, Any]) -> None:
        self._loop = Loop(config.get("own_io"))
        self._listener = listener
        self._config = config
        self._connection: Connection | None = None
        self._items: list[dict[str, Any]] = []
        self._flush_waits = False
        self._grace: Timer | None = None
        named, certified = config.get("accounts") or (), bool(config.get("certificates"))
        self._executions = Executions(
            self._loop, config["fence"], self._report, named, certified, Trust(config.get("authority", ""))
        )
        self._commands = Commands(self._loop, self._send)
        self._watch = Watch(self._loop, config.get("watch") or {}, self._on_troubles)

    def run(self) -> None:
        ignore = {
            number: (lambda: None) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPWR)
        }
        self._loop.handle_signals(ignore)
        self._loop.on_any_child(self._on_child)
        self._listener.setblocking(False)
        self._loop.read(self._listener.fileno(), self._on_caller)
        self._start_grace()
        self._loop.run()

    def say_last(self, text: str) -> None:
        """Tell the host agent why this machine ends."""
        self._send({"op": "crash", "text": text[-_LAST_WORDS:]})

    def _on_caller(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if self._connection is not None:
            self._connection.close()
        if self._grace is not None:
            self._grace.cancel()
        self._connection = Connection(self._loop, sock, self._on_message, self._on_close)
        self._items.clear()  # the hello tells all of it
        config = self._config
        self._send(
            {
                "op": "hello",
                "name": config["name"],
                "fence": config["fence"],
                "execs": self._executions.states(),
                "troubles": self._watch.troubles,
            }
        )
        self._tell_trash()

    def _on_troubles(self, troubles: Troubles) -> None:
        self._send({"op": "health", "troubles": troubles})

    def _on_close(self) -> None:
        self._connection = None
        self._items.clear()
        self._start_grace()

    def _start_grace(self) -> None:
        """Nobody to report to: after the grace the machine ends itself, and with it everything in it."""
        self._grace = self._loop.later(float(self._config["grace_s"]), self._loop.stop)

    def _on_message(self, message: Message) -> None:
        op = message.get("op")
        if op == "start":
            for spec in message["items"]:
                self._executions.start(spec)
            self._tell_trash()
        elif op == "ack":
            self._executions.acknowledge(message["execs"])
        elif op == "kill":
            for item in message["items"]:
                self._executions.kill(
                    item["exec"], str(item.get("reason", "")), float(item.get("grace_s", 30))
                )
        elif op == "command":
            self._commands.start(message)

    def _on_child(self, ended: Ended) -> None:
        if not self._commands.on_child(ended.pid, ended.status):
            self._executions.on_child(ended)

    def _report(self, item: dict[str, Any]) -> None:
        if self._connection is None:
            return
        self._items.append(item)
        if not self._flush_waits:
            self._flush_waits = True
            self._loop.at_turn_end(self._flush)

    def _flush(self) -> None:
        self._flush_waits = False
        if self._items:
            items, self._items = self._items, []
            self._send({"op": "events", "items": items})
        self._tell_trash()

    def _tell_trash(self) -> None:
        if self._executions.take_trash():
            self._send({"op": "trash"})

    def _send(self, message: Message) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.send(message)
