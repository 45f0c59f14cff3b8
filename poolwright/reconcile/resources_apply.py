"""Acts on image plane and engine for management resources. Every function may be called again at any time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from poolwright.domain import sizes
from poolwright.domain.compute import Finding, MachineDisk, MachineState, Recipe, disk_state
from poolwright.domain.resource import DiskRow, Resource
from poolwright.domain.storage import DISK_TYPE_DEFAULT
from poolwright.engines.base import (
    DiskMount,
    Engine,
    EngineError,
    Machine,
    MachineRequest,
    NotFound,
    Transient,
)
from poolwright.images.base import (
    SECTOR_GRANULE_BYTES,
    BuildFailed,
    DiskExists,
    DiskInfo,
    DiskNotEmpty,
    ImagePlane,
    MarketplaceImage,
    Progress,
    UnsupportedImage,
)

T = TypeVar("T")
_THREADS = 4  # image work is bound by the disk; more at once would only make each slower
_GONE_TRIES = 10  # deletes asked of an engine in one go before the loop backs off


@dataclass(frozen=True, slots=True)
class ScriptOutcome:
    """How a script in a machine ended. Outputs are the last part of what it printed."""

    exit_code: int
    stdout: str
    stderr: str


class Commander(Protocol):
    """Runs scripts in build machines."""

    async def command(self, machine: str, script: list[str], timeout_s: float) -> ScriptOutcome:
        """Run the lines with /bin/sh as root of the machine.

        Raises EngineError: NotFound when there is no such machine, Transient when the outcome is unknown.
        """
        ...


class Actor:
    """The image plane (in threads of its own) and the engine."""

    def __init__(self, images: ImagePlane, engine: Engine) -> None:
        self._images = images
        self._engine = engine
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="images")

    def close(self) -> None:
        """Let the threads end once their present work is done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def make(self, recipe: Recipe, progress: Progress) -> DiskInfo:
        """The file of a recipe, made now or found as it was made before. Raises ImagePlaneError."""
        return await self._in_thread(lambda: _make(self._images, recipe, progress))

    async def remove(self, name: str) -> None:
        """Remove a file; it may be gone already. Raises ImagePlaneError (DiskBusy while somebody uses it)."""
        await self._in_thread(lambda: self._images.delete(name, missing_ok=True))

    async def inspect(self, name: str) -> dict[str, str | None]:
        """The operating system on a disk."""
        found = await self._in_thread(lambda: self._images.inspect(name))
        return {
            "id": found.os_id,
            "version": found.os_version,
            "pretty": found.os_pretty,
            "agent_sku": found.agent_sku,
        }

    async def lint(self, name: str) -> tuple[Finding, ...]:
        """What on an OS disk will trouble nodes; that it could not be looked at is a finding too."""
        try:
            return await self._in_thread(lambda: self._images.lint(name))
        except (UnsupportedImage, BuildFailed) as error:
            text = f"The image could not be checked: {error}"
            return (Finding("NotChecked", "warning", text, "See to the reason and make the image again."),)

    async def volume(self, name: str) -> tuple[int, int]:
        """Offset and size in bytes of the partition that is mounted of a disk; (0, 0) for the whole disk."""
        return await self._in_thread(lambda: _volume(self._images, name))

    async def files(self) -> tuple[DiskInfo, ...]:
        """Everything callers made in the image plane."""
        return await self._in_thread(self._images.list)

    async def boot(self, resource: Resource, state: MachineState, disks: Mapping[str, Resource]) -> Machine:
        """The machine under its present fence. Raises EngineError, ImagePlaneError."""
        request = await self._in_thread(lambda: self._request(resource, state, disks))
        (outcome,) = await self._engine.create([request])
        if isinstance(outcome, EngineError):
            raise outcome
        return outcome

    def _request(
        self, resource: Resource, state: MachineState, disks: Mapping[str, Resource]
    ) -> MachineRequest:
        def mount(attached: MachineDisk) -> DiskMount:
            file = disk_state(disks[attached.disk.lower()].inner).recipe.name
            path = str(self._images.path(file, writable=True))
            offset, length = _volume(self._images, file)
            return DiskMount(attached.lun or 0, path, True, offset, length)

        size = sizes.find(state.size)
        os_disk = next(mount(attached) for attached in state.disks if attached.lun is None)
        return MachineRequest(
            name=state.machine,
            kind="vm",
            fence=state.fence,
            hostname=state.hostname,
            os_disk=os_disk.path,
            data_disks=tuple(mount(attached) for attached in state.disks if attached.lun is not None),
            os_offset=os_disk.offset,
            os_size=os_disk.size,
            cores=float(size.cores) if size is not None else 1.0,
            memory_mib=size.memory_mib if size is not None else 1024,
            labels={"resource": resource.id},
        )

    async def stop(self, name: str) -> None:
        """Stop a machine and keep its temporary disk; it may be gone already. Raises EngineError."""
        (problem,) = await self._engine.delete([name], keep_storage=True)
        if problem is not None and not isinstance(problem, NotFound):
            raise problem

    async def destroy(self, name: str) -> None:
        """Remove a machine until the engine says there is none. Raises EngineError."""
        for _ in range(_GONE_TRIES):
            (problem,) = await self._engine.delete([name])
            if isinstance(problem, NotFound):
                return
            if problem is not None:
                raise problem
        raise Transient(f"the engine still does not say that machine {name} is gone")

    async def machines(self) -> dict[str, Machine]:
        """Build machines by name. Raises EngineError."""
        return {machine.name: machine for machine in await self._engine.machines() if machine.kind == "vm"}


