"""The host agent's connection to a machine that comes and goes: orders wait, and nothing false is said meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from poolwright.agent.frames import decode, encode, split
from poolwright.agent.links import Links
from poolwright.agent.loop import Loop
from tests.support.waiting import wait_until


class _Machine:
    name, fence, address = "m1", 1, None
    troubles: ClassVar[list[dict[str, Any]]] = []


class _Machines:
    def __init__(self, path: Path) -> None:
        self._path = path

    def socket_path(self, name: str) -> str:
        return str(self._path)


class _Rig:
    """Links in a loop turned by hand, and the machine's end of the connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = Loop()
        self.said: list[dict[str, Any]] = []
        machines: Any = _Machines(path)
        self.links = Links(self.loop, lambda: machines, self.said.append)
        self.listener: socket.socket | None = None
        self.peer: socket.socket | None = None

    def listen(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.listener.setblocking(False)

    def accept(self) -> socket.socket:
        def came() -> bool:
            assert self.listener is not None
            try:
                self.peer = self.listener.accept()[0]
            except BlockingIOError:
                return False
            return True

        if self.peer is not None:
            self.peer.close()
        self.until(came)
        assert self.peer is not None
        self.peer.setblocking(False)
        return self.peer

    def greet(self) -> None:
        assert self.peer is not None
        self.peer.send(encode({"op": "hello", "name": "m1", "fence": 1, "execs": []}))
        self.until(self.links.all_greeted)

    def orders(self, count: int) -> list[dict[str, Any]]:
        """What the machine was told, once it is `count` messages."""
        buffer = bytearray()
        heard: list[dict[str, Any]] = []

        def came() -> bool:
            assert self.peer is not None
            try:
                buffer.extend(self.peer.recv(65536))
            except BlockingIOError:
                pass
            heard.extend(decode(body) for _, body in split(buffer))
            return len(heard) >= count

        self.until(came)
        return heard

    def until(self, condition: Callable[[], bool]) -> None:
        def turn() -> bool:
            self.loop.later(0.01, self.loop.stop)
            self.loop.run()
            return condition()

        wait_until(turn, 10, lambda: self.said)

    def close(self) -> None:
        self.links.drop("m1")
        for sock in (self.listener, self.peer):
            if sock is not None:
                sock.close()
        self.loop.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[_Rig]:
    made = _Rig(tmp_path / "m1.sock")
    yield made
    made.close()


START = {"machine": "m1", "fence": 1, "exec": "t1.1"}
KILL = {"machine": "m1", "exec": "t0.1", "reason": "requeue", "grace_s": 1}


def test_orders_wait_for_a_machine_that_is_being_dialled(rig: _Rig) -> None:
    rig.links.open(_Machine())
    rig.links.start([START])
    rig.links.kill([KILL])
    assert rig.said == [], "the machine runs: its executions are neither refused nor lost"
    assert rig.links.standing("m1") == {"silent": True}
    rig.listen()
    rig.accept()
    rig.greet()
    assert [message["op"] for message in rig.orders(2)] == ["start", "kill"]
    assert rig.links.standing("m1") == {"silent": False, "troubles": []}


def test_a_machine_that_hung_up_is_silent_until_it_greets_again(rig: _Rig) -> None:
    rig.listen()
    rig.links.open(_Machine())
    rig.accept()
    rig.greet()
    assert rig.peer is not None
    rig.peer.close()
    rig.until(lambda: rig.links.standing("m1") == {"silent": True})
    rig.links.kill([KILL])
    assert rig.said == []
    rig.accept()
    rig.greet()
    assert rig.orders(1)[0]["items"] == [KILL]


def test_a_machine_that_does_not_run_here_refuses(rig: _Rig) -> None:
    rig.links.start([START])
    assert [(item["exec"], item["code"]) for item in rig.said] == [("t1.1", "StaleFence")]
    assert rig.links.standing("m1") == {}
