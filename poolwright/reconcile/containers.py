"""Container images onto nodes, and what a node's agent is told of a task's container.

Nothing is stored of what a node has: the worker sees whether the machine was shown an image in its present life, and
what it said is remembered, so that most tasks start without asking it. The name of an image is looked up once in a life
of a node, so its tasks do not change when a tag moves on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from poolwright.domain.containers import (
    INVALID_IMAGE,
    INVALID_REGISTRY,
    MISC_ERROR,
    ContainerSettings,
    PoolContainers,
    container_id,
    read_image_name,
    registry_for,
)
from poolwright.domain.node import is_simulated
from poolwright.reconcile.environment import ROOT, STARTUP
from poolwright.reconcile.fleet import Json
from poolwright.reconcile.installs import Doer
from poolwright.store.base import Store, Tx

#: Where the directories are that tasks name; those of the task and of its job's preparation are told by variables.
_PLACES = {
    "Shared": f"{ROOT}/shared",
    "Startup": f"{ROOT}/{STARTUP}",
    "VfsMounts": f"{ROOT}/fsmounts",
    "Applications": f"{ROOT}/applications",
}
_VARIABLES = {"Task": "AZ_BATCH_TASK_DIR", "JobPrep": "AZ_BATCH_JOB_PREP_DIR"}
#: Failures that are counted under their own code.
_COUNTED = frozenset({INVALID_IMAGE, INVALID_REGISTRY, MISC_ERROR, "DiskFull"})
_CUT_OFF = frozenset({"stopped", "gone"})
T = TypeVar("T")
_REMEMBERED_MAX = 20_000
_IMAGES = ".images"  # tells the worker's jobs for one machine apart; nothing is written there


class ContainerRuntime(Protocol):
    """The program that runs containers on nodes, whatever their image has."""

    async def bring(self) -> str | None:
        """See that nodes have it; returns why they cannot."""
        ...


class _NoRuntime:
    async def bring(self) -> str | None:
        return "no engine of this service runs containers"


def _uncounted(_: str, __: int, ___: float) -> None:
    """For who has no meter."""


def _unseen(_: str) -> None:
    """For who sees no pulls."""


@dataclass(frozen=True, slots=True)
class ContainerHost:
    """What a host has for containers: the runtime, the directory of its store of images, the bytes that store may have,
    and those of its disk that images leave free. `count` is told of each request for an image on a node: how it ended
    (`pulled`, `present` on the host or the node, a failure code, `other`, `stopped`, `gone` with the node), bytes that
    were pulled, and seconds. `progress` tells of an image being pulled how many bytes are there, and of how many; None
    when it is not."""

    runtime: ContainerRuntime = field(default_factory=_NoRuntime)
    images: str = ""
    bound: int = 0
    kept_free: int = 0
    count: Callable[[str, int, float], None] = _uncounted
    progress: Callable[[str], tuple[int, int] | None] = _unseen


class Containers:
    """Images under way. `do` carries a job to the node's host."""

    def __init__(self, store: Store, do: Doer, host: ContainerHost) -> None:
        self._store = store
        self._do = do
        self._runtime = host.runtime
        self._host = host
        #: One machine at a time for an image: the first pulls it, and the others find it on the host. And one request
        #: at a time for an image on one machine.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._pulled: set[str] = set()
        self._shown: set[tuple[str, int, str]] = set()  # (machine, fence, key): an image stays for its life

    async def of_node(self, machine: str, fence: int, pool: PoolContainers) -> Json | None:
        """Bring the runtime and the images of the pool; the outcome of the first that fails, or of the last."""
        if is_simulated(machine):
            return {"ok": True}
        problem = await self._runtime.bring()
        if problem is not None:
            return _failed(MISC_ERROR, f"The container runtime cannot be brought: {problem}")
        outcome: Json | None = {"ok": True}
        for image in pool.images:
            outcome = await self._show(machine, fence, image, None, pool)
            if outcome is None or not outcome.get("ok"):
                break
        return outcome

    async def of_task(self, item: Json) -> Json | None:
        """Bring the image of a task that is to be started: the outcome."""
        settings: ContainerSettings = item["container"]

        def query(tx: Tx) -> PoolContainers | None:
            node = tx.nodes.by_machine(item["machine"])
            pool = None if node is None else tx.pools.get(node.account, node.pool)
            return None if pool is None else pool.spec.containers

        if self._has(item["machine"], item["fence"], settings.image):
            return {"ok": True}
        pool = await self._store.read(query)
        return await self._show(
            item["machine"], item["fence"], settings.image, settings, pool or PoolContainers()
        )

    def _turn(self, what: str) -> asyncio.Lock:
        return self._turns.setdefault(what, asyncio.Lock())

    def _has(self, machine: str, fence: int, image: str) -> bool:
        return (machine, fence, read_image_name(image).key) in self._shown

    def progress(self, images: Sequence[str]) -> str:
        """How far pulls of these are, in words; nothing when none is under way."""
        seen = ((image, self._host.progress(image)) for image in images)
        told = [f"{image}: {one[0]} of {one[1]} bytes are pulled" for image, one in seen if one is not None]
        return f" ({'; '.join(told)})" if told else ""

    def ready(self, item: Json) -> Json | None:
        """The start of a task as it is sent, where all that it needs is known to be on its node; else None."""
        settings: ContainerSettings | None = item.get("container")
        if settings is None or item["fetch"] or "packages" in item or "refusal" in item:
            return None
        if not self._has(item["machine"], item["fence"], settings.image):
            return None
        container, _ = agents_container(item["exec"], settings, item["env"])
        left = {key: value for key, value in item.items() if key != "fetch"}
        return None if container is None else {**left, "container": container}

    async def _show(
        self,
        machine: str,
        fence: int,
        image: str,
        settings: ContainerSettings | None,
        pool: PoolContainers,
    ) -> Json | None:
        name = read_image_name(image)
        registry = registry_for(name, settings, pool)
        order: dict[str, Any] = {
            "kind": "image",
            "dir": f"{_IMAGES}/{name.key}",
            "image": str(name),
            "store": self._host.images,
            "bound": self._host.bound,
            "kept_free": self._host.kept_free,
        }
        if registry is not None:
            order |= {"username": registry.username, "password": registry.password}
        async with self._turn(
            f"{machine} {name}"
        ):  # who asks with other credentials is not answered by theirs
            if self._has(machine, fence, image):
                return {"ok": True}
            async with contextlib.nullcontext() if name.key in self._pulled else self._turn(str(name)):
                outcome = await self._ask(machine, fence, f"i{machine}.{fence}.{name.key}", order, image)
        if outcome is None:
            return None
        if outcome.get("ok"):
            _remember(self._pulled, name.key)
            _remember(self._shown, (machine, fence, name.key))
            return outcome
        said = f"The container image {image} cannot be brought to the node: {outcome.get('message')}"
        return {**outcome, "message": said}

    async def _ask(self, machine: str, fence: int, name: str, order: Json, image: str) -> Json | None:
        clock = asyncio.get_running_loop().time
        begun, how, size = clock(), "stopped", 0
        try:
            outcome = await self._do(machine, fence, name, order)
            how, size = _ending(outcome)
            return outcome
        finally:
            if not is_simulated(machine):
                if how in _CUT_OFF and (there := self._host.progress(image)) is not None:
                    size = there[0]  # nobody told: what lies there was received
                self._host.count(how, size, clock() - begun)