def _volume(images: ImagePlane, name: str) -> tuple[int, int]:
    seen = images.inspect(name)
    return (0, 0) if seen.partition_table is None else (seen.partition_offset, seen.partition_size)


def _make(plane: ImagePlane, recipe: Recipe, progress: Progress) -> DiskInfo:
    images = plane.at(recipe.storage or DISK_TYPE_DEFAULT)
    if recipe.how == "empty":
        assert recipe.size_bytes is not None
        try:
            images.create_empty(recipe.name, recipe.size_bytes)
        except DiskExists:
            pass  # made before a crash
        try:
            return images.format_empty(recipe.name, "data")
        except DiskNotEmpty:
            return images.get(recipe.name)  # formatted before a crash
    if recipe.how in ("blank", "import"):
        assert recipe.size_bytes is not None
        try:
            if recipe.source is None:
                whole = -(-recipe.size_bytes // SECTOR_GRANULE_BYTES) * SECTOR_GRANULE_BYTES
                return images.create_empty(recipe.name, whole)
            return images.import_disk(recipe.name, recipe.source, recipe.size_bytes)
        except DiskExists:
            return images.get(recipe.name)
    if recipe.how in ("freeze", "correct"):
        assert recipe.source is not None
        copy = images.snapshot if recipe.how == "freeze" else images.correct
        try:
            return copy(recipe.source, recipe.name)
        except DiskExists:
            images.freeze(recipe.name)
            return images.get(recipe.name)
    source = recipe.source
    if recipe.how == "base":
        assert recipe.urn is not None
        source = images.ensure_base(MarketplaceImage(*recipe.urn), progress).name
    assert source is not None
    try:
        made = images.clone(source, recipe.name)
    except DiskExists:
        made = images.get(recipe.name)
    if recipe.size_bytes is not None and made.size_bytes < recipe.size_bytes:
        made = images.resize(recipe.name, recipe.size_bytes, grow_filesystem=True)
    return made


def image_digest(rows: Iterable[DiskRow]) -> str:
    """One digest for all disks of an image, in order of their names' ends (os, lun0, lun1, ...)."""
    whole = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row.name):
        whole.update(f"{row.name.rpartition('-')[2]} {row.digest} {row.size_bytes}\n".encode())
    return f"sha256:{whole.hexdigest()}"
