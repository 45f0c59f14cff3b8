"""Directories of tasks on the nodes of the stories: made when a process begins, removed by the service's real look."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from poolwright.domain.clock import MILLISECOND, Instant
from poolwright.domain.states import TaskState
from poolwright.reconcile.files import WORKITEMS, Directory, FilesAway
from poolwright.sim.host import Host
from poolwright.sim.seen import ACCOUNT, Reader, Seen
from poolwright.sim.virtual import Wait
from poolwright.store.base import Tx

#: A directory of a task: the root of all, its work item, its job in that, and itself.
_DEPTH = 4


class HostFiles:
    """`NodeFiles` in memory. A machine that is away cannot be looked at; what lies on it stays."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._made: dict[str, dict[str, Instant]] = {}
        self._where: dict[str, str] = {}
        self.removes: list[Callable[[str, str], None]] = []
        host.works.append(self._begun)

    def _begun(self, machine: str, name: str, directory: str) -> None:
        self._where[name] = directory
        self._made.setdefault(machine, {})[directory] = self._host.time.now()

    def busy(self, machine: str, path: str) -> bool:
        """Whether a process runs in this directory."""
        return any(where == machine and self._where.get(name) == path for where, name in self._host.running())

    async def directories(self, machine: str, path: str) -> Sequence[Directory]:
        await self._reach(machine)
        below = f"{path}/"
        found: dict[str, Instant] = {}
        for made, at in self._made.get(machine, {}).items():
            if made.startswith(below):
                name = made.removeprefix(below).partition("/")[0]
                found[name] = max(at, found.get(name, 0))
        return [Directory(name, at) for name, at in sorted(found.items())]

    async def remove(self, machine: str, path: str, changed_at: Instant | None) -> None:
        await self._reach(machine)
        if changed_at is not None and self._made.get(machine, {}).get(path) == changed_at:
            del self._made[machine][path]
            for hear in self.removes:
                hear(machine, path)

    async def _reach(self, machine: str) -> None:
        await Wait(self._host.rng.randrange(20 * MILLISECOND))
        if not self._host.connected or machine not in self._host.machines:
            raise FilesAway(f"machine {machine} cannot be reached")
        if self._host.rng.random() < self._host.faults.failed_call:
            raise FilesAway("the call did not reach the agent")


class FilesRetained:
    """The files of a task that is there are not removed before its retention time is over, nor while it runs."""

    def __init__(self, store: Reader, host: Host, files: HostFiles) -> None:
        self._store = store
        self._host = host
        self._files = files
        self.complaints: list[str] = []
        files.removes.append(self._removed)

    def _removed(self, machine: str, path: str) -> None:
        self.complaints += self._store.read_now(lambda tx: self._wrong(tx, machine, path))

    def _wrong(self, tx: Tx, machine: str, path: str) -> list[str]:
        if self._files.busy(machine, path):
            return [f"{path} was removed from {machine} while a process runs in it"]
        parts = path.split("/")
        if len(parts) != _DEPTH or parts[0] != WORKITEMS:
            return [f"{path} was removed from {machine}, which is no directory of a task"]
        job = tx.jobs.get(ACCOUNT, parts[1]) or tx.jobs.get(ACCOUNT, ":".join(parts[1:3]))
        task = None if job is None else tx.tasks.get(job.pk, parts[3])
        if task is None or task.state is not TaskState.COMPLETED or task.ended_at is None:
            return []
        node = tx.nodes.by_machine(machine)
        kept = task.spec.retention if node is None else task.retention_on(node.id)
        if task.ended_at + kept <= self._host.time.now():
            return []
        return [f"{path} was removed from {machine} although its retention time is not over"]

    def check(self, _: Seen) -> list[str]:
        return self.complaints