def _ending(outcome: Json | None) -> tuple[str, int]:
    """How a request for an image ended, and the bytes that were pulled."""
    if outcome is None:
        return "gone", 0
    size = int(outcome.get("bytes") or 0)
    if outcome.get("ok"):
        return ("present" if outcome.get("reused") else "pulled"), size
    code = str(outcome.get("code"))
    return (code if code in _COUNTED else "other"), size


def _remember(known: set[T], one: T) -> None:
    if len(known) >= _REMEMBERED_MAX:
        known.clear()  # whoever was forgotten is asked about once more
    known.add(one)


def agents_container(
    execution: str, settings: ContainerSettings, variables: Mapping[str, str]
) -> tuple[Json | None, str]:
    """What a node's agent is told of the container (agent/bundle.py), or why there can be none."""
    options = settings.options
    mounts: list[list[Any]] | None = None
    if settings.mounts is not None:
        mounts = []
        for mount in settings.mounts:
            path = _PLACES.get(mount.source) or variables.get(_VARIABLES.get(mount.source, ""))
            if path is None:
                return None, f"containerHostBatchBindMounts: {mount.source}: the job has no preparation task."
            mounts.append([path, mount.read_only])
    told: dict[str, Any] = {
        "id": container_id(execution),
        "image": read_image_name(settings.image).key,
        "image_directory": settings.image_directory,
        "mounts": mounts,
        "work_dir": options.work_dir,
        "user": options.user,
        "entrypoint": options.entrypoint,
        "hostname": options.hostname,
        "read_only": options.read_only,
        "shares_ipc": options.shares_ipc,
        "unconfined": options.unconfined,
        "environment": [list(pair) for pair in options.environment],
        "volumes": [[v.target, v.source, v.read_only, v.size_bytes] for v in options.volumes],
        "limits": [list(limit) for limit in options.limits],
        "shm_bytes": options.shm_bytes,
    }
    return told, ""


def _failed(code: str, message: str) -> Json:
    return {"ok": False, "code": code, "message": message, "details": []}
