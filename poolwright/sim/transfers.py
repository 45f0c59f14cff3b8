"""Files of tasks in the stories: scripted transfers that take time, fail or stall, and are lost with the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from poolwright.domain.clock import MILLISECOND, MINUTE, SECOND, Instant
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.task import Task
from poolwright.domain.transfer import OutputFile, ResourceFile, Source
from poolwright.reconcile.fleet import Install, Upload
from poolwright.sim.begun import OfBegun
from poolwright.sim.host import Host, Json
from poolwright.sim.seen import Reader, Seen
from poolwright.sim.virtual import Timeline

_SERVER = "https://files.example/"
#: What an address ends with says how a transfer goes.
_MISSING, _SLOW, _DENIED = "missing", "slow", "denied"
NOT_FOUND, REFUSED = "BlobNotFound", "FileUploadAccessDenied"


def resource_files(rng: Random) -> tuple[ResourceFile, ...]:
    """A file that is there, or not, or comes slowly."""
    return (ResourceFile(Source.HTTP, _SERVER + rng.choice(("file", "file", _SLOW, _MISSING)), "file"),)


def output_files(rng: Random) -> tuple[OutputFile, ...]:
    """A container that takes files, or not, or slowly."""
    return (OutputFile("*.txt", _SERVER + rng.choice(("box", "box", _SLOW, _DENIED))),)


@dataclass(slots=True)
class Moved:
    """What transfers came to; outlives the service, for the checker."""

    fetched: dict[str, tuple[str, int]]  # the life of the machine an execution's files lie on
    delivered: set[str]


class SimTransfers:
    """A Fleet in front of the host, as reconcile/transfers.py is in front of real agents."""

    def __init__(
        self, time: Timeline, rng: Random, host: Host, store: Reader, moved: Moved, alive: Callable[[], bool]
    ) -> None:
        self._time = time
        self._rng = rng
        self._host = host
        self._store = store
        self._moved = moved
        self._alive = alive
        self._kills: dict[str, Mapping[str, Any] | None] = {}
        self._over: dict[str, Callable[[], None]] = {}
        self.report: Callable[[list[Any]], None] = lambda _: None

    def send_start(self, items: Sequence[Mapping[str, Any]], /) -> None:
        for item in items:
            if "fetch" in item:
                addresses = [file.address for file in item["fetch"]]
                self._begin(item["exec"], addresses, lambda item=item: self._fetched(item))  # type: ignore[misc]
            else:
                self._host.send_start([item])

    def send_kill(self, items: Sequence[Mapping[str, Any]], /) -> None:
        for item in items:
            name = item["exec"]
            if name not in self._over:
                self._host.send_kill([item])
            elif self._kills[name] is None:
                self._kills[name] = item
                self._time.after(self._rng.randrange(100 * MILLISECOND), lambda name=name: self._end(name))  # type: ignore[misc]

    def send_uploads(self, uploads: Sequence[Upload], /) -> None:
        for upload in uploads:
            addresses = [file.container for file in upload.files]
            self._begin(upload.spec.name, addresses, lambda up=upload: self._delivered(up))  # type: ignore[misc]

    def send_installs(self, installs: Sequence[Install], /) -> None:
        self._host.send_installs(installs)

    def ack(self, executions: Sequence[str], /) -> None:
        self._host.ack(executions)

    def _begin(self, name: str, addresses: Sequence[str], over: Callable[[], None]) -> None:
        if name in self._over:
            return
        self._kills[name], self._over[name] = None, over
        slow = any(address.endswith(_SLOW) for address in addresses)
        wait = self._rng.randrange(2 * MINUTE if slow else 3 * SECOND)
        self._time.after(wait, lambda: self._end(name))

    def _end(self, name: str) -> None:
        over = self._over.pop(name, None)
        if over is not None and self._alive():
            over()

    def _fetched(self, item: Json) -> None:
        said = {key: item[key] for key in ("machine", "fence", "exec")}
        if not self._lives(item["machine"], item["fence"]):
            return
        order = self._kills.pop(item["exec"])
        if order is not None:
            if (item["machine"], item["exec"]) in self._host.running():  # this start only repeated another
                self._host.send_kill([order])
            else:
                self.report([{**said, **_killed(order["reason"], self._time.now())}])
        elif any(file.address.endswith(_MISSING) for file in item["fetch"]):
            failed = {"t": "exec", "state": "failed", "code": NOT_FOUND, "message": "The file is not there."}
            self.report([{**said, **failed, "details": [], "end_us": self._time.now()}])
        elif self._store.read_now(lambda tx: item["exec"] in tx.executions.get_many([item["exec"]])):
            self._moved.fetched[item["exec"]] = item["machine"], item["fence"]
            start = {key: value for key, value in item.items() if key != "fetch"}
            self._host.send_start([{**start, "adopt": True}])

    def _delivered(self, upload: Upload) -> None:
        spec, end = upload.spec, upload.end
        said = {"t": "exec", "machine": spec.machine, "fence": spec.fence, "exec": spec.name}
        if not self._lives(spec.machine, spec.fence):
            return
        order = self._kills.pop(spec.name)
        if order is not None:
            self.report([{**said, **_killed(order["reason"], self._time.now())}])
            return
        outcome: Json = {"ok": True}
        if any(file.container.endswith(_DENIED) for file in upload.files):
            outcome = {"ok": False, "code": REFUSED, "message": "The container takes nothing.", "details": []}
        self._moved.delivered.add(spec.name)
        ended = {"state": "exited", "reason": end.reason, "exit_code": end.exit_code, "signal": end.signal}
        self.report([{**said, **ended, "start_us": end.started_at, "end_us": end.at, "delivered": outcome}])

    def _lives(self, machine: str, fence: int) -> bool:
        return any((m.name, m.fence) == (machine, fence) for m in self._host.fleet.machines())


def _killed(reason: str, now: Instant) -> Json:
    return {"t": "exec", "state": "exited", "reason": f"killed:{reason}", "end_us": now}


class FilesMoved(OfBegun):
    """A task begins only where its resource files are, never without one; and completes by its own end only when its
    output files are uploaded, as a failure if they cannot be."""

    def __init__(self, store: Reader, host: Host, moved: Moved) -> None:
        super().__init__(store, host)
        self._moved = moved

    def begun(self, machine: str, name: str, task: Task) -> list[str]:
        lives = [(m.name, m.fence) for m in self._host.fleet.machines() if m.name == machine]
        if not task.spec.resource_files or self._moved.fetched.get(name) in lives:
            return []
        return [f"{name} began on {machine} before its resource files were there"]

    def check(self, seen: Seen) -> list[str]:
        said = list(self.complaints)
        for job, task in seen.tasks:
            if task.state is TaskState.COMPLETED and (problem := self._problem(task)):
                said.append(f"task {job.id}/{task.id} {problem}")
        return said

    def _problem(self, task: Task) -> str:
        code = task.failure.code if task.failure is not None else None
        missing = any(file.address.endswith(_MISSING) for file in task.spec.resource_files)
        if code == NOT_FOUND and not missing:
            return "failed for want of a file that is there"
        tried_again = task.retry_count and task.spec.multi is None  # a gang's coordination may fail before
        if missing and (task.result is ExecutionResult.SUCCESS or tried_again):
            return "ran without its resource file"
        if not task.spec.output_files or code not in (None, REFUSED, "FailureExitCode"):
            return ""
        if not self._host.exits.get(task.execution):
            return ""  # a coordination command failed
        if task.execution not in self._moved.delivered:
            return "completed before its output files were uploaded"
        denied = any(file.container.endswith(_DENIED) for file in task.spec.output_files)
        return f"says {code} of a refused upload" if denied != (code == REFUSED) else ""
