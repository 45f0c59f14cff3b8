"""Custom images in the stories, a managed one and a version of a gallery: deleted, also by force, and made again while
pools use them.

The real commands, planner, records and collector work on the shipped fake image plane. Only the loop that takes the
planner's steps is the simulation's own, since the service's runs on threads.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

from poolwright.commands import galleries, groups, images, resources
from poolwright.commands.context import Context
from poolwright.commands.resources import Outline
from poolwright.decide.resources import Bury, Forget, Inspect, MakeFile, RemoveFile, Settle, View, next_step
from poolwright.decide.snapshot import ImageMissing, ImagePreparing
from poolwright.domain.clock import MILLISECOND, SECOND, Clock, Instant
from poolwright.domain.compute import DiskState, ImageDiskSpec, ImageSpec, Recipe, VersionSpec
from poolwright.domain.facts import DirtyKey
from poolwright.domain.gallery import DEFINITION_OF
from poolwright.domain.pool import ImageReference, Pool
from poolwright.domain.resource import DiskRow
from poolwright.domain.resource_id import (
    DISKS,
    GALLERIES,
    GALLERY_IMAGES,
    GALLERY_VERSIONS,
    IMAGES,
    ResourceId,
)
from poolwright.domain.states import AllocationState, ResourceState
from poolwright.engines.base import Engine
from poolwright.images.base import MIN_DISK_BYTES, DiskBusy, DiskInfo, ImagePlaneError
from poolwright.images.fake import FakeImagePlane
from poolwright.reconcile import resources_record as record
from poolwright.reconcile.images import DiskSet
from poolwright.reconcile.pool_images import PoolImages
from poolwright.reconcile.resources_apply import Actor, image_digest
from poolwright.reconcile.resources_collect import collect
from poolwright.sim.host import Host
from poolwright.sim.virtual import Wait
from poolwright.store.base import Store, Tx

T = TypeVar("T")
_SUBSCRIPTION, _GROUP = "11111111-2222-4333-8444-555555555555", "sim"
_OUTLINE = Outline("local")
_FILE = "prepared"
DISK = ResourceId(_SUBSCRIPTION, _GROUP, DISKS, "prepared")
IMAGE = ResourceId(_SUBSCRIPTION, _GROUP, IMAGES, "golden")
_GALLERY = ResourceId(_SUBSCRIPTION, _GROUP, GALLERIES, "films")
_DEFINITION = ResourceId(_SUBSCRIPTION, _GROUP, GALLERY_IMAGES, "films/renderer")
VERSION = ResourceId(_SUBSCRIPTION, _GROUP, GALLERY_VERSIONS, "films/renderer/1.0.0")
_IDENTIFIER = b'{"publisher": "lab", "offer": "renderer", "sku": "stable"}'
_ABOUT = (
    b'{"osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "identifier": '
    + _IDENTIFIER
    + b"}"
)
#: What is deleted and made again, and how pools name it.
CUSTOM = (IMAGE, VERSION)
REFERENCES = tuple(ImageReference(image_id=id.text) for id in CUSTOM)
_ALL = DirtyKey("resources", "", "all")
_TRY_AGAIN = 2 * SECOND


class Plane(FakeImagePlane):
    """Disks in memory that cannot be removed while nodes of the host run on them."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host
        host.has_disk = self._has
        self.create_empty(_FILE, MIN_DISK_BYTES)

    def delete(self, name: str, *, missing_ok: bool = False) -> bool:
        if any(info.name == name and str(info.path) in self._host.disks_in_use for info in self.list()):
            raise DiskBusy(name, "nodes run on it")
        return super().delete(name, missing_ok=missing_ok)

    def names(self) -> set[str]:
        """Every file there is."""
        return {info.name for info in self.list()}

    def _has(self, path: str) -> bool:
        return not path.startswith("/fake/") or any(str(info.path) == path for info in self.list())


class SimImages:
    """Marketplace images are there, being made, or gone, as the story has it; the custom image is what its rows say."""

    def __init__(self, plane: Plane, clock: Clock) -> None:
        self.answer: DiskSet | ImagePreparing | ImageMissing = DiskSet("/image/os")
        self._custom = PoolImages(plane, clock)

    def disks_for(self, tx: Tx, pool: Pool) -> DiskSet | ImagePreparing | ImageMissing:
        return self._custom.disks_for(tx, pool) if pool.spec.image.image_id else self.answer

    def disks_of(self, tx: Tx, image: str) -> DiskSet | None:
        if image.startswith("/"):
            return self._custom.disks_of(tx, image)
        return self.answer if isinstance(self.answer, DiskSet) else None

    def prepare(self, pool: Pool) -> None:
        """It makes itself."""


class _Actor(Actor):
    """Image work that takes virtual time instead of a thread."""

    async def _in_thread(self, call: Callable[[], T]) -> T:
        await Wait(100 * MILLISECOND)
        return call()


