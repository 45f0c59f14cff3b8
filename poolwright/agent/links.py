"""The host agent's connections to its machines, and what it knows of their executions."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from poolwright.agent.frames import Connection, Message
from poolwright.agent.layout import TRASH
from poolwright.agent.loop import Loop
from poolwright.agent.machines import Machine, Machines

_EXEC_FIELDS = (
    "exec", "state", "pid", "start_us", "ready_us", "end_us", "exit_code", "signal", "reason", "code", "message",
    "details", "usage",
)  # fmt: skip
_RECONNECT_S = 0.05
_RECONNECTS = 100
_WORDS = 4000
_CODE = 64
_MAX_TROUBLES = 20
_MAX_EXECS = 20_000  # a machine is not trusted: what it claims is bounded
_MAX_HELD = 1000  # orders kept for a machine that is being dialled; the service repeats those beyond

CommandDone = Callable[[dict[str, Any]], None]


class Link:
    """The connection to one machine. Its executions are kept here until they are acknowledged."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.connection: Connection | None = None
        self.greeted = False  # has it told its executions on this connection?
        self.deaf = False  # it never answered, or not any more
        self.execs: dict[str, dict[str, Any]] = {}
        self.commands: dict[int, CommandDone] = {}
        self.held: list[Message] = []  # orders to send once it answers
        self.tries = 0
        self.noted = False  # something about it was logged; once is enough
        self.troubles: list[
            dict[str, Any]
        ] = []  # what its agent says is wrong now, besides those of its birth
        self.owed = False  # the service was greeted before this machine said how it is


