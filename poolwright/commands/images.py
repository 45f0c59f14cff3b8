"""Managed images: an OS disk and data disks, frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from poolwright.commands import resources
from poolwright.commands.context import Context
from poolwright.commands.disks import check_quiet, record_file
from poolwright.commands.image_sources import source_image
from poolwright.commands.resources import Accepted, Outline, bad, conflict
from poolwright.domain.compute import (
    GIB,
    ImageDisk,
    ImageDiskSpec,
    ImageSpec,
    ImageState,
    Recipe,
    disk_state,
    image_state,
    machine_state,
)
from poolwright.domain.errors import ManagementError
from poolwright.domain.gallery import IMAGE_OF, latest, names_of, versions
from poolwright.domain.pool import Pool
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import DISKS, GALLERY_VERSIONS, MACHINES, SNAPSHOTS, ResourceId
from poolwright.domain.states import PowerState, ResourceState
from poolwright.store.base import Tx

LUN_MAX = 63  # public range 0..63
_NAMED_MAX = 20  # pools named in the sentence of an error
_DETAILS_MAX = 1000  # pools listed in its details


@dataclass(frozen=True, slots=True)
class Source:
    """One disk an image is made from. `lun` is None for the OS disk."""

    lun: int | None
    resource: Resource
    file: str
    size_bytes: int
    caching: str
    storage_type: str


def put(tx: Tx, ctx: Context, id: ResourceId, outline: Outline, spec: ImageSpec) -> Accepted:
    """Make an image from snapshots, disks or a generalized machine; of an existing image only tags change.

    Raises ManagementError 400, 404 or 409 as the sources demand.
    """
    id, location = resources.check_place(tx, id, outline)
    existing = tx.resources.get(id.key)
    if existing is not None and existing.state is not ResourceState.FAILED:
        under_way = resources.joined(tx, existing, outline)
        if under_way is not None:
            return under_way
        resources.check_not_busy(existing)
        resources.check_same_place(existing, location)
        _check_same_sources(tx, existing, spec)
        return Accepted(resources.set_tags(tx, ctx, existing, outline.tags))
    state, origin = _made_from(tx, ctx, spec)
    resources.clear_failed(tx, existing)
    return insert(tx, ctx, resources.new(ctx, id, location, outline, state), state, origin)


def _made_from(tx: Tx, ctx: Context, spec: ImageSpec) -> tuple[ImageState, list[str]]:
    if spec.corrected_from is not None:
        return _corrected(tx, ctx, spec.corrected_from)
    sources, origin = _from_machine(tx, spec.machine_id) if spec.machine_id else _from_disks(tx, spec)
    return replace(frozen_state(ctx, sources), generation=spec.generation), origin


def _corrected(tx: Tx, ctx: Context, id: str) -> tuple[ImageState, list[str]]:
    """A copy of an image whose OS disk is corrected: what is frozen is never written again, so it is another image."""
    source = source_image(tx, "properties.poolwright.correctedFrom", id)
    sources, origin = image_sources(tx, source)
    made, known = frozen_state(ctx, sources), image_state(source.inner)
    system, *data = made.recipes
    recipes = (replace(system, how="correct"), *data)
    return replace(made, recipes=recipes, generation=known.generation, fixed=known.findings), origin


def image_sources(tx: Tx, image: Resource) -> tuple[list[Source], list[str]]:
    """The disks of an image, and the keys of all they come from: what the image was made from as well, so that this
    stays known when the image is gone."""
    state = image_state(image.inner)
    disks = [Source(None, image, state.os_disk, state.os_size, "ReadWrite", state.os_storage)]
    disks += [
        Source(disk.lun, image, disk.name, disk.size, disk.caching, disk.type) for disk in state.data_disks
    ]
    below = [edge.parent for edge in tx.resources.parents(image.key) if edge.kind == IMAGE_OF]
    return disks, [image.key, *below]


def insert(
    tx: Tx,
    ctx: Context,
    resource: Resource,
    state: ImageState,
    origin: Sequence[str],
    parents: Sequence[tuple[str, str]] = (),
) -> Accepted:
    """Write a new image or version with its files to be made. `origin` are the keys of what its bytes come from."""
    resources.insert(tx, ctx, resource, [*((IMAGE_OF, key) for key in origin), *parents])
    for recipe in state.recipes:
        record_file(tx, resource, recipe, "image")
    return Accepted(resource, True, resources.start_operation(tx, ctx, resource, "create"))


def frozen_state(ctx: Context, sources: Sequence[Source]) -> ImageState:
    """The state of an image whose disks are frozen copies of these, the OS disk first."""
    stem = f"i-{ctx.ids.short()}"
    recipes = tuple(
        Recipe(
            f"{stem}-{'os' if source.lun is None else f'lun{source.lun}'}",
            "freeze",
            source.file,
            storage=source.storage_type,
        )
        for source in sources
    )
    data = tuple(
        ImageDisk(source.lun, recipe.name, source.size_bytes, source.caching, source.storage_type)
        for source, recipe in zip(sources, recipes, strict=True)
        if source.lun is not None
    )
    system = sources[0]
    return ImageState(recipes[0].name, recipes, data, system.size_bytes, os_storage=system.storage_type)


def _from_disks(tx: Tx, spec: ImageSpec) -> tuple[list[Source], list[str]]:
    if spec.os_disk is None:
        raise bad(
            "properties.storageProfile.osDisk",
            "null",
            "An image is made from an OS disk or from a source virtual machine.",
        )
    if spec.os_state != "Generalized":
        text = "A managed image holds a generalized operating system."
        raise bad("properties.storageProfile.osDisk.osState", spec.os_state, text)
    check_luns("properties.storageProfile.dataDisks", [disk.lun for disk in spec.data_disks])
    sources = [
        disk_source(tx, disk, "osDisk" if disk.lun is None else f"dataDisks[lun {disk.lun}]")
        for disk in (spec.os_disk, *spec.data_disks)
    ]
    return sources, list(dict.fromkeys(source.resource.key for source in sources))


def disk_source(tx: Tx, spec: ImageDiskSpec, place: str) -> Source:
    """The snapshot or disk a body names in `properties.storageProfile.{place}`. Raises 400, 404, 409."""
    target = f"properties.storageProfile.{place}"
    source = resources.referred(tx, target, spec.source_id, (SNAPSHOTS, DISKS))
    check_quiet(tx, source)
    state = disk_state(source.inner)
    if spec.size_gib is not None and spec.size_gib * GIB < state.size_bytes:
        raise bad(
            f"{target}.diskSizeGB", spec.size_gib, f"The source has {state.size_bytes} bytes, which is more."
        )
    storage_type = spec.storage_type or source.sku or "Standard_LRS"
    return Source(spec.lun, source, state.recipe.name, state.size_bytes, spec.caching, storage_type)


def _from_machine(tx: Tx, machine_id: str) -> tuple[list[Source], list[str]]:
    target = "properties.sourceVirtualMachine.id"
    return machine_sources(tx, resources.referred(tx, target, machine_id, (MACHINES,)), target)


def machine_sources(
    tx: Tx, machine: Resource, target: str, generalized: bool = True
) -> tuple[list[Source], list[str]]:
    """The disks of a stopped machine, and the keys of all they come from. 409 when it runs or is not generalized."""
    state = machine_state(machine.inner)
    if generalized and not state.generalized:
        raise conflict(
            f"The virtual machine '{machine.id}' is not generalized; generalize it before making an image of it.",
            target=target,
        )
    if state.power not in (PowerState.STOPPED, PowerState.DEALLOCATED):
        raise conflict(
            f"The virtual machine '{machine.id}' is {state.power}; deallocate it first.", target=target
        )
    sources = []
    for attached in sorted(state.disks, key=lambda disk: -1 if disk.lun is None else disk.lun):
        disk = resources.referred(tx, target, attached.disk, (DISKS,))
        inner = disk_state(disk.inner)
        storage_type = disk.sku or "Standard_LRS"
        sources.append(
            Source(attached.lun, disk, inner.recipe.name, inner.size_bytes, attached.caching, storage_type)
        )
    # The bond with the disks keeps them unwritten while the copies are made.
    return sources, [machine.key, *(source.resource.key for source in sources)]


def check_luns(target: str, luns: list[int | None]) -> None:
    """400 unless every data disk has its own number from 0 to 63 (public rule)."""
    seen: set[int] = set()
    for index, lun in enumerate(luns):
        if lun is None or not 0 <= lun <= LUN_MAX:
            raise bad(f"{target}[{index}].lun", lun, f"A logical unit number lies from 0 to {LUN_MAX}.")
        if lun in seen:
            raise bad(f"{target}[{index}].lun", lun, "Two data disks have the same number.")
        seen.add(lun)


def _check_same_sources(tx: Tx, existing: Resource, spec: ImageSpec) -> None:
    origins = {edge.parent for edge in tx.resources.parents(existing.key)}
    named = [id for id in (spec.machine_id, spec.corrected_from) if id]
    named += [disk.source_id for disk in (spec.os_disk, *spec.data_disks) if disk is not None]
    for source in named:
        if source.lower() not in origins:
            raise conflict(
                f"The image '{existing.id}' exists already; what it is made from cannot be changed."
            )


def users(tx: Tx, image: Resource) -> list[Pool]:
    """Pools of any account that need the image: those that name it and, of a version, those of its definition that
    have nodes made from it or no other version to fall back to."""
    found = list(tx.pools.with_image(image.key))
    if image.type != GALLERY_VERSIONS:
        return found
    definition = names_of(image)[1]
    others = [version for version in versions(tx.resources, definition) if version.key != image.key]
    alone = latest(others) is None
    return found + [
        pool
        for pool in tx.pools.with_image(definition)
        if alone or any(node.image == image.id for node in tx.nodes.of_pool(pool.account, pool.id))
    ]


def check_unused(tx: Tx, image: Resource, ignore_accounts: frozenset[str] = frozenset()) -> None:
    """409 naming the pools that need the image; pools of `ignore_accounts` (lower case) do not count."""
    refuse_used(image, [pool for pool in users(tx, image) if pool.account.lower() not in ignore_accounts])


def refuse_used(image: Resource, pools: Sequence[Pool]) -> None:
    """409 naming these pools, when there are any."""
    if not pools:
        return
    names = [f"{pool.account}/{pool.id}" for pool in pools]
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    raise ManagementError(
        409,
        "ImageInUse",
        f"The image '{image.id}' cannot be deleted while pools use it: {', '.join(names[:_NAMED_MAX])}{more}. Delete "
        "these pools first, or repeat the request with forceDeletion=true, after which they can no longer grow.",
        image.id,
        [("PoolUsesImage", name, "This pool is made from the image.") for name in names[:_DETAILS_MAX]],
    )


def delete(tx: Tx, ctx: Context, id: ResourceId, force: bool = False) -> Accepted | None:
    """Begin to delete an image; None when there is none. 409 naming the pools that use it, unless forced."""
    existing = tx.resources.get(id.key)
    if existing is None:
        return None
    if not force:
        check_unused(tx, existing)
    resources.check_readers(tx, existing, "delete it")
    return resources.begin_delete(tx, ctx, existing, replace(image_state(existing.inner), force=force))


def patch(tx: Tx, ctx: Context, id: ResourceId, tags: tuple[tuple[str, str], ...] | None) -> Resource:
    """Change tags."""
    return resources.set_tags(tx, ctx, resources.check_not_busy(resources.get(tx, id)), tags)
