"""Microsoft.Batch accounts: request bodies, documents to keep, answers."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Struct

from poolwright.domain.account import Account
from poolwright.domain.errors import ManagementError
from poolwright.domain.limits import Quotas
from poolwright.domain.resource import Resource
from poolwright.domain.storage_account import StorageLink
from poolwright.wire.arm.compute_out import envelope
from poolwright.wire.arm.decode import one_of
from poolwright.wire.arm.times import shown as shown_time

UNLIMITED = 2**31 - 1  # shown where the operator set no limit: the largest number every client can hold
MODES = ("SharedKey", "AAD", "TaskAuthenticationToken")
LINK_MODES = ("StorageKeys", "BatchAccountManagedIdentity")
Json = dict[str, Any]


class AutoStorage(Struct, frozen=True, omit_defaults=True, rename="camel"):
    storage_account_id: str
    authentication_mode: str | None = None
    node_identity_reference: dict[str, str] | None = None


class AccountProperties(Struct, frozen=True, omit_defaults=True, rename="camel"):
    auto_storage: AutoStorage | None = None
    pool_allocation_mode: str | None = None
    public_network_access: str | None = None
    allowed_authentication_modes: list[str] | None = None


class AccountBody(Struct, frozen=True):
    """PUT and PATCH of an account."""

    location: str | None = None
    tags: dict[str, str] | None = None
    properties: AccountProperties | None = None


class KeyBody(Struct, frozen=True, rename="camel"):
    """POST regenerateKeys."""

    key_name: str


class NameBody(Struct, frozen=True):
    """POST checkNameAvailability."""

    name: str
    type: str


def document(body: AccountBody, base: bytes = b"{}") -> bytes:
    """The properties to keep: those given over those there were. 400 for values outside their enum."""
    given = body.properties or AccountProperties()
    mode = one_of(
        "properties.poolAllocationMode", given.pool_allocation_mode, ("BatchService", "UserSubscription")
    )
    if mode == "UserSubscription":
        raise _unsupported("properties.poolAllocationMode", mode, "use BatchService")
    access = one_of(
        "properties.publicNetworkAccess",
        given.public_network_access,
        ("Enabled", "Disabled", "SecuredByPerimeter"),
    )
    if access not in (None, "Enabled"):
        raise _unsupported(
            "properties.publicNetworkAccess", access, "the service has one listener for all accounts"
        )
    modes = given.allowed_authentication_modes
    if modes is not None:
        target = "properties.allowedAuthenticationModes"
        modes = [one_of(f"{target}[{index}]", value, MODES) or "" for index, value in enumerate(modes)]
        # What is not enforced is not accepted: a caller who shuts a door must be able to rely on it.
        if not {"SharedKey", "AAD"} <= set(modes):
            reason = "SharedKey and AAD cannot be switched off for one account"
            raise _unsupported(target, ", ".join(modes), reason)
    changed = msgspec.structs.replace(
        given,
        auto_storage=None,
        pool_allocation_mode=mode,
        public_network_access=access,
        allowed_authentication_modes=modes,
    )
    return json.dumps(json.loads(base) | msgspec.to_builtins(changed), separators=(",", ":")).encode()


def linked_storage(body: AccountBody) -> str | None:
    """The id of the storage account that a body links; None when it names none. 400 for what is not in force."""
    given = (body.properties or AccountProperties()).auto_storage
    if given is None:
        return None
    target = "properties.autoStorage"
    mode = one_of(f"{target}.authenticationMode", given.authentication_mode, LINK_MODES, LINK_MODES[0])
    if mode != LINK_MODES[0]:
        raise _unsupported(f"{target}.authenticationMode", mode, "accounts have no managed identity here")
    if given.node_identity_reference is not None:
        value = given.node_identity_reference.get("resourceId")
        raise _unsupported(f"{target}.nodeIdentityReference", value, "nodes have no managed identity here")
    return given.storage_account_id


def unlinks_storage(body: bytes) -> bool:
    """Whether a body of PATCH, which was decoded before, says `autoStorage: null`: a merge (RFC 7396) takes it away.

    The decoded body does not tell: for Resource Manager null is the same as left out.
    """
    properties = json.loads(body).get("properties") or {}
    return "autoStorage" in properties and properties["autoStorage"] is None


def _unsupported(target: str, value: str | None, reason: str) -> ManagementError:
    text = f"The value '{value}' of '{target}' is not supported: {reason}."
    return ManagementError(400, "InvalidParameter", text, target)


def shown(resource: Resource, endpoint: str, quotas: Quotas, link: StorageLink | None) -> Json:
    """An account as answered. `endpoint` is host[:port][/prefix] of its data plane."""
    properties: Json = {
        "poolAllocationMode": "BatchService",
        "publicNetworkAccess": "Enabled",
        "allowedAuthenticationModes": list(MODES),
        "encryption": {"keySource": "Microsoft.Batch"},
        "privateEndpointConnections": [],
        **json.loads(resource.properties),
        "accountEndpoint": endpoint,
        "nodeManagementEndpoint": endpoint,
        "provisioningState": resource.state.value,
        "dedicatedCoreQuota": _quota(quotas.dedicated_cores),
        "dedicatedCoreQuotaPerVMFamily": [],
        "dedicatedCoreQuotaPerVMFamilyEnforced": False,
        "lowPriorityCoreQuota": _quota(quotas.low_priority_cores),
        "poolQuota": quotas.pools,
        "activeJobAndJobScheduleQuota": quotas.active_jobs,
    }
    if link is not None:
        properties["autoStorage"] = {
            "storageAccountId": link.storage_id,
            "lastKeySync": shown_time(link.synced_at),
            "authenticationMode": LINK_MODES[0],
        }
    answer = envelope(resource, properties)
    answer["identity"] = {"type": "None"}
    return answer


def _quota(limit: int | None) -> int:
    return UNLIMITED if limit is None else limit


def keys(account: Account) -> Json:
    """Both keys of an account."""
    return {"accountName": account.name, "primary": account.primary_key, "secondary": account.secondary_key}
