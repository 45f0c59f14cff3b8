"""Batch accounts: the management resource and the account the data plane serves, kept together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from poolwright.commands import jobs, pools, resources, schedules
from poolwright.commands.context import Context, Preconditions, wake
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.account import Account
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import ACCOUNTS, ResourceId
from poolwright.domain.rules import is_account_name
from poolwright.domain.states import JobState, PoolState, ResourceState, ScheduleState
from poolwright.store.base import Tx

_PAGE = 500  # rows looked at in one step while an account is emptied


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Fresh keys, base64 of 64 random bytes each; made outside, where chance comes from."""

    primary: str
    secondary: str


def put(tx: Tx, ctx: Context, id: ResourceId, outline: Outline, keys: KeyPair) -> Accepted:
    """Make an account (done at once) or change the tags and properties of one that exists.

    400 for a bad name, 404 without group, 409 when another group holds an account of this name.
    """
    if not is_account_name(id.name):
        text = (
            f"The name '{id.name[:200]}' is not valid: an account name has 3 to 24 characters, lower-case letters "
            "and digits."
        )
        raise ManagementError(400, "InvalidAccountName", text, "name")
    id, location = resources.check_place(tx, id, outline)
    existing = tx.resources.get(id.key)
    if existing is not None:
        resources.check_not_busy(existing)
        resources.check_same_place(existing, location)
        changed = replace(existing, tags=outline.tags, properties=outline.document, modified_at=ctx.now)
        return Accepted(tx.resources.update(changed))
    if tx.accounts.get(id.name) is not None or _being_emptied(tx, id):
        text = f"An account named '{id.name}' already exists in another resource group."
        raise ManagementError(409, "AccountAlreadyExists", text, "name")
    made = replace(resources.new(ctx, id, location, outline, None), state=ResourceState.SUCCEEDED)
    resources.insert(tx, ctx, made)
    tx.accounts.insert(Account(id.name, made.id, keys.primary, keys.secondary, ctx.now))
    return Accepted(made, True)


def _being_emptied(tx: Tx, id: ResourceId) -> bool:
    same = tx.resources.select(id.subscription, None, ACCOUNTS)
    return any(resource.name.lower() == id.name.lower() for resource in same)


def patch(
    tx: Tx, ctx: Context, id: ResourceId, tags: tuple[tuple[str, str], ...] | None, document: bytes | None
) -> Resource:
    """Change tags and properties; `document` is the whole of the new properties."""
    existing = resources.check_not_busy(resources.get(tx, id))
    if document is not None and document != existing.properties:
        existing = tx.resources.update(replace(existing, properties=document, modified_at=ctx.now))
    return resources.set_tags(tx, ctx, existing, tags)


def account(tx: Tx, id: ResourceId) -> Account:
    """The account behind a management resource; 404 when there is none."""
    resource = resources.get(tx, id)
    found = tx.accounts.get(resource.name)
    if found is None:
        raise resources.conflict(f"The account '{resource.name}' is being deleted.")
    return found


def regenerate(tx: Tx, ctx: Context, id: ResourceId, which: str, key: str) -> Account:
    """Replace one key. `which` is "Primary" or "Secondary"; the other key stays valid."""
    found = account(tx, id)
    if which == "Primary":
        changed = replace(found, primary_key=key)
    elif which == "Secondary":
        changed = replace(found, secondary_key=key)
    else:
        raise resources.bad("keyName", which, "It must be Primary or Secondary.")
    tx.accounts.update(changed)
    resources.record(tx, ctx, id.key, "account.regeneratekey", which=which)
    return changed


def delete(tx: Tx, ctx: Context, id: ResourceId) -> Accepted | None:
    """Begin to delete an account with its pools and jobs; None when there is none."""
    existing = tx.resources.get(id.key)
    return None if existing is None else begin_delete(tx, ctx, existing)


def begin_delete(tx: Tx, ctx: Context, resource: Resource) -> Accepted:
    """Close the account at once, so that nothing new is made in it, and turn its jobs and pools towards deletion."""
    if resource.state is not ResourceState.DELETING:
        tx.accounts.delete(resource.name)
        _empty(tx, ctx, resource.name)
    return resources.begin_delete(tx, ctx, resource)


def _empty(tx: Tx, ctx: Context, name: str) -> None:
    tx.applications.delete_account(name)
    tx.certificates.delete_account(name)
    wake(tx, "packages", "", "all")
    after: str | None = None
    while listed := tx.schedules.page(name, after, _PAGE):
        for schedule in listed:
            if schedule.state is not ScheduleState.DELETING:
                schedules.delete(tx, ctx, name, schedule.id, Preconditions())
        after = listed[-1].id
    after = None
    while page := tx.jobs.page(name, after, _PAGE):
        for job in page:
            if job.state is not JobState.DELETING:
                jobs.delete(tx, ctx, name, job.id, Preconditions())
        after = page[-1].id
    after = None
    while found := tx.pools.page(name, after, _PAGE):
        for pool in found:
            if pool.state is not PoolState.DELETING:
                pools.delete(tx, ctx, name, pool.id, Preconditions(), force=True)
        after = found[-1].id