class Links:
    """All connections. `report` takes event items for the service."""

    def __init__(
        self, loop: Loop, machines: Callable[[], Machines], report: Callable[[dict[str, Any]], None]
    ) -> None:
        self._loop = loop
        self._machines = machines
        self._report = report
        self._links: dict[str, Link] = {}
        self._owners: dict[str, Link] = {}  # of executions
        self._adopting: dict[str, None] = {}  # executions ordered into a directory that a transfer filled
        self._serial = 0

    def open(self, machine: Machine) -> None:
        """Connect to a running machine."""
        link = self._links[machine.name] = Link(machine)
        self._dial(link)

    def all_greeted(self) -> bool:
        """Have all machines told their executions?"""
        return all(link.greeted or link.deaf for link in self._links.values())

    def standing(self, name: str) -> dict[str, Any]:
        """What the hello says of a machine besides what the machine says: `silent` while its executions are not
        all known here, so that nothing follows from what is missing; broken when it does not answer at all."""
        link = self._links.get(name)
        if link is None:
            return {}
        if link.deaf:
            return {"state": "broken"}
        if not link.greeted:
            link.owed = True
            return {"silent": True}
        return {"silent": False, "troubles": [*link.machine.troubles, *link.troubles]}

    def execs(self) -> list[dict[str, Any]]:
        """Every execution that is not acknowledged, for the hello."""
        return [item for link in self._links.values() for item in link.execs.values()]

    def drop(self, name: str) -> None:
        """The machine is gone, and its executions with it."""
        link = self._links.pop(name, None)
        if link is None:
            return
        for exec_id in link.execs:
            self._owners.pop(exec_id, None)
        if link.connection is not None:
            link.connection.close()
        for done in link.commands.values():
            done({"error": f"machine {name} ended"})

    def knows(self, exec_id: str) -> bool:
        """Whether the execution may have begun: then its directory is its own, and nothing is to be made anew there."""
        return exec_id in self._owners or exec_id in self._adopting

    def start(self, items: list[dict[str, Any]]) -> None:
        """Hand execution orders to their machines, one message a machine."""
        groups: dict[str, list[dict[str, Any]]] = {}
        for item in items:
            if item.get("adopt"):
                self._adopting[item["exec"]] = None
                if len(self._adopting) > _MAX_EXECS:
                    del self._adopting[next(iter(self._adopting))]
            groups.setdefault(item["machine"], []).append(item)
        for name, orders in groups.items():
            link = self._links.get(name)
            if link is None:
                for order in orders:
                    self._refuse(name, order)
                continue
            self._order(link, {"op": "start", "items": orders})

    def _order(self, link: Link, message: Message) -> None:
        """Send an order, or keep it for a machine that runs but is not connected now: its executions may well be
        alive, so nothing may be said of them."""
        if link.connection is not None and link.connection.open:
            link.connection.send(message)
        elif len(link.held) < _MAX_HELD:
            link.held.append(message)

    def _refuse(self, name: str, order: dict[str, Any]) -> None:
        item = {"t": "exec", "machine": name, "fence": order.get("fence"), "exec": order.get("exec")}
        item.update(state="failed", pid=None, start_us=None, end_us=None, code="StaleFence", details=[])
        item["message"] = f"machine {name} does not run here"
        self._report(item)

    def kill(self, items: list[dict[str, Any]]) -> None:
        """Hand kill orders to their machines; executions of machines that are gone are lost."""
        for item in items:
            link = self._links.get(item["machine"])
            if link is not None:
                self._order(link, {"op": "kill", "items": [item]})
                continue
            lost = {
                "t": "exec",
                "machine": item["machine"],
                "fence": None,
                "exec": item["exec"],
                "state": "exited",
            }
            lost.update(pid=None, start_us=None, end_us=None, exit_code=None, signal=None, reason="lost")
            self._report(lost)

    def acknowledge(self, exec_ids: list[str]) -> None:
        """Forget executions whose end is durable, here and in the machines."""
        groups: dict[str, list[str]] = {}
        for exec_id in exec_ids:
            link = self._owners.get(exec_id)
            if link is None:
                continue
            groups.setdefault(link.machine.name, []).append(exec_id)
            if link.execs[exec_id]["state"] != "running":
                del link.execs[exec_id], self._owners[exec_id]
        for name, mine in groups.items():
            connection = self._links[name].connection
            if connection is not None:
                connection.send({"op": "ack", "execs": mine})

    def command(self, name: str, params: dict[str, Any], done: CommandDone) -> None:
        """Run a script in a machine."""
        link = self._links.get(name)
        if link is None or link.connection is None:
            return done({"error": f"machine {name} does not run here", "kind": "NotFound"})
        self._serial += 1
        link.commands[self._serial] = done
        message = {"op": "command", "id": self._serial, "script": params["script"], "env": params.get("env")}
        message["timeout_s"] = params.get("timeout_s", 5400)
        link.connection.send(message)
        return None

    def _dial(self, link: Link) -> None:
        if self._links.get(link.machine.name) is not link:
            return
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.connect(self._machines().socket_path(link.machine.name))
        except OSError:
            sock.close()
            link.tries += 1
            if (
                link.tries < _RECONNECTS
            ):  # after that the machine is alive but deaf; only the service can decide
                self._loop.later(_RECONNECT_S, lambda: self._dial(link))
            else:
                self._deaf(link)
            return
        link.connection = Connection(
            self._loop, sock, lambda message: self._on_message(link, message), lambda: self._on_close(link)
        )

    def _deaf(self, link: Link) -> None:
        link.deaf = True
        machine = link.machine
        item = {
            "t": "machine",
            "name": machine.name,
            "fence": machine.fence,
            "state": "broken",
            "address": None,
        }
        self._report({**item, "detail": "its first process does not answer"})

    def _on_close(self, link: Link) -> None:
        link.connection = None
        link.greeted = False
        link.tries += 1
        self._loop.later(_RECONNECT_S, lambda: self._dial(link))

    def _on_message(self, link: Link, message: Message) -> None:
        try:
            self._hear(link, message)
        except (KeyError, TypeError, ValueError):  # a machine is not trusted: it may be deaf, but not do harm
            self._last_words(link, "it sent a message that cannot be understood")
            if link.connection is not None:
                link.connection.close()

    def _last_words(self, link: Link, text: str) -> None:
        if not link.noted:
            link.noted = True
            print(f"machine {link.machine.name}: {text[:_WORDS]}", flush=True)

    def _hear(self, link: Link, message: Message) -> None:
        op = message.get("op")
        if op == "events":
            for item in message["items"]:
                self._take(link, item)
        elif op == "hello":
            link.tries = 0
            link.greeted = True
            held, link.held = link.held, []
            for order in held:
                self._order(link, order)
            for item in message["execs"]:
                self._take(link, item)
            self._take_health(link, message.get("troubles", []))
        elif op == "health":
            self._take_health(link, message["troubles"])
        elif op == "command":
            done = link.commands.pop(int(message.get("id", 0)), None)
            if done is not None:
                done({key: message[key] for key in ("result", "error") if key in message})
        elif op == "crash":
            self._last_words(link, str(message.get("text")))
        elif op == "trash":
            self._machines().empty_trash(link.machine.name, TRASH)

    def _take_health(self, link: Link, said: list[Any]) -> None:
        """What the machine says is wrong with it: told to the service when it changed."""
        troubles = [
            {
                "code": str(one["code"])[:_CODE],
                "message": str(one["message"])[:_WORDS],
                "details": [
                    [str(name)[:_CODE], str(value)[:_WORDS]] for name, value in one["details"][:_CODE]
                ],
            }
            for one in said[:_MAX_TROUBLES]
        ]
        if troubles == link.troubles and not link.owed:
            return
        link.troubles, link.owed = troubles, False
        machine = link.machine
        everything = [*machine.troubles, *troubles]
        self._report({"t": "health", "name": machine.name, "fence": machine.fence, "troubles": everything})

    def _take(self, link: Link, raw: dict[str, Any]) -> None:
        exec_id = raw.get("exec")
        if not isinstance(exec_id, str) or len(link.execs) > _MAX_EXECS:
            return
        item = {field: raw[field] for field in _EXEC_FIELDS if field in raw}
        item["t"] = "exec"
        item["machine"] = link.machine.name
        item["fence"] = link.machine.fence
        known = link.execs.get(exec_id)
        if known is not None and known["state"] != "running" and item.get("state") == "running":
            return  # an end is final, whatever arrives later
        link.execs[exec_id] = item
        self._owners[exec_id] = link
        self._report(item)
