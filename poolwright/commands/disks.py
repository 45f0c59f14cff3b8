"""Managed disks and snapshots."""

from __future__ import annotations

from dataclasses import replace

from poolwright.commands import disk_access, resources
from poolwright.commands.context import Context
from poolwright.commands.image_sources import source_image
from poolwright.commands.platform_images import offering
from poolwright.commands.resources import Accepted, Outline, bad, conflict
from poolwright.domain.compute import (
    GIB,
    DiskSpec,
    DiskState,
    MachineState,
    Moved,
    Recipe,
    disk_state,
    image_state,
    machine_state,
)
from poolwright.domain.marketplace import Catalogue
from poolwright.domain.resource import DiskRow, Resource
from poolwright.domain.resource_id import DISKS, SNAPSHOTS, ResourceId
from poolwright.domain.states import PowerState, ResourceState
from poolwright.domain.storage import DISK_TYPE_DEFAULT, class_directory
from poolwright.store.base import Tx

_QUIET = frozenset({PowerState.STOPPED.value, PowerState.DEALLOCATED.value})
SIZE_GIB_MAX = 32_767  # the public limit of a managed disk


def put(
    tx: Tx, ctx: Context, id: ResourceId, outline: Outline, spec: DiskSpec, catalogue: Catalogue
) -> Accepted:
    """Make a disk or snapshot, or change the tags and SKU of one that exists.

    Raises ManagementError: 400 for bad values, 404 for missing group or source, 409 when the source is in use.
    """
    id, location = resources.check_place(tx, id, outline)
    existing = tx.resources.get(id.key)
    if existing is not None and existing.state is not ResourceState.FAILED:
        return _change(tx, ctx, existing, location, outline, spec)
    source, recipe, kind = _origin(tx, ctx, id, spec, catalogue)
    recipe = replace(recipe, storage=outline.sku)
    awaited = (spec.upload_bytes or 0) if spec.option == "Upload" else 0
    state = DiskState(recipe, unique_id=ctx.ids.uuid(), upload_bytes=awaited)
    parents = [(kind, source.key)] if source is not None else []
    resources.clear_failed(tx, existing)
    resource = resources.new(ctx, id, location, outline, state)
    resources.insert(tx, ctx, resource, parents)
    record_file(tx, resource, recipe, "snapshot" if id.type == SNAPSHOTS else "data")
    return Accepted(resource, True, resources.start_operation(tx, ctx, resource, "create"))


def _change(
    tx: Tx, ctx: Context, existing: Resource, location: str, outline: Outline, spec: DiskSpec
) -> Accepted:
    under_way = resources.joined(tx, existing, outline)
    if under_way is not None:
        return under_way
    resources.check_not_busy(existing)
    resources.check_same_place(existing, location)
    size = disk_state(existing.inner).size_bytes
    if spec.size_gib is not None and spec.size_gib * GIB > size:
        # Growing the device would leave the file system inside as it was, which helps nobody yet.
        raise conflict(
            f"'{existing.id}' has {size} bytes; changing the size of an existing disk is not supported. "
            "Make a larger disk and copy the data.",
            target="properties.diskSizeGB",
        )
    changed = convert(tx, ctx, existing, outline.sku)
    resources.record(tx, ctx, existing.key, "resource.change")
    tagged = replace(changed.resource, tags=outline.tags, modified_at=ctx.now)
    return replace(changed, resource=tx.resources.update(tagged))


def _origin(
    tx: Tx, ctx: Context, id: ResourceId, spec: DiskSpec, catalogue: Catalogue
) -> tuple[Resource | None, Recipe, str]:
    """Where the new disk's bytes come from: source resource, recipe and kind of lineage."""
    snapshot = id.type == SNAPSHOTS
    name = f"{'s' if snapshot else 'd'}-{ctx.ids.short()}"
    _check_size(spec)
    if spec.option == "Empty" and not snapshot:
        if spec.size_gib is None:
            raise bad("properties.diskSizeGB", "null", "An empty disk needs a size.")
        return None, Recipe(name, "empty", size_bytes=spec.size_gib * GIB), ""
    if spec.option == "Copy":
        target = "properties.creationData.sourceResourceId"
        if spec.source_id is None:
            raise bad(target, "null", "A copy needs the id of a disk or snapshot.")
        source = resources.referred(tx, target, spec.source_id, (DISKS, SNAPSHOTS))
        check_quiet(tx, source)
        state = disk_state(source.inner)
        _check_not_smaller(spec, state.size_bytes)
        how = "freeze" if snapshot else "clone"
        grown = None if snapshot or spec.size_gib is None else spec.size_gib * GIB
        return source, Recipe(name, how, state.recipe.name, grown), "snapshot-of" if snapshot else "copy-of"
    if spec.option == "Upload" and not snapshot:
        return None, disk_access.upload_recipe(ctx, spec), ""
    if spec.option == "FromImage" and not snapshot:
        return _from_image(tx, name, spec, catalogue)
    allowed = "Copy" if snapshot else "Empty, Copy, FromImage and Upload"
    text = f"{allowed} can be used with {'snapshots' if snapshot else 'disks'} here."
    raise bad("properties.creationData.createOption", spec.option, text)


