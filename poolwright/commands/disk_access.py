"""Leave to read a disk's bytes or to upload them, by an address that is signed and ends (beginGetAccess)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from poolwright.commands import resources
from poolwright.commands.context import Context
from poolwright.commands.resources import Accepted, bad, conflict
from poolwright.domain.clock import SECOND, Instant
from poolwright.domain.compute import (
    FOOTER_BYTES,
    DiskAccess,
    DiskSpec,
    DiskState,
    Recipe,
    disk_state,
    dump,
)
from poolwright.domain.resource import DiskRow, Resource
from poolwright.domain.resource_id import DISKS, SNAPSHOTS, ResourceId
from poolwright.domain.states import ResourceState
from poolwright.store.base import Tx

UPLOAD_MIN_BYTES = 20 * 1024**2 + FOOTER_BYTES  # public limits of uploadSizeBytes
UPLOAD_MAX_BYTES = 32 * 1024**4 + FOOTER_BYTES
DURATION_MAX_S = 2**31 - 1
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Granted:
    """A disk with the access to it that is in force."""

    resource: Resource
    state: DiskState
    access: DiskAccess

    @property
    def file(self) -> str:
        """The image plane's name of the bytes."""
        return self.state.recipe.name

    @property
    def disk_bytes(self) -> int:
        """How many bytes the file in the image plane gives."""
        return self.state.upload_bytes or self.state.size_bytes

    @property
    def blob_bytes(self) -> int:
        """Size as a blob: of an upload what was announced, else the disk with the footer of a fixed VHD."""
        return self.state.upload_bytes or self.state.size_bytes + FOOTER_BYTES


def upload_recipe(ctx: Context, spec: DiskSpec) -> Recipe:
    """Where an upload is written. 400 for a size that no upload has."""
    target = "properties.creationData.uploadSizeBytes"
    size = spec.upload_bytes
    if size is None:
        raise bad(target, "null", "An upload needs the size of the VHD, its footer included.")
    if not UPLOAD_MIN_BYTES <= size <= UPLOAD_MAX_BYTES or size % _SECTOR:
        reason = f"It must be a multiple of 512 from {UPLOAD_MIN_BYTES} to {UPLOAD_MAX_BYTES}."
        raise bad(target, size, reason)
    return Recipe(f"u-{ctx.ids.short()}", "blank", size_bytes=size)


def grant(tx: Tx, ctx: Context, id: ResourceId, level: str, duration_s: int) -> Granted:
    """Give access, in place of any given before. Raises ManagementError 400, 404, 409."""
    if not 1 <= duration_s <= DURATION_MAX_S:
        raise bad("durationInSeconds", duration_s, f"It must be 1 to {DURATION_MAX_S}.")
    found = resources.check_not_busy(resources.get(tx, id))
    if found.state is not ResourceState.SUCCEEDED:
        raise conflict(f"'{found.id}' cannot be accessed: its provisioning state is {found.state}.")
    state = disk_state(found.inner)
    if level == "Write" and not state.upload_bytes:
        raise conflict(
            f"'{found.id}' cannot be written: only a disk made with createOption Upload can, until endGetAccess."
        )
    if level == "Read" and state.upload_bytes:
        raise conflict(f"'{found.id}' has nothing to read yet: it waits for its upload.")
    if found.type == DISKS and state.attached_to is not None:
        raise conflict(
            f"'{found.id}' is attached to '{state.attached_to}', which may write to it. Take a snapshot and read that."
        )
    access = DiskAccess(level, ctx.ids.uuid() + ctx.ids.uuid(), ctx.now + duration_s * SECOND)
    state = replace(state, access=access)
    changed = tx.resources.update(replace(found, inner=dump(state), modified_at=ctx.now))
    resources.record(tx, ctx, found.key, "resource.beginGetAccess", access=level, seconds=duration_s)
    return Granted(changed, state, access)


def revoke(tx: Tx, ctx: Context, id: ResourceId) -> Accepted:
    """End the access. What was uploaded is made the disk, by an operation; nothing to end is no error."""
    found = resources.check_not_busy(resources.get(tx, id))
    state = disk_state(found.inner)
    if state.access is None:
        return Accepted(found)
    uploaded = state.upload_bytes if state.access.level == "Write" else 0
    state = replace(state, access=None)
    resources.record(tx, ctx, found.key, "resource.endGetAccess")
    if not uploaded:
        return Accepted(tx.resources.update(replace(found, inner=dump(state), modified_at=ctx.now)))
    recipe = Recipe(f"d-{ctx.ids.short()}", "import", state.recipe.name, uploaded, storage=found.sku)
    state = replace(state, recipe=recipe, upload_bytes=0, size_bytes=0)
    tx.resources.put_disk(DiskRow(recipe.name, found.key, "data", "making"))
    moved = resources.move(tx, ctx, found, ResourceState.UPDATING, state)
    return Accepted(moved, operation=resources.start_operation(tx, ctx, moved, "endGetAccess"))


def granted(tx: Tx, key: str, now: Instant) -> Granted | None:
    """The access in force to the disk or snapshot of this key."""
    found = tx.resources.get(key)
    if found is None or found.type not in (DISKS, SNAPSHOTS) or found.state is not ResourceState.SUCCEEDED:
        return None
    state = disk_state(found.inner)
    if state.access is None or state.access.until <= now:
        return None
    return Granted(found, state, state.access)


def check_no_access(ctx: Context, disk: Resource, doing: str) -> None:
    """409 while somebody may read or write the disk by an address."""
    access = disk_state(disk.inner).access
    if access is not None and access.until > ctx.now:
        raise conflict(
            f"Cannot {doing}: '{disk.id}' is open for {access.level.lower()} access. Call endGetAccess first."
        )
