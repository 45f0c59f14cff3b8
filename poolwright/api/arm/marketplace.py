"""Marketplace images, sizes, SKUs and usages of Microsoft.Compute."""

from __future__ import annotations

import re

from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, listed
from poolwright.api.arm.router import ArmRoute
from poolwright.api.auth import permission
from poolwright.commands import platform_images
from poolwright.domain.compute import ImageChoice
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource_id import DISKS, MACHINES
from poolwright.wire.arm import marketplace as wire
from poolwright.wire.arm.accounts import UNLIMITED

_ORDER = re.compile(r"\s*name(?:\s+(asc|desc))?\s*\Z", re.IGNORECASE)
_DIGITS = re.compile(r"(\d+)")


async def names(call: Call) -> Response:
    """Publishers, offers or SKUs: a bare list."""
    return answer(_names(call))


def _names(call: Call) -> list[wire.Json]:
    params = call.params
    chosen = (params.get("publisher"), params.get("offer"), params.get("sku"))
    found = wire.names(call.services.catalogue(), call.subscription, params["location"], *chosen)
    if found is None:
        shown = "/".join(name for name in chosen if name is not None)
        text = f"Nothing is on offer under '{shown[:300]}'."
        raise ManagementError(404, "NotFound", text)
    return found


async def versions(call: Call) -> Response:
    """Versions of one SKU: a bare list, with `$top`, `$orderby` on the name and `$expand=properties`."""
    found = sorted(_names(call), key=lambda entry: _version_key(entry["name"]))
    order = call.query.get("$orderby")
    if order is not None:
        match = _ORDER.match(order)
        if match is None:
            text = f"The value '{order[:100]}' of '$orderby' is not valid: order by name, asc or desc."
            raise ManagementError(400, "InvalidParameter", text, "$orderby")
        if (match[1] or "asc").lower() == "desc":
            found.reverse()
    found = found[: call.top()]
    if call.query.get("$expand", "").lower() == "properties":
        found = [_image(call, entry["name"]) for entry in found]
    return answer(found)


def _version_key(version: str) -> list[tuple[int, str]]:
    """Numbers inside a version count as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(version)]


def _image(call: Call, version: str) -> wire.Json:
    params = call.params
    choice = ImageChoice(None, params["publisher"], params["offer"], params["sku"], version)
    return wire.image(
        platform_images.offering(call.services.catalogue, choice), call.subscription, params["location"]
    )


async def image(call: Call) -> Response:
    """One version."""
    return answer(_image(call, call.params["version"]))


async def vm_sizes(_call: Call) -> Response:
    """Sizes in the old form."""
    return listed(wire.sizes())


async def resource_skus(call: Call) -> Response:
    """Sizes in the new form; a filter on another location than this one finds nothing."""
    location = call.services.settings.location
    found = re.search(r"location\s+eq\s+'([^']*)'", call.query.get("$filter", ""), re.IGNORECASE)
    if found is not None and found[1].replace(" ", "").lower() != location.lower():
        return listed([])
    return listed(wire.skus(location))


async def usages(call: Call) -> Response:
    """How many of what there are; nothing is limited here."""
    machines, disks = await call.read(
        lambda tx: (
            len(tx.resources.select(call.subscription, None, MACHINES)),
            len(tx.resources.select(call.subscription, None, DISKS)),
        )
    )
    return listed(
        [
            wire.usage("virtualMachines", "Virtual Machines", machines, UNLIMITED),
            wire.usage("StandardDiskCount", "Standard Storage Managed Disks", disks, UNLIMITED),
        ]
    )


_COMPUTE = "/subscriptions/{subscription}/providers/Microsoft.Compute"
_LOCATION = f"{_COMPUTE}/locations/{{location}}"
_PUBLISHERS = f"{_LOCATION}/publishers"
_OFFERS = f"{_PUBLISHERS}/{{publisher}}/artifacttypes/vmimage/offers"
_SKUS = f"{_OFFERS}/{{offer}}/skus"
_VERSIONS = f"{_SKUS}/{{sku}}/versions"
_READ = permission("Microsoft.Compute/locations/publishers/read")
ROUTES = (
    ArmRoute("GET", _PUBLISHERS, _READ, names),
    ArmRoute("GET", _OFFERS, _READ, names),
    ArmRoute("GET", _SKUS, _READ, names),
    ArmRoute("GET", _VERSIONS, _READ, versions),
    ArmRoute("GET", f"{_VERSIONS}/{{version}}", _READ, image),
    ArmRoute("GET", f"{_LOCATION}/vmSizes", permission("Microsoft.Compute/locations/vmSizes/read"), vm_sizes),
    ArmRoute("GET", f"{_LOCATION}/usages", permission("Microsoft.Compute/locations/usages/read"), usages),
    ArmRoute("GET", f"{_COMPUTE}/skus", permission("Microsoft.Compute/skus/read"), resource_skus),
)
