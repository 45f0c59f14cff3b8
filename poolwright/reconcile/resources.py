"""The loop of management resources: look at one, take its next step, look again, until it rests or must wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from poolwright.decide.resources import (
    BootMachine,
    Bury,
    Done,
    Fail,
    FailScript,
    Forget,
    Inspect,
    MakeFile,
    Reboot,
    RemoveFile,
    RemoveMachine,
    Seen,
    Settle,
    StartScript,
    Step,
    StopMachine,
    View,
    Wait,
    next_step,
    script_steps,
)
from poolwright.domain.clock import DAY, SECOND, Clock, Ids
from poolwright.domain.compute import machine_state
from poolwright.domain.resource_id import MACHINES
from poolwright.domain.states import ResourceState
from poolwright.engines.base import (
    Engine,
    EngineError,
    Machine,
    NoCapacity,
    QuotaExceeded,
    Rejected,
    Transient,
)
from poolwright.images.base import (
    BuildFailed,
    DiskBusy,
    DiskFrozen,
    DiskNotFound,
    ImagePlane,
    ImagePlaneError,
    InvalidDiskArgument,
    NoSpace,
    UnsupportedImage,
)
from poolwright.reconcile import resources_record as record
from poolwright.reconcile.resources_apply import Actor, Commander, image_digest
from poolwright.reconcile.resources_collect import collect
from poolwright.reconcile.resources_runs import Runs
from poolwright.reconcile.resources_scripts import Scripts
from poolwright.store.base import Store

_LOG = logging.getLogger(__name__)
_STEPS_MAX = 500  # steps of one run: an image has at most 65 disks, a step each to make and to remove
_TRIES_MAX = 12  # tries of a creation that may yet succeed; with the delays below about two minutes
_FIRST_DELAY_S = 0.2
_LAST_DELAY_S = 30.0
_AT_ONCE = 16  # runs at the same time; image work among them is bounded by its threads
PATIENCE_S = 0.25  # how long a caller waits for runs, so that short ones are done when it returns
_PROGRESS_EVERY = SECOND
KEEP_OPERATIONS = 7 * DAY  # how long clients may ask for the outcome of an operation

#: Errors that no repetition cures, with the code the caller sees.
_HOPELESS: tuple[tuple[type[Exception], str], ...] = (
    (NoSpace, "InsufficientStorage"),
    (DiskNotFound, "SourceDiskNotFound"),
    (UnsupportedImage, "ImageNotSupported"),
    (BuildFailed, "ImageBuildFailed"),
    (InvalidDiskArgument, "InvalidParameter"),
    (DiskFrozen, "InternalDiskError"),
    (Rejected, "VMStartRejected"),
    (QuotaExceeded, "OperationNotAllowed"),
)
_PERHAPS: tuple[type[Exception], ...] = (
    DiskBusy,
    NoCapacity,
    Transient,
    EngineError,
    ImagePlaneError,
    OSError,
)


class ResourceReconciler:
    """Brings management resources to where their rows want them. One run a key at a time; any number of keys.

    Runs go on beside the caller, since copying a disk may take minutes, and come again by themselves after a passing
    fault. They may be cancelled or killed at any point: the next run finds what was done.
    """

    def __init__(
        self, store: Store, images: ImagePlane, engine: Engine, commander: Commander, clock: Clock, ids: Ids
    ) -> None:
        self._store = store
        self._actor = Actor(images, engine)
        self._clock = clock
        self._ids = ids
        self._scripts = Scripts(store, commander, clock)
        self._tries: dict[str, int] = {}
        self._runs = Runs(self._run, _AT_ONCE)

    async def close(self) -> None:
        """Stop all runs and scripts (whose outcome will be called unknown) and let go of the threads."""
        await self._runs.close()
        await self._scripts.close()
        self._actor.close()

    async def run_key(self, key: str) -> float | None:
        """Work on one resource (`key`: its lower-case id) until it rests; returns sooner if that takes long.

        Returns after how many seconds to come again: always None, for what must be tried again is, without being asked.
        Raises what the run raised, if it has ended.
        """
        await self._runs.wait([key.lower()], PATIENCE_S)
        return None

    async def pass_all(self) -> None:
        """Work on everything not at rest, see that machines that should run do, and forget old operations."""
        now = self._clock.now()
        keys = {resource.key for resource in await self._store.read(lambda tx: tx.resources.unsettled())}
        keys |= await self._lost_machines()
        await self._runs.wait(sorted(keys), PATIENCE_S)
        await self._store.write(lambda tx: tx.resources.prune_operations(now - KEEP_OPERATIONS))

    async def _run(self, key: str) -> float | None:
        for _ in range(_STEPS_MAX):
            try:
                view = await self._look(key)
                if view is None:
                    self._tries.pop(key, None)
                    return None
                await self._take_scripts(view)
                step = next_step(view)
                if isinstance(step, (Done, Wait)):
                    self._tries.pop(key, None)
                    if isinstance(step, Wait):
                        await self._tell(view, step.reason)
                    return None
                await self._take(view, step)
            except _PERHAPS as error:
                delay = await self._trouble(key, error)
                if delay is not None:
                    return delay
            else:
                self._tries.pop(key, None)
        _LOG.warning("resource %s: still not at rest after %d steps", key, _STEPS_MAX)
        return _LAST_DELAY_S

    async def _look(self, key: str) -> View | None:
        kind = await self._store.read(lambda tx: tx.resources.get(key))
        if kind is None:
            return None
        seen = None
        if kind.type == MACHINES:
            machine = (await self._actor.machines()).get(machine_state(kind.inner).machine)
            seen = None if machine is None else _seen(machine)
        live = self._scripts.live
        return await self._store.read(lambda tx: record.view(tx, key, seen, live))

    async def _take(self, view: View, step: Step) -> None:
        """Take one step and write down that it was taken."""
        key, now = view.resource.key, self._clock.now
        if isinstance(step, MakeFile):
            info = await self._actor.make(step.recipe, self._progress(view))
            await self._store.write(lambda tx: record.file_made(tx, now(), key, info))
        elif isinstance(step, RemoveFile):
            await self._store.write(lambda tx: record.file_removing(tx, step.name))
            await self._actor.remove(step.name)
            await self._store.write(lambda tx: tx.resources.drop_disk(step.name))
        elif isinstance(step, Inspect):
            found, digest = await self._actor.inspect(step.name), image_digest(view.files)
            volumes = {row.name: await self._actor.volume(row.name) for row in view.files}
            findings = await self._actor.lint(step.name)
            await self._store.write(
                lambda tx: record.image_inspected(tx, now(), key, found, digest, volumes, findings)
            )
        elif isinstance(step, (BootMachine, StopMachine, RemoveMachine)):
            await self._take_machine(view, step)
        elif isinstance(step, Reboot):
            _LOG.warning("resource %s: booting again, because %s", key, step.reason)
            await self._store.write(lambda tx: record.rebooting(tx, now(), key, step.reason))
        elif isinstance(step, Fail):
            _LOG.warning("resource %s: %s: %s", key, step.code, step.message)
            await self._store.write(lambda tx: record.failed(tx, now(), key, step.code, step.message))
        elif isinstance(step, Settle):
            await self._settle(view, step.state)
        elif isinstance(step, Forget):
            await self._store.write(lambda tx: record.forgotten(tx, now(), key))
        elif isinstance(step, Bury):
            await self._store.write(lambda tx: record.buried(tx, now(), key))

    async def _take_machine(self, view: View, step: BootMachine | StopMachine | RemoveMachine) -> None:
        resource = view.resource
        state = machine_state(resource.inner)
        if isinstance(step, BootMachine):
            await self._actor.boot(resource, state, view.disks)
        elif isinstance(step, StopMachine):
            await self._scripts.stop(_script_ids(view))
            await self._actor.stop(state.machine)
        else:
            await self._scripts.stop(_script_ids(view))
            await self._actor.destroy(state.machine)
            await self._store.write(lambda tx: record.machine_gone(tx, self._clock.now(), resource.key))

    async def _settle(self, view: View, state: ResourceState) -> None:
        machine: Machine | None = None
        if view.resource.type == MACHINES:
            name = machine_state(view.resource.inner).machine
            machine = (await self._actor.machines()).get(name)
        key, now = view.resource.key, self._clock.now()
        await self._store.write(lambda tx: record.settled(tx, now, key, state, machine))

    async def _take_scripts(self, view: View) -> None:
        for step in script_steps(view):
            if isinstance(step, StartScript):
                machine = machine_state(view.resource.inner).machine
                await self._scripts.start(step.operation, machine)
            elif isinstance(step, FailScript):
                await self._scripts.fail(step.operation, step.code, step.message)

    async def _trouble(self, key: str, error: Exception) -> float | None:
        """What to do about an error: fail the resource (None: look again at once) or come again later."""
        resource = await self._store.read(lambda tx: tx.resources.get(key))
        making = resource is not None and resource.error is None and _is_making(resource.state)
        code = next((code for kind, code in _HOPELESS if isinstance(error, kind)), None)
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        if making and (code is not None or tries >= _TRIES_MAX):
            if code is None:
                code = "AllocationFailed" if isinstance(error, NoCapacity) else "OperationTimedOut"
            why, now = f"{error}", self._clock.now()
            _LOG.warning("resource %s: failed: %s: %s", key, code, why)
            await self._store.write(lambda tx: record.failed(tx, now, key, code, why))
            self._tries.pop(key, None)
            return None
        delay: float = min(_FIRST_DELAY_S * 2.0 ** min(tries - 1, 20), _LAST_DELAY_S)
        if isinstance(error, (NoCapacity, Transient)):
            delay = min(max(delay, error.retry_after_s or 0.0), _LAST_DELAY_S)
        _LOG.info("resource %s: try %d: %s; again in %.1f s", key, tries, error, delay)
        reason = f"{error} (try {tries}, again in {delay:.1f} s)"
        await self._store.write(lambda tx: record.waiting(tx, key, reason))
        return delay

    async def _tell(self, view: View, reason: str) -> None:
        key = view.resource.key
        if any(operation.result is None for operation in view.operations):
            await self._store.write(lambda tx: record.waiting(tx, key, reason))

    def _progress(self, view: View) -> Callable[[str, float], None]:
        """A progress call that may come from any thread; writes the newest word at most once a second."""
        key, loop = view.resource.key, asyncio.get_running_loop()
        told_at, told = 0, ""

        def tell(stage: str, fraction: float) -> None:
            nonlocal told_at, told
            now = self._clock.now()
            if (stage == told and now - told_at < _PROGRESS_EVERY) or loop.is_closed():
                return
            told_at, told = now, stage
            _LOG.info("resource %s: %s (%d %%)", key, stage, round(100 * fraction))
            asyncio.run_coroutine_threadsafe(self._write_progress(key, stage, fraction), loop)

        return tell

    async def _write_progress(self, key: str, stage: str, fraction: float) -> None:
        await self._store.write(lambda tx: record.progress(tx, key, stage, fraction))

    async def _lost_machines(self) -> set[str]:
        """Keys of settled machines that the engine does not show as they should be."""
        try:
            machines = await self._actor.machines()
        except EngineError as error:
            _LOG.info("the engine's machines are not known now: %s", error)
            return set()
        lost = set()
        for resource in await self._store.read(record.settled_machines):
            machine = machines.get(machine_state(resource.inner).machine)
            view = View(resource, seen=None if machine is None else _seen(machine))
            if not isinstance(next_step(view), Done):
                lost.add(resource.key)
        return lost

    async def collect(self) -> list[str]:
        """Compare image plane and engine with the rows, both ways. Returns what was found, in words."""
        return await collect(self._store, self._actor, self._clock)


def _is_making(state: ResourceState) -> bool:
    return state in (ResourceState.CREATING, ResourceState.UPDATING)


def _seen(machine: Machine) -> Seen:
    return Seen(machine.state, machine.fence, "; ".join(machine.notes))


def _script_ids(view: View) -> list[str]:
    return [operation.id for operation in view.operations if operation.verb == "runCommand"]
