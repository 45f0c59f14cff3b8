"""Virtual machines: machines to be prepared and frozen."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

from poolwright.commands import disk_access, resources
from poolwright.commands.context import Context
from poolwright.commands.disks import SIZE_GIB_MAX, record_file
from poolwright.commands.image_sources import source_image
from poolwright.commands.images import check_luns
from poolwright.commands.platform_images import offering
from poolwright.commands.resources import Accepted, Outline, bad, conflict
from poolwright.domain import sizes
from poolwright.domain.compute import (
    GIB,
    DiskState,
    ImageState,
    MachineDisk,
    MachineDiskSpec,
    MachineSpec,
    MachineState,
    Recipe,
    disk_state,
    dump,
    image_state,
    machine_state,
)
from poolwright.domain.marketplace import Catalogue, Offering
from poolwright.domain.resource import Lineage, Resource
from poolwright.domain.resource_id import DISKS, MACHINES, ResourceId
from poolwright.domain.states import PowerState, ResourceState
from poolwright.store.base import Tx

_QUIET = frozenset({PowerState.STOPPED.value, PowerState.DEALLOCATED.value})
_NOT_HOSTNAME = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class _Base:
    """What the OS disk (and data disks) are cloned from: a marketplace image or a managed image."""

    offering: Offering | None = None
    image: Resource | None = None
    state: ImageState | None = None

    @property
    def os_bytes(self) -> int:
        if self.offering is not None:
            return self.offering.size_bytes
        return self.state.os_size if self.state is not None else 0

    @property
    def lineage(self) -> list[tuple[str, str]]:
        return [("copy-of", self.image.key)] if self.image is not None else []


def put(
    tx: Tx, ctx: Context, id: ResourceId, outline: Outline, spec: MachineSpec, catalogue: Catalogue
) -> Accepted:
    """Make a virtual machine with its disks, or change the tags and size of one that exists.

    Raises ManagementError: 400 for bad values, 404 for missing group, image or disk, 409 for a disk in use.
    """
    id, location = resources.check_place(tx, id, outline)
    size = sizes.find(spec.size)
    if size is None:
        text = "It is not a size this service knows; list them at .../locations/{location}/vmSizes."
        raise bad("properties.hardwareProfile.vmSize", spec.size, text)
    existing = tx.resources.get(id.key)
    if existing is not None and not _never_ran(existing):
        return _change(tx, ctx, existing, location, outline, spec, size.name)
    target = "properties.storageProfile.dataDisks"
    check_luns(target, [disk.lun for disk in spec.data_disks])
    if len(spec.data_disks) > size.max_data_disks:
        raise bad(
            target, len(spec.data_disks), f"{size.name} holds at most {size.max_data_disks} data disks."
        )
    base = _base(tx, spec, catalogue)
    resources.clear_failed(tx, existing)
    disks = [_os_disk(tx, ctx, id, location, spec, base)]
    disks += [_data_disk(tx, ctx, id, location, disk, base) for disk in _with_image_disks(spec, base)]
    state = MachineState(
        machine=f"vm-{ctx.ids.short()}",
        vm_id=ctx.ids.uuid(),
        hostname=_hostname(spec.computer_name or id.name),
        size=size.name,
        want="running",
        power=PowerState.STARTING,
        disks=tuple(disks),
    )
    resource = resources.new(ctx, id, location, outline, state)
    resources.insert(tx, ctx, resource, base.lineage)
    for disk in disks:
        if disk.created:
            tx.resources.link(Lineage(disk.disk.lower(), resource.key, "disk-of"))
    return Accepted(resource, True, resources.start_operation(tx, ctx, resource, "create"))


def _never_ran(existing: Resource) -> bool:
    return existing.state is ResourceState.FAILED and not machine_state(existing.inner).made


def _change(
    tx: Tx, ctx: Context, existing: Resource, location: str, outline: Outline, spec: MachineSpec, size: str
) -> Accepted:
    under_way = resources.joined(tx, existing, outline)
    if under_way is not None:
        return under_way
    resources.check_not_busy(existing)
    resources.check_same_place(existing, location)
    state = machine_state(existing.inner)
    _check_same_disks(existing, state, spec)
    if size != state.size:
        if state.power not in _QUIET:
            raise conflict(f"'{existing.id}' is {state.power}; deallocate it before changing its size.")
        state = replace(state, size=size)
    changed = replace(existing, tags=outline.tags, inner=dump(state), modified_at=ctx.now)
    resources.record(tx, ctx, existing.key, "resource.change")
    return Accepted(tx.resources.update(changed))


def _check_same_disks(existing: Resource, state: MachineState, spec: MachineSpec) -> None:
    have = {disk.lun for disk in state.disks if disk.lun is not None}
    wanted = {disk.lun for disk in spec.data_disks}
    if wanted and wanted != have:
        raise conflict(
            f"'{existing.id}' has data disks at {sorted(have)}; attaching and detaching disks of an existing "
            "virtual machine is not supported. Give all data disks when the machine is made.",
            target="properties.storageProfile.dataDisks",
        )


def _base(tx: Tx, spec: MachineSpec, catalogue: Catalogue) -> _Base:
    choice = spec.image
    if spec.os_disk.option == "Attach":
        if choice is not None:
            text = "A machine whose OS disk is attached cannot name an image as well."
            raise bad("properties.storageProfile.imageReference", choice.id or choice.offer, text)
        return _Base()
    if choice is None:
        text = "An OS disk from an image needs the image."
        raise bad("properties.storageProfile.imageReference", "null", text)
    if choice.id is not None:
        target = "properties.storageProfile.imageReference.id"
        image = source_image(tx, target, choice.id)
        return _Base(image=image, state=image_state(image.inner))
    return _Base(offering=offering(catalogue, choice))


def _os_disk(
    tx: Tx, ctx: Context, id: ResourceId, location: str, spec: MachineSpec, base: _Base
) -> MachineDisk:
    disk = spec.os_disk
    target = "properties.storageProfile.osDisk"
    if disk.option == "Attach":
        return _attach(tx, ctx, id, disk, f"{target}.managedDisk.id")
    _check_size(target, disk, base.os_bytes)
    name = f"d-{ctx.ids.short()}"
    size = disk.size_gib * GIB if disk.size_gib is not None else None
    if base.offering is not None:
        image = base.offering.image
        urn = (image.publisher, image.offer, image.sku, image.version)
        recipe = Recipe(name, "base", size_bytes=size, urn=urn)
    else:
        assert base.state is not None
        recipe = Recipe(name, "clone", base.state.os_disk, size)
    title = disk.name or f"{id.name}_OsDisk_1_{ctx.ids.uuid().replace('-', '')}"
    creation = {"createOption": "FromImage"}
    known = {"osType": "Linux", "hyperVGeneration": spec.generation, "creationData": creation}
    document = json.dumps(known).encode()
    made = _make_disk(tx, ctx, id, location, title, disk, recipe, document, base.lineage)
    return MachineDisk(None, made.id, disk.caching or "ReadWrite", disk.delete_option)


def _with_image_disks(spec: MachineSpec, base: _Base) -> list[MachineDiskSpec]:
    """The data disks asked for, and those the image brings that were not mentioned."""
    disks = list(spec.data_disks)
    taken = {disk.lun for disk in disks}
    if base.state is not None:
        disks += [
            MachineDiskSpec(disk.lun, "FromImage", caching=disk.caching, storage_type=disk.type)
            for disk in base.state.data_disks
            if disk.lun not in taken
        ]
    return sorted(disks, key=lambda disk: disk.lun or 0)


def _data_disk(
    tx: Tx, ctx: Context, id: ResourceId, location: str, disk: MachineDiskSpec, base: _Base
) -> MachineDisk:
    target = f"properties.storageProfile.dataDisks[lun {disk.lun}]"
    if disk.option == "Attach":
        return _attach(tx, ctx, id, disk, f"{target}.managedDisk.id")
    name = f"d-{ctx.ids.short()}"
    lineage: list[tuple[str, str]] = []
    if disk.option == "Empty":
        if disk.size_gib is None:
            raise bad(f"{target}.diskSizeGB", "null", "An empty data disk needs a size.")
        _check_size(target, disk, 0)
        recipe = Recipe(name, "empty", size_bytes=disk.size_gib * GIB)
    else:
        known = base.state.data_disks if base.state is not None else ()
        source = next((entry for entry in known if entry.lun == disk.lun), None)
        if source is None:
            raise bad(f"{target}.createOption", "FromImage", f"The image has no data disk at LUN {disk.lun}.")
        _check_size(target, disk, source.size)
        recipe = Recipe(name, "clone", source.name, disk.size_gib * GIB if disk.size_gib else None)
        lineage = base.lineage
    title = disk.name or f"{id.name}_DataDisk_{disk.lun}_{ctx.ids.uuid().replace('-', '')}"
    document = json.dumps({"creationData": {"createOption": disk.option}}).encode()
    made = _make_disk(tx, ctx, id, location, title, disk, recipe, document, lineage)
    return MachineDisk(disk.lun, made.id, disk.caching or "None", disk.delete_option)


def _check_size(target: str, disk: MachineDiskSpec, least_bytes: int) -> None:
    if disk.size_gib is None:
        return
    if not 1 <= disk.size_gib <= SIZE_GIB_MAX:
        raise bad(f"{target}.diskSizeGB", disk.size_gib, f"A disk has 1 to {SIZE_GIB_MAX} GiB.")
    if disk.size_gib * GIB < least_bytes:
        raise bad(
            f"{target}.diskSizeGB", disk.size_gib, f"The image's disk has {least_bytes} bytes, which is more."
        )


def _make_disk(
    tx: Tx,
    ctx: Context,
    machine: ResourceId,
    location: str,
    name: str,
    spec: MachineDiskSpec,
    recipe: Recipe,
    document: bytes,
    lineage: list[tuple[str, str]],
) -> Resource:
    """A disk resource that belongs to the machine from the start."""
    outline = Outline(location, sku=spec.storage_type or "Standard_LRS", document=document)
    id, _ = resources.check_place(tx, replace(machine, type=DISKS, name=name), outline)
    if tx.resources.get(id.key) is not None:
        raise conflict(
            f"A disk named '{name}' exists already in resource group '{id.group}'.", "ConflictingUserInput"
        )
    recipe = replace(recipe, storage=outline.sku)
    state = DiskState(recipe, attached_to=machine.text, unique_id=ctx.ids.uuid())
    resource = resources.new(ctx, id, location, outline, state)
    resources.insert(tx, ctx, resource, lineage)
    record_file(tx, resource, recipe, "data" if spec.lun is not None else "os")
    return resource


def _attach(tx: Tx, ctx: Context, machine: ResourceId, spec: MachineDiskSpec, target: str) -> MachineDisk:
    if spec.disk_id is None:
        raise bad(target, "null", "Attaching a disk needs the disk's id.")
    disk = resources.referred(tx, target, spec.disk_id, (DISKS,))
    state = disk_state(disk.inner)
    if state.attached_to is not None:
        raise conflict(
            f"Disk '{disk.id}' is attached to '{state.attached_to}' already.", "AttachDiskWhileBeingAttached"
        )
    disk_access.check_no_access(ctx, disk, "attach it")
    resources.check_readers(tx, disk, "attach it")
    attached = replace(state, attached_to=machine.text)
    tx.resources.update(replace(disk, inner=dump(attached), modified_at=ctx.now))
    return MachineDisk(spec.lun, disk.id, spec.caching or "None", spec.delete_option, created=False)


def _hostname(name: str) -> str:
    """A host name (RFC 1123 label) out of a machine's name."""
    return _NOT_HOSTNAME.sub("-", name.lower()).strip("-")[:63] or "vm"


def delete(tx: Tx, ctx: Context, id: ResourceId) -> Accepted | None:
    """Begin to delete a virtual machine; None when there is none. Disks go or stay by their deleteOption."""
    existing = tx.resources.get(id.key)
    return None if existing is None else resources.begin_delete(tx, ctx, existing)


def patch(
    tx: Tx, ctx: Context, id: ResourceId, tags: tuple[tuple[str, str], ...] | None, size: str | None
) -> Resource:
    """Change tags and, of a stopped machine, the size."""
    existing = resources.check_not_busy(resources.get(tx, id))
    assert existing.type == MACHINES
    if size is not None:
        known = sizes.find(size)
        if known is None:
            raise bad("properties.hardwareProfile.vmSize", size, "It is not a size this service knows.")
        outline = Outline(existing.location, existing.tags)
        spec = MachineSpec(known.name, None, MachineDiskSpec(None, "FromImage"))
        existing = _change(tx, ctx, existing, existing.location, outline, spec, known.name).resource
    return resources.set_tags(tx, ctx, existing, tags)
