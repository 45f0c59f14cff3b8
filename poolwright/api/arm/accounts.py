"""Microsoft.Batch batchAccounts and what belongs to a location."""

from __future__ import annotations

from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, empty, listed, location_polling
from poolwright.api.arm.router import ArmRoute, in_group
from poolwright.api.auth import permission
from poolwright.commands import batch_accounts, resources, storage_accounts
from poolwright.commands.resources import Outline
from poolwright.domain.account import Account
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import ACCOUNTS
from poolwright.domain.rules import is_account_name
from poolwright.domain.storage_account import StorageLink
from poolwright.store.base import Tx
from poolwright.wire.arm import accounts as wire
from poolwright.wire.arm.decode import one_of, tags
from poolwright.wire.arm.marketplace import skus

Found = tuple[Resource, StorageLink | None]
_ACCOUNTS_PER_SUBSCRIPTION = 50  # the public ceiling; shown, not enforced, since nothing here runs out


def _shown(call: Call, found: Found) -> dict[str, object]:
    resource, link = found
    endpoint = call.services.endpoint.account_endpoint(resource.name, call.authority)
    return wire.shown(resource, endpoint, call.services.settings.quotas, link)


def _with_link(tx: Tx, resource: Resource) -> Found:
    return resource, tx.storage.link_of(resource.name)


async def put(call: Call) -> Response:
    """Done at once: 200 with the account."""
    body = call.decode(wire.AccountBody)
    id = call.id(ACCOUNTS)
    outline = Outline(body.location, tags(body.tags), document=wire.document(body))
    keys = call.services.new_keys()
    linked = wire.linked_storage(body)

    def command(tx: Tx) -> Found:
        call.check_conditions(tx.resources.get(id.key))
        resource = batch_accounts.put(tx, call.context, id, outline, keys).resource
        storage_accounts.link(tx, call.context, resource.name, linked)
        return _with_link(tx, resource)

    return answer(_shown(call, await call.write(command)))


async def get(call: Call) -> Response:
    """One account."""
    found = await call.read(lambda tx: _with_link(tx, resources.get(tx, call.id(ACCOUNTS))))
    return answer(_shown(call, found))


async def list_all(call: Call) -> Response:
    """Accounts of the subscription or of a group."""
    group = call.params.get("group")

    def query(tx: Tx) -> list[Found]:
        return [_with_link(tx, one) for one in resources.select(tx, call.subscription, group, ACCOUNTS)]

    return listed([_shown(call, found) for found in await call.read(query)])


async def patch(call: Call) -> Response:
    """Tags and properties. Storage stays linked unless the body links another or says null."""
    body = call.decode(wire.AccountBody)
    id = call.id(ACCOUNTS)
    changed = tags(body.tags) if body.tags is not None else None
    linked = wire.linked_storage(body)
    unlinks = wire.unlinks_storage(call.body)

    def command(tx: Tx) -> Found:
        existing = resources.get(tx, id)
        document = wire.document(body, existing.properties) if body.properties is not None else None
        resource = batch_accounts.patch(tx, call.context, id, changed, document)
        if linked is not None or unlinks:
            storage_accounts.link(tx, call.context, resource.name, linked)
        return _with_link(tx, resource)

    return answer(_shown(call, await call.write(command)))


async def delete(call: Call) -> Response:
    """202, or 204 when there is none; its pools and jobs go with it."""
    id = call.id(ACCOUNTS)
    gone = await call.write(lambda tx: batch_accounts.delete(tx, call.context, id))
    if gone is None or gone.operation is None:
        return empty(204)
    return empty(202, location_polling(call, f"{gone.resource.id}/operationResults", gone.operation))


async def list_keys(call: Call) -> Response:
    """Both keys."""
    account = await call.read(lambda tx: batch_accounts.account(tx, call.id(ACCOUNTS)))
    return _keys(account)


