"""Doors: ports of this host that lead to the SSH servers of nodes, whose own network ends at the host.

A door belongs to the service process: it is opened when somebody asks for it, leads to wherever the node's machine is
when a connection comes, and goes with the service. A connection is relayed, not looked into.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass

from poolwright.api.batch.services import NodeUnreachable
from poolwright.domain.limits import DOOR_CONNECTIONS_MAX, DOORS_MAX, LOGIN_PORTS
from poolwright.store.base import Store, StoreError

_log = logging.getLogger(__name__)
_SSH_PORT = 22
_PIECE = 65_536
_DIAL_S = 10.0
_TRIES = 50  # ports in use by others that are passed over


@dataclass(slots=True)
class _Door:
    account: str
    pool: str
    node: str
    machine: str
    server: asyncio.Server | None = None
    port: int = 0


class LoginDoors:
    """Opens and keeps doors on `host`, the address the service listens on."""

    def __init__(self, store: Store, host: str) -> None:
        self._store = store
        self._host = host
        self._doors: dict[str, _Door] = {}
        self._relays: dict[asyncio.Task[None], str] = {}
        self._opening = asyncio.Lock()
        self._next_port = random.randint(*LOGIN_PORTS)

    async def open(self, account: str, pool: str, node: str, machine: str) -> int:
        """The port that leads to the node. Raises NodeUnreachable when no more can be opened."""
        async with self._opening:
            if machine not in self._doors and len(self._doors) >= DOORS_MAX:
                await self._close_idle()
            return await self._opened(_Door(account, pool, node, machine))

    async def offer(self, account: str, pool: str, node: str, machine: str) -> int | None:
        """As `open`, but no other door is closed for it; None when no more can be opened."""
        async with self._opening:
            try:
                return await self._opened(_Door(account, pool, node, machine))
            except NodeUnreachable:
                return None

    async def _opened(self, door: _Door) -> int:
        known = self._doors.get(door.machine)
        if known is not None:
            return known.port
        if len(self._doors) >= DOORS_MAX:
            raise NodeUnreachable(f"remote login to {DOORS_MAX} nodes is open already")
        door.server = await self._listen(door)
        door.port = int(door.server.sockets[0].getsockname()[1])
        self._doors[door.machine] = door
        return door.port

    async def _listen(self, door: _Door) -> asyncio.Server:
        """At one of the ports that no NAT pool may have."""
        problem = "none is free"
        for _ in range(_TRIES):
            port = self._next_port
            self._next_port = LOGIN_PORTS[0] if port >= LOGIN_PORTS[1] else port + 1
            try:
                return await asyncio.start_server(
                    lambda reader, writer: self._accept(door, reader, writer), self._host, port
                )
            except OSError as error:
                problem = error.strerror or str(error)
        raise NodeUnreachable(f"no port can be opened: {problem}")

    async def close(self) -> None:
        """Shut every door; connections through them end."""
        for door in self._doors.values():
            if door.server is not None:
                door.server.close()
        relays = list(self._relays)
        for relay in relays:
            relay.cancel()
        await asyncio.gather(*relays, return_exceptions=True)
        self._doors.clear()

    async def _close_idle(self) -> None:
        """Doors nobody goes through; who asks for one again gets another."""
        used = set(self._relays.values())
        for machine, door in list(self._doors.items()):
            if machine not in used and door.server is not None:
                door.server.close()
                del self._doors[machine]

    def _accept(self, door: _Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if sum(1 for machine in self._relays.values() if machine == door.machine) >= DOOR_CONNECTIONS_MAX:
            writer.close()
            return
        task = asyncio.create_task(self._relay(door, reader, writer))
        self._relays[task] = door.machine
        task.add_done_callback(lambda done: self._relays.pop(done, None))

    async def _relay(self, door: _Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            address = await self._address(door)
            if address is None:
                return
            async with asyncio.timeout(_DIAL_S):
                inner, outer = await asyncio.open_connection(address, _SSH_PORT)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(_copy(reader, outer))
                    both.create_task(_copy(inner, writer))
            finally:
                outer.close()
        except* (OSError, TimeoutError, StoreError) as ended:
            _log.debug("a remote login to node %s ended: %s", door.node, ended.exceptions[0])
        finally:
            writer.close()

    async def _address(self, door: _Door) -> str | None:
        """Where the node's machine is now, if anybody may log in to it."""
        node = await self._store.read(lambda tx: tx.nodes.get(door.account, door.pool, door.node))
        if node is None or node.machine != door.machine or not node.logins.users:
            return None
        return node.address


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(_PIECE):
        target.write(piece)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