class Builder:
    """Takes the steps of management resources, one a look, and collects what is left over."""

    def __init__(self, store: Store, plane: Plane, engine: Engine, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._actor = _Actor(plane, engine)
        self.handlers = {"resource": self._one, "resources": self._collect}

    def keys(self, tx: Tx) -> list[DirtyKey]:
        """What the periodic pass looks at."""
        left = any(row.owner.startswith(record.BURIED) for row in tx.resources.all_disks())
        keys = [DirtyKey("resource", "", resource.key) for resource in tx.resources.unsettled()]
        return [*keys, _ALL] if left else keys

    async def _one(self, key: DirtyKey) -> Instant | None:
        view = await self._store.read(lambda tx: record.view(tx, key.id, None, frozenset()))
        try:
            moved = view is not None and await self._take(view)
        except ImagePlaneError:
            return self._clock.now() + _TRY_AGAIN
        return self._clock.now() if moved else None

    async def _take(self, view: View) -> bool:
        write, actor, now, key = self._store.write, self._actor, self._clock.now, view.resource.key
        step = next_step(view)
        if isinstance(step, MakeFile):
            info: DiskInfo = await actor.make(step.recipe, lambda _stage, _share: None)
            await write(lambda tx: record.file_made(tx, now(), key, info))
        elif isinstance(step, Inspect):
            found, digest = await actor.inspect(step.name), image_digest(view.files)
            volumes = {row.name: await actor.volume(row.name) for row in view.files}
            await write(lambda tx: record.image_inspected(tx, now(), key, found, digest, volumes, ()))
        elif isinstance(step, RemoveFile):
            name = step.name
            await write(lambda tx: record.file_removing(tx, name))
            await actor.remove(name)
            await write(lambda tx: tx.resources.drop_disk(name))
        elif isinstance(step, Settle):
            state = step.state
            await write(lambda tx: record.settled(tx, now(), key, state, None))
        elif isinstance(step, Forget):
            await write(lambda tx: record.forgotten(tx, now(), key))
        elif isinstance(step, Bury):
            await write(lambda tx: record.buried(tx, now(), key))
        else:
            return False
        return True

    async def _collect(self, _: DirtyKey) -> Instant | None:
        await collect(self._store, self._actor, self._clock)
        return None


def begin(tx: Tx, ctx: Context) -> None:
    """A group with a prepared disk, and an image made of it."""
    groups.put(tx, ctx, _SUBSCRIPTION, _GROUP, _OUTLINE)
    state = DiskState(Recipe(_FILE, "empty"), size_bytes=MIN_DISK_BYTES)
    disk = resources.new(ctx, DISK, "local", _OUTLINE, state)
    resources.insert(tx, ctx, disk)
    tx.resources.put_disk(DiskRow(_FILE, DISK.key, "data", "ready", None, MIN_DISK_BYTES))
    resources.move(tx, ctx, disk, ResourceState.SUCCEEDED)
    nested = [(DEFINITION_OF, _GALLERY.key)]
    for id, outline, parents in (
        (_GALLERY, _OUTLINE, []),
        (_DEFINITION, Outline("local", document=_ABOUT), nested),
    ):
        there = resources.new(ctx, id, "local", outline, None)
        resources.insert(tx, ctx, there, parents)
        resources.move(tx, ctx, there, ResourceState.SUCCEEDED)
    for id in CUSTOM:
        make(tx, ctx, id)


def make(tx: Tx, ctx: Context, id: ResourceId) -> str:
    """Make the image or the version, unless it is there."""
    disk = ImageDiskSpec(None, DISK.text)
    if id.type == GALLERY_VERSIONS:
        galleries.put_version(tx, ctx, id, _OUTLINE, VersionSpec(os_disk=disk))
        return "made a version"
    images.put(tx, ctx, id, _OUTLINE, ImageSpec(os_disk=disk))
    return "made"


def missing(tx: Tx) -> list[ResourceId]:
    """Of what pools use, what is gone."""
    return [id for id in CUSTOM if tx.resources.get(id.key) is None]


def order(tx: Tx, ctx: Context, rng: Random) -> str:
    """Delete the image or the version, half the time by force; make it again when it is gone."""
    id = rng.choice(CUSTOM)
    if tx.resources.get(id.key) is None:
        return make(tx, ctx, id)
    force = rng.random() < 0.5
    used = len(tx.pools.with_image(id.key))
    version = id.type == GALLERY_VERSIONS
    (galleries if version else images).delete(tx, ctx, id, force)
    said = f"deleted{' by force' if force else ''}{' while pools use it' if used else ''}"
    return f"{said}, a version" if version else said


def stuck(tx: Tx, plane: Plane, host: Host) -> list[str]:
    """What should have come to rest: resources under way, files that nobody uses, pools that say no reason."""
    said = [f"{resource.name} is {resource.state.value}" for resource in tx.resources.unsettled()]
    rows = {row.name: row for row in tx.resources.all_disks()}
    paths = {info.name: str(info.path) for info in plane.list()}
    for name, path in paths.items():
        row = rows.get(name)
        if (row is None or row.owner.startswith(record.BURIED)) and path not in host.disks_in_use:
            said.append(f"file {name} of {row.owner if row else 'nobody'} is left over")
    said += [f"file {name} of {row.owner} is lost" for name, row in rows.items() if name not in paths]
    for pool in (pool for id in CUSTOM for pool in tx.pools.with_image(id.key)):
        wanted = pool.target_dedicated + pool.target_low_priority
        have = sum(tx.nodes.counts(pool.account, pool.id).values())
        if pool.allocation is AllocationState.STEADY and have < wanted and not pool.resize_errors:
            said.append(f"pool {pool.id} has {have} of {wanted} nodes and does not say why")
    return said


class ImagesStay:
    """A file that nodes run on is never removed."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def check(self, _: object) -> list[str]:
        return [
            f"nodes run on {path}, which is gone"
            for path in self._host.disks_in_use
            if not self._host.has_disk(path)
        ]
