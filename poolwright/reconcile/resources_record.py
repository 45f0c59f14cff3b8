"""Transactions of the resource loop: what it looks at, and what it writes down before and after it acts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from poolwright.decide.resources import Seen, View
from poolwright.domain.clock import Instant
from poolwright.domain.compute import (
    Finding,
    MachineState,
    State,
    disk_state,
    dump,
    image_state,
    machine_state,
)
from poolwright.domain.facts import DirtyKey, Fact
from poolwright.domain.gallery import names_of
from poolwright.domain.resource import DiskRow, Operation, Resource
from poolwright.domain.resource_id import (
    ACCOUNTS,
    DISKS,
    GROUPS,
    IMAGE_TYPES,
    IMAGES,
    MACHINES,
    SNAPSHOTS,
    group_id,
)
from poolwright.domain.states import RESOURCE, PowerState, ResourceState, advance
from poolwright.engines.base import Machine
from poolwright.images.base import DiskInfo
from poolwright.store.base import Tx

_CHANGING = frozenset({ResourceState.CREATING, ResourceState.UPDATING})
BURIED = "buried:"  # owner of files whose resource is gone while they were in use
_COUNTED = 1000  # jobs and schedules counted of an account being emptied; more are more


def view(tx: Tx, key: str, seen: Seen | None, live: frozenset[str]) -> View | None:
    """The resource with its surroundings; None when it does not exist."""
    resource = tx.resources.get(key)
    if resource is None:
        return None
    operations = tuple(op for op in tx.resources.operations_in_progress() if op.resource == key)
    files = tuple(tx.resources.disks_of(key))
    disks: dict[str, Resource] = {}
    held = False
    if resource.type == MACHINES:
        for attached in machine_state(resource.inner).disks:
            disk = tx.resources.get(attached.disk.lower())
            if disk is not None:
                disks[disk.key] = disk
    if resource.type == DISKS:
        holder = disk_state(resource.inner).attached_to
        held = holder is not None and tx.resources.get(holder.lower()) is not None
    return View(resource, files, operations, disks, seen, _left(tx, resource), held, live)


def _left(tx: Tx, resource: Resource) -> int:
    if resource.type in IMAGE_TYPES:
        return _pools_of(tx, resource)
    if resource.type == GROUPS:
        members = tx.resources.select(resource.subscription, resource.name, None)
        return sum(member.type != GROUPS for member in members)
    if resource.type == ACCOUNTS:
        left = len(tx.jobs.page(resource.name, None, _COUNTED))
        return tx.pools.count(resource.name) + left + len(tx.schedules.page(resource.name, None, _COUNTED))
    return len(tx.pools.with_image(resource.key)) if resource.type == IMAGES else 0


def file_made(tx: Tx, now: Instant, key: str, info: DiskInfo) -> None:
    """A file is there: its record becomes ready, and a disk learns its size."""
    row = tx.resources.disk(info.name)
    if row is None or row.state != "making":
        return
    tx.resources.put_disk(replace(row, state="ready", digest=info.digest, size_bytes=info.size_bytes))
    resource = tx.resources.get(key)
    if resource is None or resource.type not in (DISKS, SNAPSHOTS):
        return
    state = replace(disk_state(resource.inner), size_bytes=info.size_bytes)
    tx.resources.update(replace(resource, inner=dump(state), modified_at=now))


def image_inspected(
    tx: Tx,
    now: Instant,
    key: str,
    found: Mapping[str, str | None],
    digest: str,
    volumes: Mapping[str, tuple[int, int]],
    findings: tuple[Finding, ...],
) -> None:
    """What the image holds is known. `found` has id, version, pretty and agent_sku of its operating system.

    `volumes` has offset and size of the partition to mount by file name.
    """
    resource = tx.resources.get(key)
    if resource is None or resource.state not in _CHANGING:
        return
    sizes = {row.name: row.size_bytes for row in tx.resources.disks_of(key)}
    state = image_state(resource.inner)
    left = {finding.code for finding in findings}
    known = replace(
        state,
        fixed=tuple(finding for finding in state.fixed if finding.code not in left),
        os_size=sizes[state.os_disk],
        data_disks=tuple(
            replace(disk, size=sizes[disk.name], volume=volumes[disk.name]) for disk in state.data_disks
        ),
        os_volume=volumes[state.os_disk],
        findings=findings,
        agent_sku=found["agent_sku"],
        os={name: found[name] for name in ("id", "version", "pretty")},
        digest=digest,
    )
    _write(tx, now, resource, known)


def _pools_of(tx: Tx, image: Resource) -> int:
    """Pools that name the image, and those of a version's definition with nodes made from it."""
    count = len(tx.pools.with_image(image.key))
    for definition in names_of(image)[1:]:
        for pool in tx.pools.with_image(definition):
            count += any(node.image == image.id for node in tx.nodes.of_pool(pool.account, pool.id))
    return count


