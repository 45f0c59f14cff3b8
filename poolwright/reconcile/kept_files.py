"""Files of finished tasks are kept before the machine that holds them goes, and until nobody may ask for them.

Kept first, deleted after: whoever is killed in between keeps them again, which changes nothing. A machine that
cannot be read, or takes too long, goes all the same. What is kept bears the name of the execution that left it, which
is never given twice; so a task that runs again, or another one of the same id, cannot be shown foreign files.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from poolwright.domain.clock import Clock, Instant
from poolwright.domain.facts import DirtyKey
from poolwright.domain.job_schedule import workitem
from poolwright.domain.kept_files import KeptFile
from poolwright.domain.limits import KEEP_MACHINE_S_MAX, KEEP_MACHINES_AT_ONCE
from poolwright.domain.node import is_simulated
from poolwright.domain.states import TaskState
from poolwright.domain.task import Task, parse_execution
from poolwright.reconcile.files import CHUNK, GAP, GAP_FACTOR, LOOK_PERIOD, WORKITEMS, FilesAway, NodeFiles
from poolwright.reconcile.pools import Life
from poolwright.store.base import Store, Tx

_log = logging.getLogger(__name__)

_KEY = DirtyKey("files", "", "kept")


class MachineFiles(NodeFiles, Protocol):
    """Reads what is to be kept."""

    async def gather(self, machine: str, directories: Sequence[str]) -> Mapping[str, Sequence[KeptFile]]:
        """What is in these directories, with the contents of small files; some of them at least. Raises FilesAway."""
        ...


Handler = Callable[[DirtyKey], Awaitable[Instant | None]]


class Archive(Protocol):
    """Where files are kept; see store/file_archive.py."""

    async def put(self, files: Mapping[str, Sequence[KeptFile]]) -> None:
        """Keep these, by execution. Raises OSError."""
        ...

    async def known(self, executions: Sequence[str]) -> set[str]: ...

    async def page(self, after: str, limit: int) -> Sequence[str]: ...

    async def forget(self, executions: Sequence[str]) -> None: ...


class Keeper(Protocol):
    """Is told of machines that are about to be deleted with their disks."""

    async def keep(self, lives: Sequence[Life]) -> None:
        """Returns when all is kept that will be; never raises."""
        ...


class FileKeeper:
    """See the module. `room` says why nothing may be written now, or None."""

    def __init__(
        self,
        store: Store,
        files: MachineFiles,
        archive: Archive,
        clock: Clock,
        room: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._store = store
        self._files = files
        self._archive = archive
        self._clock = clock
        self._full = room
        self._at_once = asyncio.Semaphore(KEEP_MACHINES_AT_ONCE)
        self._looked_at: Instant = 0
        self._rests_until: Instant = 0

    async def keep(self, lives: Sequence[Life]) -> None:
        """See Keeper."""
        real = [life for life in lives if not is_simulated(life.machine)]
        if real and self._full() is None:
            await asyncio.gather(*(self._machine(life) for life in real))

    def keys(self, _: Tx) -> list[DirtyKey]:
        """For the periodic pass: whether what is kept was not looked through for long."""
        return [_KEY] if self._looked_at + LOOK_PERIOD <= self._clock.now() else []

    async def one(self, _: DirtyKey) -> Instant | None:
        """Forget what nobody may ask for any more. Returns when to look again, if it is too early now."""
        began = self._clock.now()
        if self._rests_until > began:
            return self._rests_until
        self._looked_at, after = began, ""
        while names := await self._archive.page(after, CHUNK):
            after = names[-1]
            await self._archive.forget(await self._store.read(lambda tx, some=names: over(tx, some, began)))  # type: ignore[misc]
        now = self._clock.now()
        self._rests_until = now + max(GAP, GAP_FACTOR * (now - began))
        return None

    def beside(self, other: Handler) -> Handler:
        """A handler that does what `other` does, and `one`: what wakes the one wakes the other."""

        async def both(key: DirtyKey, /) -> Instant | None:
            times = [await other(key), await self.one(key)]
            return min((at for at in times if at is not None), default=None)

        return both

    async def _machine(self, life: Life) -> None:
        try:
            async with self._at_once, asyncio.timeout(KEEP_MACHINE_S_MAX):
                for item in await self._files.directories(life.machine, WORKITEMS):
                    path = f"{WORKITEMS}/{item.name}"
                    for number in await self._files.directories(life.machine, path):
                        await self._job(life, item.name, number.name, f"{path}/{number.name}")
        except (FilesAway, OSError, TimeoutError) as error:
            why = str(error) or f"it took longer than {KEEP_MACHINE_S_MAX:.0f} s"
            _log.warning("node %s of pool %s goes before all files are kept: %s", life.node, life.pool, why)

    async def _job(self, life: Life, item: str, number: str, path: str) -> None:
        names = [found.name for found in await self._files.directories(life.machine, path)]
        jobs = [job for job in (item, f"{item}:{number}") if workitem(job) == (item, number)]
        now = self._clock.now()
        for start in range(0, len(names), CHUNK):
            some = names[start : start + CHUNK]
            ended = await self._store.read(lambda tx, some=some: finished(tx, life, jobs, some, now))  # type: ignore[misc]
            known = await self._archive.known(list(ended.values()))
            left = {f"{path}/{name}": run for name, run in ended.items() if run not in known}
            while left:
                found = await self._files.gather(life.machine, list(left))
                if not found:
                    return
                await self._archive.put({left.pop(directory): files for directory, files in found.items()})


def finished(
    tx: Tx, life: Life, jobs: Sequence[str], directories: Sequence[str], now: Instant
) -> dict[str, str]:
    """directory -> execution, of tasks of these jobs that are completed and ran last on this node."""
    found = {}
    for id in jobs:
        job = tx.jobs.get(life.account, id)
        if job is None or job.id != id:
            continue
        for name in directories:
            task = tx.tasks.get(job.pk, name)
            if task is None or task.id != name or not _readable(task, now):
                continue
            if (task.node or "", task.pool or "") == (life.node, life.pool):
                found[name] = task.execution
    return found


def over(tx: Tx, executions: Sequence[str], now: Instant) -> list[str]:
    """Those whose task was deleted, ran again since, or need be kept no longer."""
    named = {name: parse_execution(name) for name in executions}
    tasks = tx.tasks.by_pks([pair[0] for pair in named.values() if pair is not None])
    gone = []
    for name, pair in named.items():
        task = None if pair is None else tasks.get(pair[0])
        if task is None or task.execution != name or not _readable(task, now):
            gone.append(name)
    return gone


def _readable(task: Task, now: Instant) -> bool:
    if task.state is not TaskState.COMPLETED or task.ended_at is None:
        return False
    return task.ended_at + task.spec.retention > now
