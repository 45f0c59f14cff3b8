"""Microsoft.Batch applications and application packages: request bodies and answers."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from poolwright.domain.clock import etag
from poolwright.domain.package import Application, Package
from poolwright.wire.times import iso

Json = dict[str, Any]
_TYPE = "Microsoft.Batch/batchAccounts/applications"


class ApplicationProperties(Struct, frozen=True, rename="camel"):
    """A property given as null is no value; one left out is not spoken of."""

    display_name: str | UnsetType | None = UNSET
    allow_updates: bool | UnsetType | None = UNSET
    default_version: str | UnsetType | None = UNSET


class ApplicationBody(Struct, frozen=True):
    """PUT and PATCH of an application."""

    properties: ApplicationProperties | None = None


class ActivateBody(Struct, frozen=True):
    """POST activate."""

    format: str


def shown(application: Application, account_id: str) -> Json:
    """An application as answered. `account_id` is the resource id of its account."""
    properties: Json = {"allowUpdates": application.allow_updates}
    if application.display_name is not None:
        properties["displayName"] = application.display_name
    if application.default_version is not None:
        properties["defaultVersion"] = application.default_version
    return {
        "id": f"{account_id}/applications/{application.id}",
        "name": application.id,
        "type": _TYPE,
        "etag": f'W/"{etag(application.modified_at)}"',
        "properties": properties,
    }


def shown_package(package: Package, account_id: str, url: str | None) -> Json:
    """A package as answered, with the address `url` to upload to where there is one."""
    properties: Json = {"state": "Pending" if package.digest is None else "Active"}
    if package.digest is not None:
        properties["format"] = "zip"
    if url is not None:
        properties["storageUrl"] = url
        properties["storageUrlExpiry"] = iso(package.url_until)
    if package.activated_at is not None:
        properties["lastActivationTime"] = iso(package.activated_at)
    return {
        "id": f"{account_id}/applications/{package.application}/versions/{package.version}",
        "name": package.version,
        "type": f"{_TYPE}/versions",
        "etag": f'W/"{etag(package.modified_at)}"',
        "properties": properties,
    }