def file_removing(tx: Tx, name: str) -> None:
    """A file is about to be removed."""
    row = tx.resources.disk(name)
    if row is not None and row.state != "deleting":
        tx.resources.put_disk(replace(row, state="deleting"))


def machine_gone(tx: Tx, now: Instant, key: str) -> None:
    """The engine holds nothing of the machine any more."""
    resource = tx.resources.get(key)
    if resource is not None:
        state = replace(machine_state(resource.inner), gone=True, address=None, power=PowerState.DEALLOCATED)
        _write(tx, now, resource, state)


def rebooting(tx: Tx, now: Instant, key: str, reason: str) -> None:
    """The machine takes its next fence, because what the engine has is not what should be."""
    resource = tx.resources.get(key)
    if resource is None or resource.state is not ResourceState.SUCCEEDED:
        return
    state = machine_state(resource.inner)
    advance(resource.id, RESOURCE, resource.state, ResourceState.UPDATING)
    moved = replace(resource, state=ResourceState.UPDATING)
    _write(tx, now, moved, replace(state, fence=state.fence + 1, power=PowerState.STARTING))
    _record(tx, now, key, "resource.reboot", reason=reason)


def failed(tx: Tx, now: Instant, key: str, code: str, message: str) -> None:
    """The creation or change cannot be done; what was made is to be removed."""
    resource = tx.resources.get(key)
    if resource is None or resource.state not in _CHANGING or resource.error is not None:
        return
    if _move_failed(tx, now, resource, code, message):
        return
    for row in tx.resources.disks_of(key):
        tx.resources.put_disk(replace(row, state="deleting"))
    tx.resources.update(replace(resource, error=(code, message), modified_at=now))
    _record(tx, now, key, "resource.failing", code=code, message=message)


def _move_failed(tx: Tx, now: Instant, resource: Resource, code: str, message: str) -> bool:
    """A change of a disk's type fails: the disk stays what and where it was. False when there is no such change."""
    if resource.type not in (DISKS, SNAPSHOTS) or resource.state is not ResourceState.UPDATING:
        return False
    state = disk_state(resource.inner)
    copy = tx.resources.disk(state.recipe.name)
    if state.moved is None or copy is None:
        return False
    if copy.state == "ready":  # only the old file is in the way: it goes once it can
        for row in tx.resources.disks_of(resource.key):
            if row.name != copy.name:
                tx.resources.put_disk(replace(row, owner=f"{BURIED}{resource.key}", state="deleting"))
        return True
    for row in tx.resources.disks_of(resource.key):
        old = row.name == state.moved.recipe.name
        tx.resources.put_disk(replace(row, state="ready" if old else "deleting"))
    for operation in tx.resources.operations_in_progress():
        if operation.resource == resource.key:
            end_operation(tx, now, operation, error=(code, message))
    stays = replace(state, recipe=state.moved.recipe, moved=None)
    _write(tx, now, replace(resource, sku=state.moved.sku), stays)
    _record(tx, now, resource.key, "resource.convertFailed", code=code, message=message)
    return True


