"""Microsoft.Storage accounts: request bodies, documents to keep, answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Resource
from poolwright.domain.storage_account import KEY_NAMES, StorageAccount
from poolwright.wire.arm.compute_out import envelope
from poolwright.wire.arm.decode import one_of
from poolwright.wire.arm.times import shown as shown_time

Json = dict[str, Any]

KINDS = ("StorageV2", "Storage", "BlobStorage", "BlockBlobStorage")
SKUS = (
    "Standard_LRS",
    "Standard_GRS",
    "Standard_RAGRS",
    "Standard_ZRS",
    "Standard_GZRS",
    "Standard_RAGZRS",
    "Premium_LRS",
    "Premium_ZRS",
)
#: What properties may say, because it is so here anyway. Everything else would be a promise that nothing keeps.
_TRUE_HERE: Mapping[str, tuple[Any, ...]] = {
    "accessTier": ("Hot",),
    "supportsHttpsTrafficOnly": (True,),
    "minimumTlsVersion": ("TLS1_0", "TLS1_1", "TLS1_2"),
    "allowBlobPublicAccess": (False,),
    "allowSharedKeyAccess": (True,),
    "allowCrossTenantReplication": (False,),
    "allowCrossTenantDelegationSas": (False,),
    "defaultToOAuthAuthentication": (False,),
    "publicNetworkAccess": ("Enabled",),
    "dnsEndpointType": ("Standard",),
    "isHnsEnabled": (False,),
    "isNfsV3Enabled": (False,),
    "isSftpEnabled": (False,),
    "isLocalUserEnabled": (False,),
    "enableExtendedGroups": (False,),
    "largeFileSharesState": ("Disabled",),
}
_NETWORK = {"defaultAction": ("Allow",), "bypass": ("AzureServices", "None")}
_SHOWN: Json = {
    "accessTier": "Hot",
    "supportsHttpsTrafficOnly": True,
    "minimumTlsVersion": "TLS1_2",
    "allowBlobPublicAccess": False,
    "allowSharedKeyAccess": True,
    "publicNetworkAccess": "Enabled",
    "networkAcls": {
        "defaultAction": "Allow",
        "bypass": "AzureServices",
        "ipRules": [],
        "virtualNetworkRules": [],
    },
}


class Sku(Struct, frozen=True):
    name: str


class StorageBody(Struct, frozen=True):
    """PUT and PATCH of a storage account."""

    location: str | None = None
    tags: dict[str, str] | None = None
    sku: Sku | None = None
    kind: str | None = None
    properties: dict[str, Any] | None = None
    identity: dict[str, Any] | None = None
    extendedLocation: dict[str, Any] | None = None  # noqa: N815 - the wire's name
    zones: list[str] | None = None


class KeyBody(Struct, frozen=True, rename="camel"):
    """POST regenerateKey."""

    key_name: str


class NameBody(Struct, frozen=True):
    """POST checkNameAvailability."""

    name: str
    type: str


def sku(body: StorageBody, *, needed: bool) -> str | None:
    """The sku in its published spelling. 400 for others, and for none where one is needed."""
    if body.sku is None:
        if needed:
            raise ManagementError(
                400, "InvalidParameter", "Required parameter 'sku' is missing (null).", "sku"
            )
        return None
    return one_of("sku.name", body.sku.name, SKUS)


def document(body: StorageBody, base: bytes | None) -> bytes:
    """The properties to keep: those given over those there were (`base`; None for a new account). 400 for what is not
    in force here."""
    if body.identity is not None and str(body.identity.get("type", "None")) != "None":
        raise _unsupported(
            "identity.type", body.identity.get("type"), "accounts have no managed identity here"
        )
    if body.extendedLocation is not None:
        raise _unsupported(
            "extendedLocation", json.dumps(body.extendedLocation), "there are no edge zones here"
        )
    if body.zones:
        raise _unsupported("zones", ", ".join(body.zones), "there are no zones here")
    kept: Json = {} if base is None else json.loads(base)
    if body.kind is not None or base is None:
        kept["kind"] = _kind(body.kind)
    for name, value in (body.properties or {}).items():
        kept |= _property(name, value)
    return json.dumps(kept, separators=(",", ":"), sort_keys=True).encode()


def _kind(kind: str | None) -> str:
    if kind is None:
        raise ManagementError(400, "InvalidParameter", "Required parameter 'kind' is missing (null).", "kind")
    if kind.lower() == "filestorage":
        raise _unsupported("kind", kind, "there are no file shares here, only blobs")
    return one_of("kind", kind, KINDS) or ""


def _property(name: str, value: Any) -> Json:
    target = f"properties.{name}"
    if name == "networkAcls" and isinstance(value, dict):
        for part, told in value.items():
            if told not in ([], *_NETWORK.get(part, ())):
                raise _unsupported(f"{target}.{part}", told, "the service has one listener for all accounts")
        return {}
    if name == "encryption" and isinstance(value, dict):
        # What every client sends when nothing was asked for. Nothing is encrypted, and no answer says that it is.
        if value.get("keySource", "Microsoft.Storage") == "Microsoft.Storage" and set(value) <= {
            "keySource",
            "services",
        }:
            return {}
        raise _unsupported(target, value.get("keySource"), "blobs are not encrypted by this service")
    allowed = _TRUE_HERE.get(name)
    if allowed is None:
        raise _unsupported(target, value, "it has no effect here")
    if value not in allowed:
        told = ", ".join(str(one) for one in allowed)
        raise _unsupported(target, value, f"the only value in force is {told}")
    return {name: value}


def _unsupported(target: str, value: object, reason: str) -> ManagementError:
    text = f"The value '{str(value)[:200]}' of '{target}' is not supported: {reason}."
    return ManagementError(400, "InvalidParameter", text, target)


def shown(resource: Resource, account: StorageAccount, blob_endpoint: str, location: str) -> Json:
    """An account as answered. `blob_endpoint` is the URL of its blobs as the caller reaches it."""
    kept = json.loads(resource.properties)
    kind = kept.pop("kind", KINDS[0])
    times = {KEY_NAMES[0]: shown_time(account.key1_at)}
    if account.key2:
        times[KEY_NAMES[1]] = shown_time(account.key2_at)
    properties: Json = {
        **_SHOWN,
        **kept,
        "provisioningState": resource.state.value,
        "creationTime": shown_time(account.created_at),
        "primaryLocation": resource.location or location,
        "statusOfPrimary": "available",
        "primaryEndpoints": {"blob": blob_endpoint},
        "keyCreationTime": times,
        "privateEndpointConnections": [],
    }
    if account.endpoint is not None:
        # What the operator's storage allows is not known here.
        for name in ("supportsHttpsTrafficOnly", "minimumTlsVersion", "allowBlobPublicAccess", "networkAcls"):
            properties.pop(name, None)
    answer = envelope(resource, properties)
    tier = (resource.sku or SKUS[0]).partition("_")[0]
    return {**answer, "kind": kind, "sku": {"name": resource.sku or SKUS[0], "tier": tier}}


def keys(account: StorageAccount) -> Json:
    """The keys of an account."""
    times = (account.key1_at, account.key2_at)
    rows = [
        {"keyName": name, "value": key, "permissions": "FULL", "creationTime": shown_time(at)}
        for name, key, at in zip(KEY_NAMES, (account.key1, account.key2), times, strict=True)
        if key
    ]
    return {"keys": rows}
