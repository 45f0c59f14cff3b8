"""Microsoft.Batch batchAccounts/applications and their versions."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, empty, listed
from poolwright.api.arm.router import ArmRoute, in_group
from poolwright.api.auth import permission
from poolwright.commands import applications, batch_accounts
from poolwright.commands.applications import Change
from poolwright.domain.account import Account
from poolwright.domain.errors import ManagementError
from poolwright.domain.limits import APPLICATIONS_MAX
from poolwright.domain.package import Application, Package
from poolwright.domain.resource_id import ACCOUNTS
from poolwright.store.base import Tx
from poolwright.wire.arm import applications as wire
from poolwright.wire.arm.decode import decode

_FORMAT = "zip"


def _account(tx: Tx, call: Call) -> Account:
    return batch_accounts.account(tx, call.id(ACCOUNTS))


def _id(call: Call) -> str:
    return call.params["application"]


def _change(call: Call) -> Change:
    """What a body says; a property that is null has no value. Without a body nothing is said."""
    if not call.body:
        return Change()
    body = decode(call.body, wire.ApplicationBody)
    given = body.properties or wire.ApplicationProperties()
    raw = msgspec.json.decode(call.body).get("properties") or {}
    values = {
        "display_name": given.display_name,
        "allow_updates": given.allow_updates,
        "default_version": given.default_version,
    }
    set_ = {name: None if value is msgspec.UNSET else value for name, value in values.items()}
    return Change(**set_, named=frozenset(raw))  # type: ignore[arg-type]


def _shown(account: Account, application: Application) -> Response:
    return answer(wire.shown(application, account.resource_id))


async def put(call: Call) -> Response:
    """200 with the application."""
    change = _change(call)

    def command(tx: Tx) -> tuple[Account, Application]:
        account = _account(tx, call)
        return account, applications.put(tx, call.context, account.name, _id(call), change)

    return _shown(*await call.write(command))


async def patch(call: Call) -> Response:
    """Change what the body names."""
    change = _change(call)

    def command(tx: Tx) -> tuple[Account, Application]:
        account = _account(tx, call)
        return account, applications.patch(tx, call.context, account.name, _id(call), change)

    return _shown(*await call.write(command))


async def get(call: Call) -> Response:
    """One application."""

    def query(tx: Tx) -> tuple[Account, Application]:
        account = _account(tx, call)
        return account, applications.get(tx, account.name, _id(call))

    return _shown(*await call.read(query))


async def list_all(call: Call) -> Response:
    """All of an account: so few that they are one page, whatever `maxresults` says."""

    def query(tx: Tx) -> tuple[Account, list[Application]]:
        account = _account(tx, call)
        return account, tx.applications.page(account.name, None, APPLICATIONS_MAX)

    account, found = await call.read(query)
    return listed([wire.shown(one, account.resource_id) for one in found])


async def delete(call: Call) -> Response:
    """200, or 204 when there is none."""

    def command(tx: Tx) -> bool:
        return applications.delete(tx, call.context, _account(tx, call).name, _id(call))

    return empty(200 if await call.write(command) else 204)


async def _package(call: Call, account: Account, package: Package) -> wire.Json:
    url = await call.services.storage.package_url(call.url, package)
    return wire.shown_package(package, account.resource_id, url)


def _found(tx: Tx, call: Call) -> tuple[Account, Package]:
    account = _account(tx, call)
    return account, applications.get_package(tx, account.name, _id(call), call.params["version"])


async def put_package(call: Call) -> Response:
    """200 with the package and where to upload it."""
    secret = call.services.ids.uuid() + call.services.ids.uuid()

    def command(tx: Tx) -> tuple[Account, Package]:
        account = _account(tx, call)
        version = call.params["version"]
        link = tx.storage.link_of(account.name)
        storage = None if link is None else link.storage_id
        name = account.name
        return account, applications.put_package(tx, call.context, name, _id(call), version, secret, storage)

    account, package = await call.write(command)
    await call.services.storage.prepare(package)
    return answer(await _package(call, account, package))


async def activate(call: Call) -> Response:
    """200 once nodes get what was uploaded. 409 without an upload, or when it is not a zip file fit to unpack."""
    body = call.decode(wire.ActivateBody)
    if body.format.lower() != _FORMAT:
        text = f"The value '{body.format[:100]}' of 'format' is not valid: it must be {_FORMAT}."
        raise ManagementError(400, "InvalidParameter", text, "format")
    account, package = await call.read(lambda tx: _found(tx, call))
    await call.services.storage.bring(package)
    async with call.services.packages.activation(package) as upload:
        after = await call.write(lambda tx: applications.activated(tx, call.context, package, upload))
    return answer(await _package(call, account, after))


async def get_package(call: Call) -> Response:
    """One package."""
    return answer(await _package(call, *await call.read(lambda tx: _found(tx, call))))


async def list_packages(call: Call) -> Response:
    """All of an application: so few that they are one page, whatever `maxresults` says."""

    def query(tx: Tx) -> tuple[Account, list[Package]]:
        account = _account(tx, call)
        application = applications.get(tx, account.name, _id(call))
        return account, tx.applications.packages(account.name, application.id)

    account, found = await call.read(query)
    return listed([await _package(call, account, one) for one in found])


async def delete_package(call: Call) -> Response:
    """200, or 204 when there is none."""

    def command(tx: Tx) -> Package | None:
        account = _account(tx, call)
        version = call.params["version"]
        return applications.delete_package(tx, call.context, account.name, _id(call), version)

    gone = await call.write(command)
    if gone is None:
        return empty(204)
    await call.services.storage.discard(gone)
    return empty(200)


_ALL = f"{in_group(ACCOUNTS)}/{{name}}/applications"
_ONE = f"{_ALL}/{{application}}"
_VERSIONS = f"{_ONE}/versions"
_VERSION = f"{_VERSIONS}/{{version}}"
_RIGHT = f"{ACCOUNTS}/applications"
ROUTES = (
    ArmRoute("GET", _ALL, permission(f"{_RIGHT}/read"), list_all),
    ArmRoute("GET", _ONE, permission(f"{_RIGHT}/read"), get),
    ArmRoute("PUT", _ONE, permission(f"{_RIGHT}/write"), put),
    ArmRoute("PATCH", _ONE, permission(f"{_RIGHT}/write"), patch),
    ArmRoute("DELETE", _ONE, permission(f"{_RIGHT}/delete"), delete),
    ArmRoute("GET", _VERSIONS, permission(f"{_RIGHT}/versions/read"), list_packages),
    ArmRoute("GET", _VERSION, permission(f"{_RIGHT}/versions/read"), get_package),
    ArmRoute("PUT", _VERSION, permission(f"{_RIGHT}/versions/write"), put_package),
    ArmRoute("DELETE", _VERSION, permission(f"{_RIGHT}/versions/delete"), delete_package),
    ArmRoute("POST", f"{_VERSION}/activate", permission(f"{_RIGHT}/versions/activate/action"), activate),
)
