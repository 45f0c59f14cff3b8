"""Resource groups."""

from __future__ import annotations

from dataclasses import replace

from poolwright.commands import batch_accounts, images, resources, storage_accounts
from poolwright.commands.context import Context
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.compute import disk_state, image_state
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import (
    ACCOUNTS,
    DISKS,
    GROUPS,
    IMAGE_TYPES,
    SNAPSHOTS,
    STORAGE_ACCOUNTS,
    group_id,
)
from poolwright.domain.states import ResourceState
from poolwright.store.base import Tx


def put(tx: Tx, ctx: Context, subscription: str, name: str, outline: Outline) -> Accepted:
    """Make a group (done at once) or replace the tags of one that exists. 409 for another location or when deleting."""
    wanted = group_id(subscription, name)
    location = resources.normal_location(outline.location)
    resources.check_name(wanted)
    existing = tx.resources.get(wanted.key)
    if existing is not None:
        resources.check_not_busy(existing)
        resources.check_same_place(existing, location)
        return Accepted(resources.set_tags(tx, ctx, existing, outline.tags))
    made = replace(
        resources.new(ctx, wanted, location, outline, None), state=ResourceState.SUCCEEDED, properties=b"{}"
    )
    resources.insert(tx, ctx, made)
    return Accepted(made, True)


def patch(
    tx: Tx, ctx: Context, subscription: str, name: str, tags: tuple[tuple[str, str], ...] | None
) -> Resource:
    """Change tags."""
    existing = resources.check_not_busy(resources.get(tx, group_id(subscription, name)))
    return resources.set_tags(tx, ctx, existing, tags)


def members(tx: Tx, group: Resource) -> list[Resource]:
    """Everything in the group."""
    found = tx.resources.select(group.subscription, group.name, None)
    return [resource for resource in found if resource.type != GROUPS]


def delete(tx: Tx, ctx: Context, subscription: str, name: str) -> Accepted:
    """Begin to delete a group and everything in it.

    Images that pools of accounts outside the group use, and disks attached to machines outside it, forbid it (409).
    """
    group = resources.get(tx, group_id(subscription, name))
    inside = members(tx, group)
    accounts = frozenset(resource.name.lower() for resource in inside if resource.type == ACCOUNTS)
    keys = {resource.key for resource in inside}
    for resource in inside:
        if resource.state is ResourceState.DELETING:
            continue
        try:
            _check_member(tx, resource, accounts, keys)
        except ManagementError as error:
            text = f"The resource group '{group.name}' cannot be deleted: {error.message}"
            raise ManagementError(409, "ResourceGroupDeletionBlocked", text, resource.id) from error
    for resource in inside:
        if resource.type == ACCOUNTS:
            batch_accounts.begin_delete(tx, ctx, resource)
        elif resource.type == STORAGE_ACCOUNTS:
            storage_accounts.remove(tx, ctx, resource)
        else:
            resources.begin_delete(tx, ctx, resource)
    return resources.begin_delete(tx, ctx, group)


def _check_member(tx: Tx, resource: Resource, accounts: frozenset[str], keys: set[str]) -> None:
    if resource.type in IMAGE_TYPES and not image_state(resource.inner).force:
        images.check_unused(tx, resource, ignore_accounts=accounts)
    if resource.type == DISKS:
        attached_to = disk_state(resource.inner).attached_to
        if attached_to is not None and attached_to.lower() not in keys:
            raise resources.conflict(
                f"The disk '{resource.id}' is attached to '{attached_to}' of another group."
            )
    if resource.type in IMAGE_TYPES or resource.type in (DISKS, SNAPSHOTS):
        for edge in tx.resources.children(resource.key):
            if edge.child not in keys:
                resources.check_child(tx, resource, edge.child, "delete it")
