"""Application packages: programs that are uploaded once and unpacked on nodes, and what tasks are told of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from poolwright.domain.clock import Instant

#: Below a node's root directory; the name of the public service.
APPLICATIONS = "applications"
#: The failure code of tasks, and the code of the node's error.
PACKAGE_ERROR = "ApplicationPackageError"
_VARIABLE = "AZ_BATCH_APP_PACKAGE"
_DIGEST_SHOWN = 12  # of 64 digits: tells the contents of one version apart


@dataclass(frozen=True, slots=True)
class PackageReference:
    """A package somebody asks for; without a version it is the application's default at the time of installing.
    `account` is the one that a fully qualified id names."""

    application: str
    version: str | None = None
    account: str | None = None

    @property
    def shown(self) -> str:
        """For messages."""
        return self.application if self.version is None else f"{self.application} {self.version}"


@dataclass(frozen=True, slots=True)
class Application:
    """A named application of an account."""

    account: str
    id: str
    created_at: Instant
    modified_at: Instant
    display_name: str | None = None
    allow_updates: bool = True
    default_version: str | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """One version. `blob` names the upload and `secret` signs its address, which is good until `url_until`.

    `digest` (SHA-256, hex) is that of the content nodes get; None until the first activation. `storage` is the id of
    the storage account that takes the upload; None: this service takes it itself.
    """

    account: str
    application: str
    version: str
    blob: str
    secret: str = field(repr=False)
    url_until: Instant
    created_at: Instant
    modified_at: Instant
    digest: str | None = None
    size_bytes: int = 0
    activated_at: Instant | None = None
    storage: str | None = None


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """A package as one node has it, or is to have it. `plain` says that it is also told without its version."""

    application: str
    version: str
    digest: str
    plain: bool = False

    @property
    def name(self) -> str:
        """The name of its directory; another content of the same version has another."""
        return f"{self.application}-{self.version}-{self.digest[:_DIGEST_SHOWN]}"

    @property
    def directory(self) -> str:
        """Relative to the node's root directory."""
        return f"{APPLICATIONS}/{self.name}"


@dataclass(frozen=True, slots=True)
class NodePackages:
    """What a node got from its pool in its present life. While `pending` the node is starting.

    `containers` says that the node runs container tasks (and, of ordinary ones, only those that prepare it): the
    images of its pool are then brought with the packages.
    """

    items: tuple[InstalledPackage, ...] = ()
    pending: bool = False
    containers: bool = False


NO_PACKAGES = NodePackages()


def variables(packages: Iterable[InstalledPackage], root: str) -> dict[str, str]:
    """The variables that tell where packages are, in the three spellings of names that are in use."""
    told: dict[str, str] = {}
    for package in packages:
        place = f"{root}/{package.directory}"
        names = [f"{package.application}_{package.version}"]
        if package.plain:
            names.append(package.application)
        for name in names:
            usable = name.translate(str.maketrans(".-#", "___"))
            for spelling in (usable, usable.upper(), usable.lower()):
                told[f"{_VARIABLE}_{spelling}"] = place
    return told
