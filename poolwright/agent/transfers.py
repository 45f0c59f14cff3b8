"""The host agent's side of transfers: starts the worker when one is needed, hands jobs on, keeps them apart.

Jobs belong to the connection of the service that asked: when it is lost they are stopped, and asked for again by
whoever connects next. So no transfer goes on that nobody knows of. Two jobs never write the same directory: a new one
waits until the former one's process is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from poolwright.agent.frames import Connection, Message
from poolwright.agent.loop import Loop, Timer

JOBS_MAX = 1024  # the service keeps to far fewer
_IDLE_S = 30.0  # the worker's memory is given back after this long without a job
NOWHERE = (None, None)  # the place of a job that writes nothing on this host
STOPPED = {"ok": False, "code": "Stopped", "message": "the transfer was stopped", "details": []}
_LOST = {"ok": False, "code": "WorkerDied", "message": "the transfer worker ended", "details": []}

Outcome = dict[str, Any]
Done = Callable[[Outcome], None]


class _Job:
    def __init__(self, id: str, order: dict[str, Any], done: Done) -> None:
        self.id = id
        self.order = order
        self.place = (order.get("root"), order.get("dir"))
        self.done: list[Done] = [done]
        self.stopping = False
        self.sent = False


class Transfers:
    """All jobs. `command` starts a worker, which finds its socket as standard input."""

    def __init__(self, loop: Loop, command: Sequence[str]) -> None:
        self._loop = loop
        self._command = list(command)
        self._jobs: dict[str, _Job] = {}  # by the number that the worker knows them by
        self._serial = 0
        self._connection: Connection | None = None
        self._idle: Timer | None = None

    def run(self, id: str, order: dict[str, Any], done: Done) -> None:
        """Do a job and call back with its outcome. The same id again joins the job under way. Raises ValueError when
        there are too many, OSError when no worker can be started."""
        for job in self._jobs.values():
            if job.id == id and not job.stopping:
                return job.done.append(done)
        if len(self._jobs) >= JOBS_MAX:
            raise ValueError(f"{JOBS_MAX} transfers wait already")
        if self._connection is None:
            self._start()
        added = _Job(id, order, done)
        for number, job in list(self._jobs.items()):
            if job.place == added.place != NOWHERE:
                self._stop(number, job)  # the directory belongs to another execution now
        self._serial += 1
        self._jobs[str(self._serial)] = added
        return self._pump()

    def stop(self, id: str, stopped: Callable[[], None]) -> None:
        """End a job; `stopped` is called when nothing of it is left, at once when there is none."""
        mine = [(number, job) for number, job in self._jobs.items() if job.id == id]
        left = len(mine)

        def one(_: Outcome) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                stopped()

        if not mine:
            stopped()
        for number, job in mine:
            job.done.append(one)
            self._stop(number, job)

    def stop_below(self, root: str) -> None:
        """End the jobs of a machine that is to go."""
        for number, job in list(self._jobs.items()):
            if job.place[0] == root:
                self._stop(number, job)

    def stop_all(self) -> None:
        """Nobody waits for the outcomes any more."""
        for number, job in list(self._jobs.items()):
            job.done.clear()
            self._stop(number, job)

    def _stop(self, number: str, job: _Job) -> None:
        if not job.sent:
            self._end(number, STOPPED)
        elif not job.stopping and self._connection is not None:
            self._connection.send({"op": "stop", "id": number})
        job.stopping = True

    def _pump(self) -> None:
        """Hand on the jobs whose directory no other job writes."""
        busy = {job.place for job in self._jobs.values() if job.sent and job.place != NOWHERE}
        for number, job in self._jobs.items():
            if job.sent or job.place in busy:
                continue
            job.sent = True
            if job.place != NOWHERE:
                busy.add(job.place)
            if self._connection is not None:
                self._connection.send({"op": "run", "id": number, "job": job.order})
        if self._idle is not None:
            self._idle.cancel()
        self._idle = None if self._jobs else self._loop.later(_IDLE_S, self._rest)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)]
        environment = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LANG": "C.UTF-8"}
        signals = [signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD]
        try:
            pid = os.posix_spawn(
                self._command[0], self._command, environment, file_actions=actions, setsigdef=signals
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._loop.child(pid, lambda _: None)
        self._connection = Connection(self._loop, ours, self._hear, self._on_close)

    def _rest(self) -> None:
        if self._connection is not None and not self._jobs:
            self._connection.close()

    def _hear(self, message: Message) -> None:
        number = str(message.get("id"))
        if message.get("op") == "done" and number in self._jobs:
            self._end(number, dict(message.get("outcome") or _LOST))

    def _on_close(self) -> None:
        """The worker ended (or is let go): its jobs end with it, which the kernel sees to."""
        self._connection = None
        if self._jobs:
            sys.stderr.write("the transfer worker ended; its transfers are begun again\n")
        for number in list(self._jobs):
            self._end(number, _LOST)

    def _end(self, number: str, outcome: Outcome) -> None:
        job = self._jobs.pop(number)
        for callback in job.done:
            callback(outcome)
        self._loop.at_turn_end(self._pump)


def worker_command(package_root: str) -> list[str]:
    """How a worker is started: with the packages of this Python, the checkout or installed package first."""
    boot = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); from poolwright.transfer.worker import main; main()"
    )
    return [sys.executable, "-I", "-c", boot, package_root]
