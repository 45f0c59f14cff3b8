"""The worker's own process: small, single-threaded, everything loaded; forks one process a job.

It speaks frames (agent/frames.py) with the host agent over one inherited socket: in `run` {"id", "job"} and `stop`
{"id"}, out `done` {"id", "outcome"}. A stopped job is answered when its process is gone. It ends, and every job with
it, when that socket closes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections import deque
from typing import Any

from poolwright.agent import syscalls
from poolwright.agent.frames import Connection, Message
from poolwright.agent.loop import Loop
from poolwright.transfer import parting, warmth
from poolwright.transfer.parting import DIED

AT_ONCE = 8  # processes; two cores are busy with TLS long before
_OUTCOME_MAX = 1024 * 1024
STOPPED = {"ok": False, "code": "Stopped", "message": "the transfer was stopped", "details": []}


class _Job:
    def __init__(self, id: str, order: dict[str, Any]) -> None:
        self.id = id
        self.order = order
        self.pid: int | None = None
        self.pipe = -1
        self.life = -1  # ends when no process of the job is left
        self.data = bytearray()
        self.stopped = False


class Worker:
    """Jobs by id; those beyond `AT_ONCE` wait their turn."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = Loop()
        self._jobs: dict[str, _Job] = {}
        self._waiting: deque[_Job] = deque()
        self._active = 0
        self._connection = Connection(self._loop, sock, self._hear, self._loop.stop)

    def run(self) -> None:
        """Serve until the host agent goes."""
        self._loop.handle_signals({signal.SIGTERM: self._loop.stop, signal.SIGINT: self._loop.stop})
        self._loop.run()

    def _hear(self, message: Message) -> None:
        id = str(message.get("id"))
        if message.get("op") == "run" and id not in self._jobs:
            job = self._jobs[id] = _Job(id, message["job"])
            self._waiting.append(job)
            self._pump()
        elif message.get("op") == "stop" and id in self._jobs:
            self._stop(self._jobs[id])

    def _stop(self, job: _Job) -> None:
        job.stopped = True
        if job.pid is not None:
            os.kill(job.pid, signal.SIGKILL)
            return
        self._waiting.remove(job)
        self._done(job, STOPPED)

    def _pump(self) -> None:
        while self._waiting and self._active < AT_ONCE:
            self._fork(self._waiting.popleft())

    def _fork(self, job: _Job) -> None:
        receive, send = os.pipe()
        job.life, life = os.pipe()
        parent = os.getpid()
        sys.stdout.flush()
        job.pid = os.fork()
        if job.pid == 0:
            _be_job(job.order, send, life, parent)
        os.close(send)
        os.close(life)
        os.set_blocking(receive, False)
        job.pipe = receive
        self._active += 1
        self._loop.read(receive, lambda: self._pull(job))
        self._loop.child(job.pid, lambda _: self._ended(job))

    def _pull(self, job: _Job) -> None:
        try:
            data = os.read(job.pipe, 65_536)
        except BlockingIOError:
            return
        if not data or len(job.data) > _OUTCOME_MAX:
            self._loop.forget(job.pipe)
        job.data += data

    def _ended(self, job: _Job) -> None:
        self._loop.forget(job.pipe)
        os.set_blocking(job.pipe, True)
        while len(job.data) <= _OUTCOME_MAX and (data := os.read(job.pipe, 65_536)):
            job.data += data
        os.close(job.pipe)
        os.read(job.life, 1)  # the other half of the job, if it had one, is killed with it: not for long
        os.close(job.life)
        self._active -= 1
        outcome = STOPPED if job.stopped else DIED
        if not job.stopped and job.data:
            try:
                outcome = json.loads(job.data)
            except ValueError:
                pass
        self._done(job, outcome)
        self._pump()

    def _done(self, job: _Job, outcome: dict[str, Any]) -> None:
        del self._jobs[job.id]
        self._connection.send({"op": "done", "id": job.id, "outcome": outcome})


def _be_job(order: dict[str, Any], send: int, life: int, parent: int) -> None:
    """Body of a job's process. Never returns."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        syscalls.die_with_parent()
        if os.getppid() == parent:
            with os.fdopen(send, "wb") as pipe:
                pipe.write(json.dumps(parting.run(order, life)).encode())
    finally:
        os._exit(0)


def main() -> None:
    """Entry: the socket to the host agent is standard input."""
    os.umask(0o077)
    warmth.load()
    sock = socket.socket(fileno=os.dup(0))
    sock.set_inheritable(False)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    Worker(sock).run()


if __name__ == "__main__":
    main()
