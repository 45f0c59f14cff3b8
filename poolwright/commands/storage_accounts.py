"""Storage accounts: the management resource and what stands behind it, and links of batch accounts to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from poolwright.commands import resources
from poolwright.commands.batch_accounts import KeyPair
from poolwright.commands.context import Context
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.errors import ManagementError
from poolwright.domain.limits import STORAGE_ACCOUNTS_MAX
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import STORAGE_ACCOUNTS, ResourceId
from poolwright.domain.rules import is_account_name
from poolwright.domain.states import ResourceState
from poolwright.domain.storage_account import (
    KEY_NAMES,
    RESERVED,
    ExternalStorage,
    StorageAccount,
    StorageLink,
)
from poolwright.store.base import Tx

NAME_RULE = "A storage account's name has 3 to 24 characters, lower-case letters and digits."
#: What the operator's storage has no second of: its keys are its own.
_FOREIGN_KEY = "The keys of this account belong to the operator's storage and are changed there."


def put(
    tx: Tx, ctx: Context, id: ResourceId, outline: Outline, keys: KeyPair, external: ExternalStorage | None
) -> Accepted:
    """Make an account, or change tags and properties of one that exists; done at once.

    `external`: the operator's storage of this name, which then stands behind the account. 400 for a bad name, 404
    without group, 409 for a name that is taken.
    """
    if not is_account_name(id.name):
        text = f"The name '{id.name[:200]}' is not valid: {NAME_RULE}"
        raise ManagementError(400, "AccountNameInvalid", text, "accountName")
    id, location = resources.check_place(tx, id, outline)
    existing = tx.resources.get(id.key)
    if existing is not None:
        resources.check_same_place(existing, location)
        changed = replace(
            existing, tags=outline.tags, properties=outline.document, sku=outline.sku, modified_at=ctx.now
        )
        return Accepted(tx.resources.update(changed))
    if id.name in RESERVED or tx.storage.get(id.name) is not None:
        raise resources.conflict(
            f"The storage account named {id.name} is already taken.", "StorageAccountAlreadyTaken"
        )
    if len(tx.storage.all()) >= STORAGE_ACCOUNTS_MAX:
        text = f"The subscription has {STORAGE_ACCOUNTS_MAX} storage accounts already, which is its limit."
        raise resources.conflict(text, "MaxStorageAccountsCountPerSubscriptionExceeded")
    made = replace(resources.new(ctx, id, location, outline, None), state=ResourceState.SUCCEEDED)
    resources.insert(tx, ctx, made)
    first, second = (external.key, "") if external is not None else (keys.primary, keys.secondary)
    endpoint = None if external is None else external.endpoint
    tx.storage.put(
        StorageAccount(id.name, made.id, ctx.ids.uuid(), first, second, ctx.now, ctx.now, ctx.now, endpoint)
    )
    return Accepted(made, True)


def patch(
    tx: Tx, ctx: Context, id: ResourceId, tags: tuple[tuple[str, str], ...] | None, document: bytes | None
) -> Resource:
    """Change tags and properties; `document` is the whole of the new properties."""
    existing = resources.get(tx, id)
    if document is not None and document != existing.properties:
        existing = tx.resources.update(replace(existing, properties=document, modified_at=ctx.now))
    return resources.set_tags(tx, ctx, existing, tags)


def account(tx: Tx, id: ResourceId) -> StorageAccount:
    """The account behind a management resource; 404 when there is none."""
    found = tx.storage.by_id(resources.get(tx, id).id)
    if found is None:
        raise resources.not_found(id)
    return found


def regenerate(tx: Tx, ctx: Context, id: ResourceId, which: str, key: str) -> StorageAccount:
    """Replace a key ("key1" or "key2") by this one; the other stays good. 409 for the operator's storage."""
    found = account(tx, id)
    if found.endpoint is not None:
        raise resources.conflict(_FOREIGN_KEY, "KeysNotManagedHere", "keyName")
    if which == KEY_NAMES[0]:
        changed = replace(found, key1=key, key1_at=ctx.now)
    elif which == KEY_NAMES[1]:
        changed = replace(found, key2=key, key2_at=ctx.now)
    else:
        raise resources.bad("keyName", which, f"It must be one of {', '.join(KEY_NAMES)}.")
    tx.storage.put(changed)
    resources.record(tx, ctx, id.key, "storage.regeneratekey", which=which)
    return changed


def delete(tx: Tx, ctx: Context, id: ResourceId) -> bool:
    """Whether there was one. What it holds here goes with it; batch accounts that are linked to it are not looked at,
    as in the public service: what they need of it then fails and says why."""
    existing = tx.resources.get(id.key)
    if existing is None:
        return False
    remove(tx, ctx, existing)
    return True


def remove(tx: Tx, ctx: Context, resource: Resource) -> None:
    """Remove an account that is there."""
    tx.storage.delete(resource.name)
    tx.resources.delete(resource.key)
    resources.record(tx, ctx, resource.key, "resource.delete", type=resource.type)


def adopt(tx: Tx, ctx: Context, known: Iterable[ExternalStorage]) -> list[str]:
    """At a start: accounts that stand for the operator's storage get its key and address as they are told now. Names
    of storage whose account lies in this service's own storage come back: the two must not be mixed up."""
    mixed = []
    for one in known:
        found = tx.storage.get(one.name)
        if found is None or (found.key1, found.endpoint) == (one.key, one.endpoint):
            continue
        if found.endpoint is None:
            mixed.append(one.name)
            continue
        tx.storage.put(replace(found, key1=one.key, key1_at=ctx.now, endpoint=one.endpoint))
    return mixed


def link(tx: Tx, ctx: Context, batch_account: str, storage_id: str | None) -> None:
    """Link a batch account to a storage account, or to none. 400, 404 for an id that names no storage account."""
    if storage_id is None:
        tx.storage.unlink(batch_account)
        return
    target = "properties.autoStorage.storageAccountId"
    found = tx.storage.by_id(resources.referred(tx, target, storage_id, (STORAGE_ACCOUNTS,)).id)
    if found is None:
        raise resources.bad(target, storage_id, "It must be the id of a storage account.")
    known = tx.storage.link_of(batch_account)
    if known is None or known.storage_id != found.resource_id:
        tx.storage.link(StorageLink(batch_account, found.resource_id, found.key1, ctx.now))


def synchronize(tx: Tx, ctx: Context, batch_account: str) -> None:
    """Take the storage account's key as it is now. 409 without a link, or when the storage account has gone."""
    known = tx.storage.link_of(batch_account)
    if known is None:
        text = (
            f"The account '{batch_account}' has no auto storage account, so there are no keys to synchronize."
        )
        raise resources.conflict(text, "AutoStorageAccountNotConfigured")
    found = tx.storage.by_id(known.storage_id)
    if found is None:
        text = f"The auto storage account '{known.storage_id}' does not exist."
        raise resources.conflict(text, "AutoStorageAccountNotFound")
    tx.storage.link(replace(known, key=found.key1, synced_at=ctx.now))
