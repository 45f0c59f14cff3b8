"""The management plane: the slice of Resource Manager, Compute and Batch that prepares images and accounts."""

from __future__ import annotations

from starlette.routing import Route

from poolwright.api.arm import (
    accounts,
    applications,
    directory,
    disks,
    galleries,
    groups,
    images,
    machines,
    marketplace,
    operations,
    pools,
    storage,
)
from poolwright.api.arm.router import ArmApplication, ArmRoute, starlette_routes
from poolwright.api.arm.services import ArmServices, EndpointInfo

ROUTES: tuple[ArmRoute, ...] = (
    *directory.ROUTES,
    *groups.ROUTES,
    *disks.ROUTES,
    *images.ROUTES,
    *galleries.ROUTES,
    *machines.ROUTES,
    *marketplace.ROUTES,
    *accounts.ROUTES,
    *applications.ROUTES,
    *pools.ROUTES,
    *storage.ROUTES,
    *operations.ROUTES,
)
"""Every management operation with its permission."""


def routes(services: ArmServices) -> list[Route]:
    """Starlette routes of the whole management plane; callers and permissions are checked inside."""
    return starlette_routes(ArmApplication(services, ROUTES))


__all__ = ["ROUTES", "ArmServices", "EndpointInfo", "routes"]
