"""Small bridges between rooms that may not know one another."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from poolwright.api.batch.services import (
    DirectoryNotEmpty,
    FileInfo,
    FileMissing,
    NodeUnreachable,
    PathRefused,
)
from poolwright.commands.batch_accounts import KeyPair
from poolwright.domain.catalogue import SUPPORTED_IMAGES, SupportedImage, with_ends
from poolwright.domain.clock import SECOND, Clock, Instant
from poolwright.domain.facts import DirtyKey, Explanation
from poolwright.domain.kept_files import KeptFile
from poolwright.domain.limits import (
    FILES_LISTED_MAX,
    KEPT_FILE_BYTES_MAX,
    KEPT_TASK_BYTES_MAX,
    KEPT_TASK_FILES_MAX,
)
from poolwright.domain.marketplace import Catalogue, find
from poolwright.domain.node import is_simulated
from poolwright.engines.base import EngineError, NotEmpty, NotFound
from poolwright.engines.hub import AgentHub, PathNotAllowed
from poolwright.engines.sandbox.driver import SandboxEngine
from poolwright.reconcile.explanations import Explanations
from poolwright.reconcile.files import Directory, FilesAway
from poolwright.reconcile.resources import ResourceReconciler
from poolwright.reconcile.resources_apply import ScriptOutcome
from poolwright.store.base import Store, Tx

_CALL_S = 30.0


def new_keys() -> KeyPair:
    """Two fresh account keys: 64 random bytes each, in base64."""
    return KeyPair(*(base64.b64encode(secrets.token_bytes(64)).decode() for _ in range(2)))


@contextmanager
def _file_errors() -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise FileMissing(str(error)) from None
    except NotEmpty as error:
        raise DirectoryNotEmpty(str(error)) from None
    except PathNotAllowed as error:
        raise PathRefused(str(error)) from None
    except EngineError as error:
        raise NodeUnreachable(str(error)) from None


def _real(machine: str) -> None:
    if is_simulated(machine):
        raise FileMissing("The node is simulated: nothing runs on it, so it has no files.")


class HostFiles:
    """Files of nodes, served by the host agent."""

    def __init__(self, hub: AgentHub) -> None:
        self._hub = hub

    async def list(
        self, machine: str, directory: str, *, recursive: bool, prefix: str, after: str
    ) -> Sequence[FileInfo]:
        """See api/batch/services.py, Files."""
        _real(machine)
        params = {
            "machine": machine,
            "dir": directory,
            "recursive": recursive,
            "prefix": prefix,
            "after": after,
            "limit": FILES_LISTED_MAX,
        }
        with _file_errors():
            answer = await self._hub.call("files.list", params, _CALL_S)
        return [_file(entry["name"], entry) for entry in answer["files"]]

    async def stat(self, machine: str, path: str) -> FileInfo:
        """One file or directory."""
        _real(machine)
        with _file_errors():
            return _file(
                path, await self._hub.call("files.stat", {"machine": machine, "path": path}, _CALL_S)
            )

    async def read(self, machine: str, path: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """`length` bytes from `offset` on, in pieces; fewer when the file is shorter by now."""
        _real(machine)
        with _file_errors():
            async for piece in self._hub.read_file(machine, path, offset, length):
                yield piece

    async def delete(self, machine: str, path: str, *, recursive: bool) -> None:
        """Remove a file or directory."""
        _real(machine)
        with _file_errors():
            await self._hub.call(
                "files.delete", {"machine": machine, "path": path, "recursive": recursive}, _CALL_S
            )


#: Lists asked for in one look at one directory; what is behind them is seen once something of it went.
_LISTS_MAX = 20


class HostTaskFiles:
    """Directories of tasks, for the loop that removes them."""

    def __init__(self, hub: AgentHub) -> None:
        self._hub = hub

    async def directories(self, machine: str, path: str) -> Sequence[Directory]:
        """See reconcile/files.py, NodeFiles."""
        if is_simulated(machine):
            return []
        params = {"machine": machine, "dir": path, "recursive": False, "prefix": "", "after": ""}
        found: list[Directory] = []
        for _ in range(_LISTS_MAX):
            try:
                answer = await self._hub.call("files.list", params, _CALL_S)
            except NotFound:
                return found
            except EngineError as error:
                raise FilesAway(str(error)) from None
            files = answer["files"]
            found += [Directory(e["name"], e["mtime_us"]) for e in files if e["is_dir"]]
            if len(files) < FILES_LISTED_MAX:
                break
            params["after"] = files[-1]["name"]
        return found

    async def gather(self, machine: str, directories: Sequence[str]) -> Mapping[str, Sequence[KeptFile]]:
        """See reconcile/kept_files.py, MachineFiles."""
        params = {
            "machine": machine,
            "dirs": list(directories),
            "files_max": KEPT_TASK_FILES_MAX,
            "file_max": KEPT_FILE_BYTES_MAX,
            "bytes_max": KEPT_TASK_BYTES_MAX,
        }
        try:
            answer = await self._hub.call("files.gather", params, _CALL_S)
        except EngineError as error:
            raise FilesAway(str(error)) from None
        return {path: [_kept(entry) for entry in found] for path, found in answer["found"].items()}

    async def remove(self, machine: str, path: str, changed_at: Instant | None) -> None:
        """See reconcile/files.py, NodeFiles."""
        params: dict[str, Any] = {"machine": machine, "path": path, "recursive": changed_at is not None}
        if changed_at is not None:
            params["mtime_us"] = changed_at
        try:
            await self._hub.call("files.delete", params, _CALL_S)
        except NotFound:
            return
        except PathNotAllowed:
            return  # not empty, or changed since: the next look sees it as it is now
        except EngineError as error:
            raise FilesAway(str(error)) from None


def _file(name: str, entry: Mapping[str, Any]) -> FileInfo:
    return FileInfo(
        name=name,
        directory=bool(entry["is_dir"]),
        size=int(entry["size"]),
        modified_at=int(entry["mtime_us"]),
        mode=int(entry["mode"]),
    )


def _kept(entry: Mapping[str, Any]) -> KeptFile:
    data = entry.get("data")
    return KeptFile(
        name=entry["name"],
        directory=bool(entry["is_dir"]),
        size=int(entry["size"]),
        modified_at=int(entry["mtime_us"]),
        mode=int(entry["mode"]),
        data=None if data is None else base64.b64decode(data),
    )


class HostCommander:
    """Runs scripts in build machines through the sandbox engine."""

    def __init__(self, engine: SandboxEngine) -> None:
        self._engine = engine

    async def command(self, machine: str, script: list[str], timeout_s: float) -> ScriptOutcome:
        """Run the lines with /bin/sh as root of the machine. Raises EngineError."""
        done = await self._engine.run_command(machine, script, {}, timeout_s)
        note = f"\n(ended after its limit of {timeout_s:.0f} s)" if done.timed_out else ""
        return ScriptOutcome(done.exit_code, done.stdout, done.stderr + note)


class Explainer:
    """Explanations for the data plane, each read in one transaction."""

    def __init__(self, store: Store, words: Explanations) -> None:
        self._store = store
        self._words = words

    async def pool(self, account: str, pool: str) -> Sequence[Explanation]:
        """Why the pool has not the size that was asked for."""
        return [await self._store.read(lambda tx: self._words.pool(tx, account, pool))]

    async def node(self, account: str, pool: str, node: str) -> Sequence[Explanation]:
        """Why the node takes no tasks."""
        return [await self._store.read(lambda tx: self._words.node(tx, account, pool, node))]

    async def task(self, account: str, job: str, task: str) -> Sequence[Explanation]:
        """Why the task waits, or how it ended."""
        return [await self._store.read(lambda tx: self._words.task(tx, account, job, task))]

    async def job(self, account: str, job: str) -> Sequence[Explanation]:
        """What the job waits for."""
        return [await self._store.read(lambda tx: self._words.job(tx, account, job))]

    async def job_schedule(self, account: str, schedule: str) -> Sequence[Explanation]:
        """When the next job is made, or why none is."""
        return [await self._store.read(lambda tx: self._words.job_schedule(tx, account, schedule))]


ALL_RESOURCES = DirtyKey("resources", "", "all")
_COLLECT_S = 60


class ResourceHandlers:
    """The management resources' loop as handlers of the common loop."""

    def __init__(
        self, reconciler: ResourceReconciler, clock: Clock, changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._reconciler = reconciler
        self._clock = clock
        self._changed = changed
        self._collected_at: Instant = 0

    async def one(self, key: DirtyKey, /) -> Instant | None:
        """Work on one resource."""
        delay = await self._reconciler.run_key(key.id)
        await self._changed()
        return None if delay is None else self._clock.now() + int(delay * SECOND)

    async def all(self, _: DirtyKey, /) -> Instant | None:
        """The periodic pass over resources; now and then the collector."""
        await self._reconciler.pass_all()
        now = self._clock.now()
        if now - self._collected_at >= _COLLECT_S * SECOND:
            self._collected_at = now
            await self._reconciler.collect()
        return None

    @staticmethod
    def keys(_: Tx) -> list[DirtyKey]:
        """What the periodic pass adds."""
        return [ALL_RESOURCES]


#: The public name of what such images can.
CONTAINERS = "DockerCompatible"


def supported_images(catalogue: Catalogue, ends: Iterable[tuple[str, Instant]]) -> Sequence[SupportedImage]:
    """The published list; "verified" are those this host can build, all of whose nodes can run containers."""
    offered = catalogue()
    return [
        replace(image, verified=True, capabilities=(*image.capabilities, CONTAINERS))
        if find(offered, image.publisher, image.offer, image.sku) is not None
        else replace(image, verified=False)
        for image in with_ends(SUPPORTED_IMAGES, ends)
    ]
