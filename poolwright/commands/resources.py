"""What all management resources share: finding them, naming them, starting and ending operations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from poolwright.commands.context import Context
from poolwright.domain.compute import State, disk_state, dump
from poolwright.domain.errors import ManagementError
from poolwright.domain.facts import DirtyKey, Fact
from poolwright.domain.resource import Lineage, Operation, Resource
from poolwright.domain.resource_id import DISKS, GROUPS, ResourceId, group_id, parse
from poolwright.domain.states import RESOURCE, ResourceState, advance
from poolwright.store.base import Tx

#: Public naming rules by type: pattern and what to tell the caller.
_NAMES = {
    "microsoft.resources/resourcegroups": (
        re.compile(r"[\w().-]{0,89}[\w()-]\Z", re.ASCII),
        "1 to 90 letters, digits, underscores, hyphens, periods and parentheses, not ending with a period",
    ),
    "microsoft.compute/galleries": (
        re.compile(r"[A-Za-z0-9]([A-Za-z0-9._]{0,78}[A-Za-z0-9])?\Z"),
        "1 to 80 letters, digits, underscores and periods, starting and ending with a letter or digit",
    ),
    "microsoft.compute/virtualmachines": (
        re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?\Z"),
        "1 to 64 letters, digits, periods, hyphens and underscores, starting with a letter or digit",
    ),
}
_OTHER_NAME = (
    re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?\Z"),
    "1 to 80 letters, digits, periods, hyphens and underscores, starting with a letter or digit",
)
_LOCATION = re.compile(r"[A-Za-z0-9 ()-]{1,64}\Z")
_UNSETTLED = frozenset({ResourceState.CREATING, ResourceState.UPDATING})


@dataclass(frozen=True, slots=True)
class Outline:
    """What a PUT of any resource carries besides its own properties. `document` is the cleaned `properties` to echo."""

    location: str | None
    tags: tuple[tuple[str, str], ...] = ()
    sku: str | None = None
    document: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer of a command: the resource as it is now, whether it is new, and the operation to poll, if any."""

    resource: Resource
    created: bool = False
    operation: Operation | None = None


def bad(target: str, value: object, reason: str) -> ManagementError:
    """400 InvalidParameter naming property, value and reason."""
    shown = str(value)
    shown = shown if len(shown) <= 200 else shown[:200] + "..."
    return ManagementError(
        400, "InvalidParameter", f"The value '{shown}' of '{target}' is not valid: {reason}", target
    )


def conflict(message: str, code: str = "OperationNotAllowed", target: str | None = None) -> ManagementError:
    """409: the state of things forbids it now."""
    return ManagementError(409, code, message, target)


def not_found(wanted: ResourceId) -> ManagementError:
    """404 in Resource Manager's words."""
    if wanted.type == GROUPS:
        text = f"Resource group '{wanted.group}' could not be found."
        return ManagementError(404, "ResourceGroupNotFound", text)
    text = f"The Resource '{wanted.type}/{wanted.name}' under resource group '{wanted.group}' was not found."
    return ManagementError(404, "ResourceNotFound", text)


def get(tx: Tx, wanted: ResourceId) -> Resource:
    """The resource; 404 when it or its group does not exist."""
    found = tx.resources.get(wanted.key)
    if found is not None:
        return found
    group = group_id(wanted.subscription, wanted.group)
    raise not_found(wanted if wanted.type == GROUPS or tx.resources.get(group.key) else group)


def referred(tx: Tx, target: str, text: str, types: Iterable[str]) -> Resource:
    """The settled resource a body names in property `target`; 400 for an id of the wrong form, 404 when missing."""
    wanted = parse(text)
    allowed = tuple(types)
    if wanted is None or wanted.type not in allowed:
        raise bad(target, text, f"It must be the id of one of: {', '.join(allowed)}.")
    found = tx.resources.get(wanted.key)
    if found is None:
        error = not_found(wanted)
        raise ManagementError(404, error.code, error.message, target)
    if found.state is not ResourceState.SUCCEEDED:
        raise conflict(
            f"'{found.id}' cannot be used: its provisioning state is {found.state}.", target=target
        )
    if found.type == DISKS and disk_state(found.inner).upload_bytes:
        raise conflict(
            f"The disk '{found.id}' waits for its upload: upload it and call endGetAccess.", target=target
        )
    return found


