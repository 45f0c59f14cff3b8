"""What a client reads before it manages anything: cloud metadata, tenants, subscriptions, providers, groups."""

from __future__ import annotations

from typing import Any

from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import TYPES

Json = dict[str, Any]

BATCH_AUDIENCE = "https://batch.core.windows.net/"
API_VERSIONS = (
    "2026-04-01",
    "2026-03-02",
    "2025-06-01",
    "2025-04-01",
    "2025-01-02",
    "2024-11-01",
    "2024-07-01",
    "2024-02-01",
    "2022-12-01",
)
"""Shown to clients that pick a version from the list. Any well-formed date is accepted."""
_EXTRA_TYPES = {
    "Microsoft.Compute": (
        "locations",
        "locations/vmSizes",
        "locations/publishers",
        "locations/usages",
        "operations",
    ),
    "Microsoft.Batch": (
        "batchAccounts/pools",
        "locations",
        "locations/quotas",
        "locations/checkNameAvailability",
    ),
    "Microsoft.Storage": ("checkNameAvailability", "operations"),
    "Microsoft.Resources": ("subscriptions", "tenants", "subscriptions/resourceGroups", "resources"),
}


def metadata_2015(arm: str, login: str) -> Json:
    """`/metadata/endpoints?api-version=2015-01-01`, the shape of old tools. Both arguments are URLs without a slash."""
    return {
        "galleryEndpoint": arm,
        "graphEndpoint": arm,
        "portalEndpoint": arm,
        "authentication": {"loginEndpoint": login, "audiences": [arm]},
    }


def metadata(arm: str, login: str, host: str) -> Json:
    """One cloud as newer tools read it. `host` is the server's host name without port."""
    return {
        "name": "Poolwright",
        "portal": arm,
        "authentication": {
            "loginEndpoint": login,
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graph": arm,
        "graphAudience": "https://graph.windows.net/",
        "microsoftGraphResourceId": "https://graph.microsoft.com/",
        "media": arm,
        "batch": BATCH_AUDIENCE,
        "resourceManager": arm,
        "gallery": arm,
        "sqlManagement": arm,
        "vmImageAliasDoc": f"{arm}/metadata/aliases.json",
        "activeDirectoryDataLake": arm,
        "suffixes": {
            "storage": host,
            "keyVaultDns": host,
            "sqlServerHostname": host,
            "acrLoginServer": host,
            "mhsmDns": host,
        },
    }


def tenant(tenant_id: str) -> Json:
    """The one tenant."""
    return {
        "id": f"/tenants/{tenant_id}",
        "tenantId": tenant_id,
        "displayName": "Poolwright",
        "tenantCategory": "Home",
        "domains": [],
    }


def subscription(subscription_id: str, tenant_id: str) -> Json:
    """The one subscription."""
    return {
        "id": f"/subscriptions/{subscription_id}",
        "subscriptionId": subscription_id,
        "tenantId": tenant_id,
        "displayName": "Poolwright",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {"spendingLimit": "Off"},
    }


def location(subscription_id: str, name: str) -> Json:
    """The place this service runs in."""
    return {
        "id": f"/subscriptions/{subscription_id}/locations/{name}",
        "name": name,
        "type": "Region",
        "displayName": name,
        "regionalDisplayName": name,
        "metadata": {"regionType": "Physical", "regionCategory": "Recommended", "pairedRegion": []},
    }


def provider(subscription_id: str, namespace: str, location_name: str) -> Json | None:
    """A resource provider, always registered; None for one this service does not have."""
    known = next((name for name in _EXTRA_TYPES if name.lower() == namespace.lower()), None)
    if known is None:
        return None
    kinds = [full.partition("/")[2] for full in TYPES.values() if full.partition("/")[0] == known]
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{known}",
        "namespace": known,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationFree",
        "resourceTypes": [
            {
                "resourceType": kind,
                "locations": [location_name],
                "apiVersions": list(API_VERSIONS),
                "defaultApiVersion": API_VERSIONS[0],
                "capabilities": "None",
            }
            for kind in dict.fromkeys([*kinds, *_EXTRA_TYPES[known]])
        ],
    }


def providers(subscription_id: str, location_name: str) -> list[Json]:
    """All of them."""
    found = (provider(subscription_id, name, location_name) for name in _EXTRA_TYPES)
    return [entry for entry in found if entry is not None]


def group(resource: Resource) -> Json:
    """A resource group."""
    return {
        "id": resource.id,
        "name": resource.name,
        "type": resource.type,
        "location": resource.location,
        "tags": dict(resource.tags),
        "properties": {"provisioningState": resource.state.value},
    }


def generic(resource: Resource) -> Json:
    """A resource as the generic lists show it."""
    answer = {
        "id": resource.id,
        "name": resource.name,
        "type": resource.type,
        "location": resource.location,
        "tags": dict(resource.tags),
        "provisioningState": resource.state.value,
    }
    return answer | ({"sku": {"name": resource.sku}} if resource.sku else {})
