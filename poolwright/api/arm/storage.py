"""Microsoft.Storage storageAccounts."""

from __future__ import annotations

from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, empty, listed
from poolwright.api.arm.router import ArmRoute, in_group
from poolwright.api.auth import permission
from poolwright.commands import resources, storage_accounts
from poolwright.commands.resources import Outline
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import STORAGE_ACCOUNTS
from poolwright.domain.rules import is_account_name
from poolwright.domain.storage_account import RESERVED, StorageAccount
from poolwright.store.base import Tx
from poolwright.wire.arm import storage as wire
from poolwright.wire.arm.decode import tags

Found = tuple[Resource, StorageAccount]


def _with_account(tx: Tx, resource: Resource) -> Found:
    account = tx.storage.by_id(resource.id)
    if account is None:
        raise ManagementError(404, "ResourceNotFound", f"'{resource.id}' was not found.")
    return resource, account


def _shown(call: Call, found: Found) -> dict[str, object]:
    resource, account = found
    endpoint = account.endpoint or f"{call.url}/{account.name}"
    return wire.shown(resource, account, f"{endpoint.rstrip('/')}/", call.services.settings.location)


async def put(call: Call) -> Response:
    """Done at once: 200 with the account."""
    body = call.decode(wire.StorageBody)
    id = call.id(STORAGE_ACCOUNTS)
    sku, keys = wire.sku(body, needed=True), call.services.new_keys()
    outline = Outline(body.location, tags(body.tags), sku, wire.document(body, None))
    external = call.services.storage.registered(id.name)

    def command(tx: Tx) -> Found:
        call.check_conditions(tx.resources.get(id.key))
        made = storage_accounts.put(tx, call.context, id, outline, keys, external)
        return _with_account(tx, made.resource)

    return answer(_shown(call, await call.write(command)))


async def get(call: Call) -> Response:
    """One account."""
    id = call.id(STORAGE_ACCOUNTS)
    return answer(_shown(call, await call.read(lambda tx: _with_account(tx, resources.get(tx, id)))))


async def list_all(call: Call) -> Response:
    """Accounts of the subscription or of a group."""
    group = call.params.get("group")

    def query(tx: Tx) -> list[Found]:
        found = resources.select(tx, call.subscription, group, STORAGE_ACCOUNTS)
        return [_with_account(tx, resource) for resource in found]

    return listed([_shown(call, found) for found in await call.read(query)])


async def patch(call: Call) -> Response:
    """Tags and properties."""
    body = call.decode(wire.StorageBody)
    id = call.id(STORAGE_ACCOUNTS)
    changed = tags(body.tags) if body.tags is not None else None
    sku = wire.sku(body, needed=False)

    def command(tx: Tx) -> Found:
        existing = resources.get(tx, id)
        if sku is not None and sku != existing.sku:
            raise resources.bad("sku.name", sku, "The sku of an account that exists cannot be changed here.")
        document = wire.document(body, existing.properties)
        return _with_account(tx, storage_accounts.patch(tx, call.context, id, changed, document))

    return answer(_shown(call, await call.write(command)))


async def delete(call: Call) -> Response:
    """200, or 204 when there is none; what it holds here goes with it."""
    id = call.id(STORAGE_ACCOUNTS)
    return empty(200 if await call.write(lambda tx: storage_accounts.delete(tx, call.context, id)) else 204)


async def list_keys(call: Call) -> Response:
    """All keys."""
    id = call.id(STORAGE_ACCOUNTS)
    return answer(wire.keys(await call.read(lambda tx: storage_accounts.account(tx, id))))


async def regenerate_key(call: Call) -> Response:
    """A fresh key in place of the one named."""
    which = call.decode(wire.KeyBody).key_name.lower()
    fresh, id = call.services.new_keys().primary, call.id(STORAGE_ACCOUNTS)
    changed = await call.write(lambda tx: storage_accounts.regenerate(tx, call.context, id, which, fresh))
    return answer(wire.keys(changed))


async def check_name(call: Call) -> Response:
    """Whether an account of this name could be made."""
    body = call.decode(wire.NameBody)
    if body.type.lower() != STORAGE_ACCOUNTS.lower():
        text = f"The value '{body.type[:100]}' of 'type' is not valid: it must be {STORAGE_ACCOUNTS}."
        raise ManagementError(400, "InvalidParameter", text, "type")
    if not is_account_name(body.name):
        text = f"{body.name[:100]} is not a valid storage account name. {storage_accounts.NAME_RULE}"
        return answer({"nameAvailable": False, "reason": "AccountNameInvalid", "message": text})
    taken = body.name in RESERVED or await call.read(lambda tx: tx.storage.get(body.name)) is not None
    if taken:
        text = f"The storage account named {body.name} is already taken."
        return answer({"nameAvailable": False, "reason": "AlreadyExists", "message": text})
    return answer({"nameAvailable": True})


_ANYWHERE = f"/subscriptions/{{subscription}}/providers/{STORAGE_ACCOUNTS}"
_GROUP = in_group(STORAGE_ACCOUNTS)
_ONE = f"{_GROUP}/{{name}}"
_READ = permission(f"{STORAGE_ACCOUNTS}/read")
_WRITE = permission(f"{STORAGE_ACCOUNTS}/write")
ROUTES = (
    ArmRoute("GET", _ANYWHERE, _READ, list_all),
    ArmRoute("GET", _GROUP, _READ, list_all),
    ArmRoute("GET", _ONE, _READ, get),
    ArmRoute("PUT", _ONE, _WRITE, put),
    ArmRoute("PATCH", _ONE, _WRITE, patch),
    ArmRoute("DELETE", _ONE, permission(f"{STORAGE_ACCOUNTS}/delete"), delete),
    ArmRoute("POST", f"{_ONE}/listKeys", permission(f"{STORAGE_ACCOUNTS}/listkeys/action"), list_keys),
    ArmRoute(
        "POST",
        f"{_ONE}/regenerateKey",
        permission(f"{STORAGE_ACCOUNTS}/regeneratekey/action"),
        regenerate_key,
    ),
    ArmRoute(
        "POST",
        "/subscriptions/{subscription}/providers/Microsoft.Storage/checkNameAvailability",
        permission("Microsoft.Storage/checknameavailability/read"),
        check_name,
    ),
)