def select(tx: Tx, subscription: str, group: str | None, type: str) -> list[Resource]:
    """Resources of one type; 404 when the group does not exist."""
    if group is not None:
        get(tx, group_id(subscription, group))
    return tx.resources.select(subscription, group, type)


def check_place(tx: Tx, wanted: ResourceId, outline: Outline) -> tuple[ResourceId, str]:
    """The id in its canonical spelling and the location of a resource to be made.

    400 for a bad name or location, 404 without group, 409 when the group is being deleted.
    """
    check_name(wanted)
    location = normal_location(outline.location)
    group = get(tx, group_id(wanted.subscription, wanted.group))
    if group.state is ResourceState.DELETING:
        text = f"The resource group '{group.name}' is being deleted; nothing can be made in it."
        raise conflict(text, "ResourceGroupBeingDeleted")
    return replace(wanted, group=group.name), location


def check_name(wanted: ResourceId) -> None:
    """400 unless the name follows the public rule of its type."""
    pattern, rule = _NAMES.get(wanted.type.lower(), _OTHER_NAME)
    if pattern.match(wanted.own_name) is None:
        text = f"The name '{wanted.own_name[:200]}' is not valid: {rule}."
        raise ManagementError(400, "InvalidResourceName", text, "name")


def normal_location(location: str | None) -> str:
    """A location in its canonical form: lower case, no spaces. 400 when missing or malformed."""
    if location is None:
        text = "The location property is required for this definition."
        raise ManagementError(400, "LocationRequired", text, "location")
    if _LOCATION.match(location) is None:
        raise bad("location", location, "A location has 1 to 64 letters, digits and spaces.")
    return location.replace(" ", "").lower()


def check_not_busy(resource: Resource) -> Resource:
    """409 while the resource is being made, changed or removed."""
    if resource.state is ResourceState.DELETING:
        raise conflict(f"'{resource.id}' is being deleted.")
    if resource.state in _UNSETTLED:
        raise conflict(f"Another operation on '{resource.id}' is in progress; wait for it to end.")
    return resource


def check_same_place(existing: Resource, location: str) -> None:
    """409 when a PUT tries to move a resource."""
    if existing.location != location:
        raise conflict(
            f"The resource '{existing.name}' already exists in location '{existing.location}' and cannot be "
            f"made in location '{location}'.",
            "InvalidResourceLocation",
            "location",
        )


def new(ctx: Context, id: ResourceId, location: str, outline: Outline, state: State | None) -> Resource:
    """A resource row in Creating."""
    return Resource(
        id=id.text,
        type=id.type,
        subscription=id.subscription,
        group=id.group,
        name=id.name,
        location=location,
        state=ResourceState.CREATING,
        created_at=ctx.now,
        modified_at=ctx.now,
        tags=outline.tags,
        sku=outline.sku,
        properties=outline.document,
        inner=dump(state) if state is not None else b"{}",
    )


def clear_failed(tx: Tx, existing: Resource | None) -> None:
    """Make room for a resource that is made again after it failed. Its loop removes files still recorded for it."""
    if existing is None:
        return
    for row in tx.resources.disks_of(existing.key):
        tx.resources.put_disk(replace(row, state="deleting"))
    tx.resources.unlink(existing.key)
    tx.resources.delete(existing.key)


def insert(tx: Tx, ctx: Context, resource: Resource, parents: Iterable[tuple[str, str]] = ()) -> None:
    """Write a new resource with its lineage, (kind, parent key) pairs, and wake its loop."""
    tx.resources.insert(resource)
    for kind, parent in parents:
        tx.resources.link(Lineage(resource.key, parent, kind))
    record(tx, ctx, resource.key, "resource.create", type=resource.type)
    wake(tx, resource.key)


