"""Discovery: cloud metadata, tenants, subscriptions, locations, providers and the generic resource lists."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, empty, listed
from poolwright.api.arm.router import ArmRoute
from poolwright.api.auth import PUBLIC, permission
from poolwright.commands import resources
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import GROUPS, ResourceId, group_id
from poolwright.store.base import Tx
from poolwright.wire.arm import directory as wire

_TERM = re.compile(
    r"\s*(resourceType|name|resourceGroup|location|tagName|tagValue)\s+eq\s+'([^']{0,512})'\s*\Z",
    re.IGNORECASE,
)
_READ = permission("Microsoft.Resources/subscriptions/read")
_RESOURCES = permission("Microsoft.Resources/subscriptions/resources/read")
_PROVIDERS = permission("Microsoft.Resources/subscriptions/providers/read")


async def metadata(call: Call) -> Response:
    """Cloud metadata; the shape depends on the api-version the tool asks for."""
    login = f"{call.url}{call.services.endpoint.login_path}"
    version = call.query.get("api-version", "2022-09-01")
    if version < "2018":
        return answer(wire.metadata_2015(call.url, login))
    cloud = wire.metadata(call.url, login, urlsplit(call.url).hostname or call.authority)
    # ARM_CLOUD_METADATA_URL is read with versions before 2022 and wants a list of clouds.
    return answer([cloud] if version < "2022" else cloud)


async def tenants(call: Call) -> Response:
    """The one tenant."""
    return listed([wire.tenant(call.services.endpoint.tenant_id)])


async def subscriptions(call: Call) -> Response:
    """The one subscription."""
    return listed([wire.subscription(call.subscription, call.services.endpoint.tenant_id)])


async def subscription(call: Call) -> Response:
    """The one subscription by its id."""
    return answer(wire.subscription(call.subscription, call.services.endpoint.tenant_id))


async def locations(call: Call) -> Response:
    """The one location."""
    return listed([wire.location(call.subscription, call.services.settings.location)])


async def providers(call: Call) -> Response:
    """All providers, always registered."""
    return listed(wire.providers(call.subscription, call.services.settings.location))


async def provider(call: Call) -> Response:
    """One provider; registering it changes nothing, so POST register answers the same."""
    found = wire.provider(call.subscription, call.params["namespace"], call.services.settings.location)
    if found is None:
        text = f"The resource namespace '{call.params['namespace'][:100]}' is invalid."
        raise ManagementError(404, "InvalidResourceNamespace", text)
    return answer(found)


async def all_resources(call: Call) -> Response:
    """Resources of the subscription or of one group, filtered."""
    wanted = _filter(call.query.get("$filter"))
    name = call.params.get("group")

    def query(tx: Tx) -> list[Resource]:
        if name is not None:
            resources.get(tx, group_id(call.subscription, name))
        found = tx.resources.select(call.subscription, name, None)
        return [resource for resource in found if resource.type != GROUPS and _fits(resource, wanted)]

    found = await call.read(query)
    return listed([wire.generic(resource) for resource in found[: call.top()]])


def _filter(text: str | None) -> list[tuple[str, str]]:
    """The terms of a filter: `property eq 'value'`, joined with `and`."""
    if not text:
        return []
    terms = []
    for part in re.split(r"\s+and\s+", text[:2000], flags=re.IGNORECASE):
        found = _TERM.match(part)
        if found is None:
            problem = f"The filter '{part[:200]}' is not supported: join terms like name eq '...' with and."
            raise ManagementError(400, "InvalidFilterInQueryString", problem, "$filter")
        terms.append((found[1].lower(), found[2].lower()))
    return terms


def _fits(resource: Resource, terms: list[tuple[str, str]]) -> bool:
    tags = {name.lower(): value.lower() for name, value in resource.tags}
    have = {
        "resourcetype": {resource.type.lower()},
        "name": {resource.name.lower()},
        "resourcegroup": {resource.group.lower()},
        "location": {resource.location.lower()},
        "tagname": set(tags),
        "tagvalue": set(tags.values()),
    }
    return all(value in have[name] for name, value in terms)


async def exists(call: Call) -> Response:
    """HEAD of any resource: 204 or 404."""
    type = f"{call.params['namespace']}/{call.params['kind']}"
    wanted = ResourceId(call.subscription, call.params["group"], type, call.params["name"])
    found = await call.read(lambda tx: tx.resources.get(wanted.key))
    return empty(404 if found is None else 204)


_SUB = "/subscriptions/{subscription}"
ROUTES = (
    ArmRoute("GET", "/metadata/endpoints", PUBLIC, metadata, versioned=False),
    ArmRoute("GET", "/tenants", permission("Microsoft.Resources/tenants/read"), tenants),
    ArmRoute("GET", "/subscriptions", _READ, subscriptions),
    ArmRoute("GET", _SUB, _READ, subscription),
    ArmRoute("GET", f"{_SUB}/locations", _READ, locations),
    ArmRoute("GET", "/providers", _PROVIDERS, providers),
    ArmRoute("GET", f"{_SUB}/providers", _PROVIDERS, providers),
    ArmRoute("GET", "/providers/{namespace}", _PROVIDERS, provider),
    ArmRoute("GET", f"{_SUB}/providers/{{namespace}}", _PROVIDERS, provider),
    ArmRoute(
        "POST",
        f"{_SUB}/providers/{{namespace}}/register",
        permission("Microsoft.Resources/subscriptions/providers/register/action"),
        provider,
    ),
    ArmRoute("GET", f"{_SUB}/resources", _RESOURCES, all_resources),
    ArmRoute("GET", f"{_SUB}/resourceGroups/{{group}}/resources", _RESOURCES, all_resources),
    ArmRoute(
        "HEAD",
        f"{_SUB}/resourceGroups/{{group}}/providers/{{namespace}}/{{kind}}/{{name}}",
        _RESOURCES,
        exists,
    ),
)