def settled(tx: Tx, now: Instant, key: str, state: ResourceState, machine: Machine | None) -> None:
    """The goal is reached, or nothing is left of a failed creation: the resource rests and its operations end."""
    resource = tx.resources.get(key)
    if resource is None or resource.state not in _CHANGING:
        return
    inner: State | None = None
    if resource.type == MACHINES:
        inner = _settled_machine(tx, now, resource, state, machine)
    advance(resource.id, RESOURCE, resource.state, state)
    moved = replace(resource, state=state, modified_at=now, inner=dump(inner) if inner else resource.inner)
    tx.resources.update(moved)
    error = resource.error if state is ResourceState.FAILED else None
    for operation in tx.resources.operations_in_progress():
        if operation.resource == key and operation.verb != "runCommand":
            end_operation(tx, now, operation, error=error)
    detail = {} if error is None else {"code": error[0], "message": error[1]}
    _record(tx, now, key, f"resource.{state.value.lower()}", **detail)
    if resource.type == DISKS:
        holder = disk_state(resource.inner).attached_to
        if holder is not None:
            wake(tx, holder.lower())


def _settled_machine(
    tx: Tx, now: Instant, resource: Resource, state: ResourceState, machine: Machine | None
) -> MachineState:
    known = machine_state(resource.inner)
    if state is ResourceState.FAILED:
        if not known.made:
            _let_go(tx, now, known, remove_created=True)
            return replace(known, disks=(), power=PowerState.STOPPED)
        power = PowerState.RUNNING if _runs(known, machine) else PowerState.STOPPED
        return replace(known, power=power, want=power.value)
    if known.want == "running" and machine is not None:
        return replace(
            known, made=True, power=PowerState.RUNNING, address=machine.address, notes=tuple(machine.notes)
        )
    return replace(known, power=PowerState(known.want), address=None)


def _runs(known: MachineState, machine: Machine | None) -> bool:
    return machine is not None and machine.state == "running" and machine.fence == known.fence


def _let_go(tx: Tx, now: Instant, state: MachineState, remove_created: bool) -> None:
    """Detach all disks; those to go with the machine turn towards deletion."""
    for attached in state.disks:
        disk = tx.resources.get(attached.disk.lower())
        if disk is None:
            continue
        wake(tx, disk.key)
        free = replace(disk_state(disk.inner), attached_to=None)
        goes = attached.created if remove_created else attached.delete_option == "Delete"
        if goes and disk.state is not ResourceState.DELETING:
            advance(disk.id, RESOURCE, disk.state, ResourceState.DELETING)
            disk = replace(disk, state=ResourceState.DELETING)
            _record(tx, now, disk.key, "resource.delete", by="its virtual machine")
        _write(tx, now, disk, free)


def forgotten(tx: Tx, now: Instant, key: str) -> None:
    """Nothing is left of a deleted resource: remove its record and wake what waited for that."""
    resource = tx.resources.get(key)
    if resource is None or resource.state is not ResourceState.DELETING:
        return
    if resource.type == MACHINES:
        _let_go(tx, now, machine_state(resource.inner), remove_created=False)
    if resource.type == ACCOUNTS and tx.accounts.get(resource.name) is not None:
        tx.accounts.delete(resource.name)
    tx.resources.unlink(key)
    tx.resources.delete(key)
    for operation in tx.resources.operations_in_progress():
        if operation.resource == key:
            end_operation(
                tx, now, operation, status="Succeeded" if operation.verb == "delete" else "Canceled"
            )
    _record(tx, now, key, "resource.deleted")
    if resource.type != GROUPS:
        wake(tx, group_id(resource.subscription, resource.group).key)


def buried(tx: Tx, now: Instant, key: str) -> None:
    """The resource goes now, its files once nobody uses them; meanwhile no resource of the same name meets them."""
    for row in tx.resources.disks_of(key):
        tx.resources.put_disk(replace(row, owner=f"{BURIED}{key}", state="deleting"))
    forgotten(tx, now, key)