def _from_image(
    tx: Tx, name: str, spec: DiskSpec, catalogue: Catalogue
) -> tuple[Resource | None, Recipe, str]:
    target = "properties.creationData.imageReference.id"
    grown = spec.size_gib * GIB if spec.size_gib else None
    if spec.image is not None:
        found = offering(catalogue, spec.image, target)
        if spec.image_lun is not None:
            text = "A marketplace image has an OS disk only."
            raise bad("properties.creationData.imageReference.lun", spec.image_lun, text)
        _check_not_smaller(spec, found.size_bytes)
        image = found.image
        urn = (image.publisher, image.offer, image.sku, image.version)
        return None, Recipe(name, "base", size_bytes=grown, urn=urn), ""
    if spec.source_id is None:
        raise bad(target, "null", "A disk from an image needs the image's id.")
    source = source_image(tx, target, spec.source_id)
    state = image_state(source.inner)
    if spec.image_lun is None:
        file, size = state.os_disk, state.os_size
    else:
        disk = next((disk for disk in state.data_disks if disk.lun == spec.image_lun), None)
        if disk is None:
            luns = ", ".join(str(disk.lun) for disk in state.data_disks) or "none"
            raise bad("properties.creationData.imageReference.lun", spec.image_lun, f"The image has: {luns}.")
        file, size = disk.name, disk.size
    _check_not_smaller(spec, size)
    return source, Recipe(name, "clone", file, grown), "copy-of"


def _check_size(spec: DiskSpec) -> None:
    if spec.size_gib is not None and not 1 <= spec.size_gib <= SIZE_GIB_MAX:
        raise bad("properties.diskSizeGB", spec.size_gib, f"A disk has 1 to {SIZE_GIB_MAX} GiB.")


def _check_not_smaller(spec: DiskSpec, source_bytes: int) -> None:
    if spec.size_gib is not None and spec.size_gib * GIB < source_bytes:
        raise bad(
            "properties.diskSizeGB", spec.size_gib, f"The source has {source_bytes} bytes, which is more."
        )


def record_file(tx: Tx, owner: Resource, recipe: Recipe, purpose: str) -> None:
    """Record a file of the image plane before it is made."""
    tx.resources.put_disk(
        DiskRow(recipe.name, owner.key, purpose, "making", size_bytes=recipe.size_bytes or 0)
    )


def check_quiet(tx: Tx, disk: Resource) -> None:
    """409 when a machine may be writing the disk: its bytes can only be copied while nobody writes."""
    holder = _holder(tx, disk)
    if holder is None:
        return
    machine, state = holder
    if machine.state in (ResourceState.CREATING, ResourceState.UPDATING) or state.power not in _QUIET:
        raise conflict(
            f"The disk '{disk.id}' is attached to '{machine.id}', which is not stopped (power state "
            f"{state.power}). Deallocate it first: a disk can only be copied while no machine writes to it."
        )


def _holder(tx: Tx, disk: Resource) -> tuple[Resource, MachineState] | None:
    if disk.type != DISKS:
        return None
    attached_to = disk_state(disk.inner).attached_to
    machine = tx.resources.get(attached_to.lower()) if attached_to else None
    return None if machine is None else (machine, machine_state(machine.inner))


def delete(tx: Tx, ctx: Context, id: ResourceId) -> Accepted | None:
    """Begin to delete a disk or snapshot; None when there is none. 409 when attached or being copied."""
    existing = tx.resources.get(id.key)
    if existing is None:
        return None
    if existing.type == DISKS:
        attached_to = disk_state(existing.inner).attached_to
        if attached_to is not None:
            raise conflict(
                f"Disk {existing.name} is attached to VM {attached_to} and cannot be deleted; detach it first.",
                "OperationNotAllowed",
            )
    disk_access.check_no_access(ctx, existing, "delete it")
    resources.check_readers(tx, existing, "delete it")
    return resources.begin_delete(tx, ctx, existing)


def patch(
    tx: Tx, ctx: Context, id: ResourceId, tags: tuple[tuple[str, str], ...] | None, sku: str | None
) -> Accepted:
    """Change tags and SKU. Raises ManagementError 409 when a change of the SKU has to wait."""
    changed = convert(tx, ctx, resources.check_not_busy(resources.get(tx, id)), sku)
    return replace(changed, resource=resources.set_tags(tx, ctx, changed.resource, tags))


def convert(tx: Tx, ctx: Context, existing: Resource, sku: str | None) -> Accepted:
    """Give a disk or snapshot another type. When new disks of that type go to another directory its bytes move there,
    by an operation: a copy is made and takes the place of what there was, which is removed then.

    Raises ManagementError 409 while bytes that would have to move are in use.
    """
    before = existing.sku or DISK_TYPE_DEFAULT
    if sku is None or sku == before:
        return Accepted(existing)
    resources.record(tx, ctx, existing.key, "resource.convert", sku=sku, before=before)
    state, classes = disk_state(existing.inner), ctx.settings.storage_classes
    stays = class_directory(classes, before) == class_directory(classes, sku)
    # An upload becomes a disk of the type it has by then; what failed has no bytes.
    if stays or state.upload_bytes or existing.state is not ResourceState.SUCCEEDED:
        return Accepted(tx.resources.update(replace(existing, sku=sku, modified_at=ctx.now)))
    doing = f"change its type to {sku}, which moves it"
    check_quiet(tx, existing)
    disk_access.check_no_access(ctx, existing, doing)
    resources.check_readers(tx, existing, doing)
    snapshot = existing.type == SNAPSHOTS
    name = f"{'s' if snapshot else 'd'}-{ctx.ids.short()}"
    how = "freeze" if snapshot else "clone"
    recipe = Recipe(name, how, state.recipe.name, storage=sku)
    moving = replace(state, recipe=recipe, moved=Moved(state.recipe, existing.sku))
    record_file(tx, existing, recipe, "snapshot" if snapshot else "data")
    moved = resources.move(tx, ctx, replace(existing, sku=sku), ResourceState.UPDATING, moving)
    return Accepted(moved, operation=resources.start_operation(tx, ctx, moved, "convert"))