def move(
    tx: Tx, ctx: Context, resource: Resource, state: ResourceState, inner: State | None = None
) -> Resource:
    """Write a change of state (checked against the transition table) and of `inner`, and wake the loop."""
    advance(resource.id, RESOURCE, resource.state, state)
    moved = replace(
        resource,
        state=state,
        modified_at=ctx.now,
        error=None if state is not ResourceState.FAILED else resource.error,
        inner=resource.inner if inner is None else dump(inner),
    )
    wake(tx, resource.key)
    return tx.resources.update(moved)


def start_operation(
    tx: Tx, ctx: Context, resource: Resource, verb: str, request: Mapping[str, Any] | None = None
) -> Operation:
    """Record a long-running operation on the resource and wake its loop."""
    operation = Operation(
        id=ctx.ids.uuid(),
        resource=resource.key,
        verb=verb,
        status="InProgress",
        started_at=ctx.now,
        request=json.dumps(request or {}, separators=(",", ":")).encode(),
    )
    tx.resources.put_operation(operation)
    record(tx, ctx, resource.key, f"resource.{verb}", operation=operation.id)
    wake(tx, resource.key)
    return operation


def operations_of(tx: Tx, key: str) -> list[Operation]:
    """Operations in progress on one resource."""
    return [operation for operation in tx.resources.operations_in_progress() if operation.resource == key]


def joined(tx: Tx, existing: Resource, outline: Outline) -> Accepted | None:
    """The creation under way, when this PUT asks for the same again: clients repeat a PUT whose answer was lost."""
    if existing.state is not ResourceState.CREATING or existing.properties != outline.document:
        return None
    under_way = next((op for op in operations_of(tx, existing.key) if op.verb == "create"), None)
    return None if under_way is None else Accepted(existing, True, under_way)


def begin_delete(tx: Tx, ctx: Context, resource: Resource, inner: State | None = None) -> Accepted:
    """Turn a resource towards deletion. Deleting what is being deleted joins the operation under way."""
    under_way = operations_of(tx, resource.key)
    if resource.state is ResourceState.DELETING:
        known = next((operation for operation in under_way if operation.verb == "delete"), None)
        return Accepted(resource, operation=known or start_operation(tx, ctx, resource, "delete"))
    for operation in under_way:
        cancelled = replace(
            operation,
            status="Canceled",
            ended_at=ctx.now,
            request=b"{}",
            error=("OperationPreempted", "The resource was deleted before the operation had ended."),
        )
        tx.resources.put_operation(cancelled)
    deleting = move(tx, ctx, resource, ResourceState.DELETING, inner)
    return Accepted(deleting, operation=start_operation(tx, ctx, deleting, "delete"))


def set_tags(tx: Tx, ctx: Context, resource: Resource, tags: tuple[tuple[str, str], ...] | None) -> Resource:
    """Replace the tags (None leaves them)."""
    if tags is None or tags == resource.tags:
        return resource
    record(tx, ctx, resource.key, "resource.tags")
    return tx.resources.update(replace(resource, tags=tags, modified_at=ctx.now))


def check_readers(tx: Tx, resource: Resource, doing: str) -> None:
    """409 while something is being made from this disk or snapshot: its bytes must stay as they are."""
    for edge in tx.resources.children(resource.key):
        check_child(tx, resource, edge.child, doing)


def check_child(tx: Tx, resource: Resource, key: str, doing: str) -> None:
    """409 while the resource of this key is being made from `resource`."""
    child = tx.resources.get(key)
    if child is not None and child.state in _UNSETTLED:
        raise conflict(
            f"Cannot {doing}: '{child.id}' is being made from '{resource.id}'; wait for it to end."
        )


def record(tx: Tx, ctx: Context, key: str, kind: str, **detail: str | int | float | bool | None) -> None:
    """Write a fact about a resource."""
    tx.journal.record([Fact(ctx.now, kind, "", f"resource/{key}", {"by": ctx.caller.name, **detail})])


def wake(tx: Tx, key: str) -> None:
    """Ask the resource's loop to look again."""
    tx.mark_dirty(DirtyKey("resource", "", key))
