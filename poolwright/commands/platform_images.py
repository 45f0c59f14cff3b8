"""Marketplace images, as the management commands choose among them."""

from __future__ import annotations

from poolwright.domain import marketplace
from poolwright.domain.compute import ImageChoice
from poolwright.domain.errors import ManagementError
from poolwright.domain.marketplace import Catalogue, Offering


def offering(
    catalogue: Catalogue, choice: ImageChoice, target: str = "properties.storageProfile.imageReference"
) -> Offering:
    """The marketplace image chosen in property `target`; 404 PlatformImageNotFound when it is not on offer."""
    found = marketplace.find(catalogue(), choice.publisher, choice.offer, choice.sku, choice.version)
    if found is None:
        urn = f"{choice.publisher}:{choice.offer}:{choice.sku}:{choice.version}"
        raise ManagementError(
            404,
            "PlatformImageNotFound",
            f"The platform image '{urn}' is not available. List what is under .../locations/"
            "{location}/publishers.",
            target,
        )
    return found
