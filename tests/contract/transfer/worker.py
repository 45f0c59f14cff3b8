"""A real worker process for tests, and who of it speaks with servers."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from pathlib import Path
from typing import Any

import poolwright
from poolwright.agent import frames
from poolwright.agent.transfers import worker_command


class Worker:
    """A real worker process, spoken with as the host agent does."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        ours, theirs = socket.socketpair()
        command = worker_command(str(Path(poolwright.__file__).parent.parent))
        self.process = subprocess.Popen(command, stdin=theirs.fileno())
        theirs.close()
        self.socket = ours
        self._received = bytearray()
        self._number = 0

    def close(self) -> None:
        assert self.process is not None
        self.socket.close()
        self.process.wait(30)

    def begin(self, order: dict[str, Any]) -> str:
        """Send an order; returns its number."""
        self._number += 1
        self.socket.sendall(frames.encode({"op": "run", "id": str(self._number), "job": order}))
        return str(self._number)

    def end(self, number: str) -> dict[str, Any]:
        """The outcome of the only order under way."""
        ((told, outcome),) = self.ends(1).items()
        assert told == number
        return outcome

    def ends(self, many: int) -> dict[str, dict[str, Any]]:
        """Outcomes of so many orders, by their numbers."""
        self.socket.settimeout(120)
        found: dict[str, dict[str, Any]] = {}
        while len(found) < many:
            for _, body in frames.split(self._received):
                told = frames.decode(body)
                assert told["op"] == "done"
                found[told["id"]] = dict(told["outcome"])
            if len(found) < many:
                data = self.socket.recv(65536)
                assert data, "the worker ended"
                self._received += data
        return found

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        return self.end(self.begin(order))


def children(parent: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(process.name))
    return found


def movers(worker: Worker) -> list[Path]:
    """The halves of jobs that speak with servers: children of children of the worker."""
    assert worker.process is not None
    return [Path(f"/proc/{pid}") for job in children(worker.process.pid) for pid in children(job)]
