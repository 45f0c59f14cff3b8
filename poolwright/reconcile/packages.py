"""Which content a reference to an application package means now."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from poolwright.domain.package import NO_PACKAGES, InstalledPackage, NodePackages, PackageReference
from poolwright.domain.pool import Pool
from poolwright.engines.base import MachineRequest
from poolwright.store.base import Tx


class PackageMissing(Exception):
    """There is nothing to install; the message says what is missing and fits into an error."""


class PackageContents(Protocol):
    """Where the contents of packages are."""

    def path(self, digest: str) -> str:
        """The archive's file on this host; whether it is there is seen when it is opened."""
        ...


def resolve(tx: Tx, account: str, reference: PackageReference) -> InstalledPackage:
    """Raises PackageMissing."""
    application = tx.applications.get(account, reference.application)
    if application is None:
        raise PackageMissing(f"The application {reference.application} does not exist")
    version = reference.version or application.default_version
    if version is None:
        raise PackageMissing(f"The application {application.id} has no default version, and none is named")
    package = tx.applications.package(account, application.id, version)
    if package is None:
        raise PackageMissing(f"The application {application.id} has no version {version}")
    if package.digest is None:
        raise PackageMissing(f"The version {version} of the application {application.id} is not activated")
    default = application.default_version or ""
    plain = reference.version is None or default.lower() == package.version.lower()
    return InstalledPackage(application.id, package.version, package.digest, plain)


def of_node(
    tx: Tx, account: str, references: Sequence[PackageReference], *, containers: bool = False
) -> tuple[NodePackages, str | None]:
    """What a node of a pool with these references is to get in a life that begins, or why it cannot be had."""
    if not references and not containers:
        return NO_PACKAGES, None
    try:
        found = tuple(resolve(tx, account, one) for one in references)
    except PackageMissing as missing:
        return NodePackages(pending=True, containers=containers), f"{missing}."
    return NodePackages(found, pending=True, containers=containers), None


def keep(tx: Tx, pool: Pool, requests: Sequence[MachineRequest]) -> list[MachineRequest]:
    """The requests, each with the directories that stay on its node: those of what the pool refers to now."""
    names = []
    for reference in pool.spec.packages:
        with contextlib.suppress(PackageMissing):
            names.append(resolve(tx, pool.account, reference).name)
    return [replace(request, packages=tuple(names)) for request in requests] if names else list(requests)