def end_operation(
    tx: Tx,
    now: Instant,
    operation: Operation,
    *,
    status: str = "Succeeded",
    result: Mapping[str, Any] | None = None,
    error: tuple[str, str] | None = None,
) -> None:
    """Write the end of an operation. Its request goes, since a script may hold what nobody should read later."""
    ended = replace(
        operation,
        status="Failed" if error is not None else status,
        ended_at=now,
        request=b"{}",
        result=None if result is None else json.dumps(result, separators=(",", ":")).encode(),
        error=error,
    )
    tx.resources.put_operation(ended)


def progress(tx: Tx, key: str, stage: str, fraction: float) -> None:
    """How far a long creation has come: told by its operation, or by that of the machine the disk is made for."""
    resource = tx.resources.get(key)
    if resource is None:
        return
    owners = {key}
    if resource.type == DISKS:
        holder = disk_state(resource.inner).attached_to
        owners |= {holder.lower()} if holder is not None else set()
    shown = json.dumps({"stage": stage, "fraction": fraction}).encode()
    for operation in tx.resources.operations_in_progress():
        if operation.verb == "create" and operation.resource in owners:
            tx.resources.put_operation(replace(operation, result=shown))


def waiting(tx: Tx, key: str, reason: str) -> None:
    """Why the resource does not go on, told by its operations; what they tell of real progress stays."""
    shown = json.dumps({"stage": reason, "fraction": 0.0}).encode()
    for operation in tx.resources.operations_in_progress():
        if operation.resource != key or operation.verb == "runCommand" or operation.result == shown:
            continue
        if operation.result is None or not json.loads(operation.result)["fraction"]:
            tx.resources.put_operation(replace(operation, result=shown))


def script_begins(tx: Tx, now: Instant, operation_id: str) -> Operation | None:
    """Record that a script is about to run; None when it has begun before or its operation has ended."""
    operation = tx.resources.operation(operation_id)
    if operation is None or operation.status != "InProgress" or operation.attempts:
        return None
    begun = replace(operation, attempts=1)
    tx.resources.put_operation(begun)
    _record(tx, now, operation.resource, "resource.runCommand.begin", operation=operation.id)
    return begun


def script_ends(
    tx: Tx,
    now: Instant,
    operation_id: str,
    result: Mapping[str, Any] | None,
    error: tuple[str, str] | None,
) -> None:
    """Record how a script ended, unless the operation was ended by something else."""
    operation = tx.resources.operation(operation_id)
    if operation is None or operation.status != "InProgress":
        return
    end_operation(tx, now, operation, result=result, error=error)
    detail = {"code": error[0]} if error is not None else {"exit_code": (result or {}).get("exit_code", 0)}
    _record(tx, now, operation.resource, "resource.runCommand.end", operation=operation.id, **detail)


def settled_machines(tx: Tx) -> list[Resource]:
    """Virtual machines at rest, of every subscription."""
    return [
        resource for resource in tx.resources.of_type(MACHINES) if resource.state is ResourceState.SUCCEEDED
    ]


def file_lost(tx: Tx, now: Instant, row: DiskRow) -> None:
    """A file that should be there is not: its owner says so from now on."""
    owner = tx.resources.get(row.owner)
    current = tx.resources.disk(row.name)
    if (
        owner is None
        or current is None
        or current.state != "ready"
        or owner.state is not ResourceState.SUCCEEDED
    ):
        return
    advance(owner.id, RESOURCE, owner.state, ResourceState.UPDATING)
    text = f"The file '{row.name}' of the image plane has disappeared; the contents are lost."
    tx.resources.update(
        replace(owner, state=ResourceState.FAILED, error=("DiskFileMissing", text), modified_at=now)
    )
    _record(tx, now, owner.key, "resource.lost", file=row.name)


def _write(tx: Tx, now: Instant, resource: Resource, state: State) -> None:
    tx.resources.update(replace(resource, inner=dump(state), modified_at=now))


def _record(tx: Tx, now: Instant, key: str, kind: str, **detail: str | int | float | bool | None) -> None:
    tx.journal.record([Fact(now, kind, "", f"resource/{key}", detail)])


def wake(tx: Tx, key: str) -> None:
    """Ask a resource's loop to look again."""
    tx.mark_dirty(DirtyKey("resource", "", key))