async def regenerate_keys(call: Call) -> Response:
    """A fresh key in place of the one named."""
    body = call.decode(wire.KeyBody)
    which = one_of("keyName", body.key_name, ("Primary", "Secondary")) or ""
    fresh = call.services.new_keys().primary
    return _keys(
        await call.write(
            lambda tx: batch_accounts.regenerate(tx, call.context, call.id(ACCOUNTS), which, fresh)
        )
    )


def _keys(account: Account) -> Response:
    return answer(wire.keys(account))


async def sync_storage_keys(call: Call) -> Response:
    """204 once the account's copy of its storage account's key is the present one. 409 without linked storage."""

    def command(tx: Tx) -> None:
        account = batch_accounts.account(tx, call.id(ACCOUNTS))
        storage_accounts.synchronize(tx, call.context, account.name)

    await call.write(command)
    return empty(204)


async def quotas(_call: Call) -> Response:
    """How many accounts there may be."""
    return answer({"accountQuota": _ACCOUNTS_PER_SUBSCRIPTION})


async def check_name(call: Call) -> Response:
    """Whether an account of this name could be made."""
    body = call.decode(wire.NameBody)
    if body.type.lower() != ACCOUNTS.lower():
        text = f"The value '{body.type[:100]}' of 'type' is not valid: it must be {ACCOUNTS}."
        raise ManagementError(400, "InvalidParameter", text, "type")
    if not is_account_name(body.name):
        text = "An account name has 3 to 24 characters, lower-case letters and digits."
        return answer({"nameAvailable": False, "reason": "Invalid", "message": text})
    if await call.read(lambda tx: tx.accounts.get(body.name)) is not None:
        text = f"An account named '{body.name}' already exists."
        return answer({"nameAvailable": False, "reason": "AlreadyExists", "message": text})
    return answer({"nameAvailable": True})


async def supported_sizes(call: Call) -> Response:
    """Sizes a pool can have."""
    found = skus(call.services.settings.location)
    return listed(
        [
            {
                "name": entry["name"],
                "familyName": entry["family"],
                "capabilities": entry["capabilities"],
            }
            for entry in found
        ]
    )


_ANYWHERE = f"/subscriptions/{{subscription}}/providers/{ACCOUNTS}"
_GROUP = in_group(ACCOUNTS)
_ONE = f"{_GROUP}/{{name}}"
_LOCATION = "/subscriptions/{subscription}/providers/Microsoft.Batch/locations/{location}"
_READ = permission(f"{ACCOUNTS}/read")
_WRITE = permission(f"{ACCOUNTS}/write")
ROUTES = (
    ArmRoute("GET", _ANYWHERE, _READ, list_all),
    ArmRoute("GET", _GROUP, _READ, list_all),
    ArmRoute("GET", _ONE, _READ, get),
    ArmRoute("PUT", _ONE, _WRITE, put),
    ArmRoute("PATCH", _ONE, _WRITE, patch),
    ArmRoute("DELETE", _ONE, permission(f"{ACCOUNTS}/delete"), delete),
    ArmRoute("POST", f"{_ONE}/listKeys", permission(f"{ACCOUNTS}/listkeys/action"), list_keys),
    ArmRoute(
        "POST", f"{_ONE}/regenerateKeys", permission(f"{ACCOUNTS}/regeneratekeys/action"), regenerate_keys
    ),
    ArmRoute(
        "POST",
        f"{_ONE}/syncAutoStorageKeys",
        permission(f"{ACCOUNTS}/syncAutoStorageKeys/action"),
        sync_storage_keys,
    ),
    ArmRoute("GET", f"{_LOCATION}/quotas", permission("Microsoft.Batch/locations/quotas/read"), quotas),
    ArmRoute(
        "GET",
        f"{_LOCATION}/virtualMachineSkus",
        permission("Microsoft.Batch/locations/virtualMachineSkus/read"),
        supported_sizes,
    ),
    ArmRoute(
        "POST",
        f"{_LOCATION}/checkNameAvailability",
        permission("Microsoft.Batch/locations/checkNameAvailability/read"),
        check_name,
    ),
)
