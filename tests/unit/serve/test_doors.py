"""Doors to nodes, with a server on loopback in the node's place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from poolwright.domain.node import Logins, Node, NodeUser
from poolwright.domain.states import NodeState
from poolwright.serve import doors
from poolwright.serve.doors import LoginDoors
from poolwright.store.base import Tx
from poolwright.store.sqlite import SqliteStore
from tests.unit.decide.parts import pool

DEADLINE_S = 20
NODE = Node("acct", "p", "n1", "m1", True, NodeState.IDLE, 1, 1, 1, address="127.0.0.1")
VISITOR = Logins((NodeUser("visitor", False, 2**60),), 1)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello " + await reader.read(100))
    writer.close()


@asynccontextmanager
async def _house(directory: Path, node: Node, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LoginDoors]:
    store = SqliteStore(directory)

    def fill(tx: Tx) -> None:
        tx.pools.insert(pool(1))
        tx.nodes.insert_many([node])

    await store.write(fill)
    behind = await asyncio.start_server(_echo, "127.0.0.1", 0)
    monkeypatch.setattr(doors, "_SSH_PORT", behind.sockets[0].getsockname()[1])
    made = LoginDoors(store, "127.0.0.1")
    try:
        yield made
    finally:
        await made.close()
        behind.close()
        await store.close()


async def _said(port: int) -> bytes:
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"visitor")
        writer.write_eof()
        try:
            return await reader.read()
        finally:
            writer.close()


async def test_a_door_leads_to_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _house(tmp_path, replace(NODE, logins=VISITOR), monkeypatch) as made:
        port = await made.open("acct", "p", "n1", "m1")
        assert await made.open("acct", "p", "n1", "m1") == port
        assert await _said(port) == b"hello visitor"
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await _said(port)


@pytest.mark.parametrize(
    "node",
    [NODE, replace(NODE, logins=VISITOR, address=None), replace(NODE, logins=VISITOR, machine="other")],
    ids=["no users", "no address", "another machine"],
)
async def test_a_door_nobody_may_go_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Node
) -> None:
    async with _house(tmp_path, node, monkeypatch) as made:
        assert await _said(await made.open("acct", "p", "n1", "m1")) == b""


async def test_doors_nobody_uses_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "DOORS_MAX", 1)
    async with _house(tmp_path, replace(NODE, logins=VISITOR), monkeypatch) as made:
        first = await made.open("acct", "p", "gone", "m0")
        assert await _said(await made.open("acct", "p", "n1", "m1")) == b"hello visitor"
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await _said(first)
