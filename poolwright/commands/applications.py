"""Applications and their packages: what callers may ask of them. Bytes are not moved here; see api/blobs/blocks.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from poolwright.commands.context import Context, next_modified, record, wake
from poolwright.domain.clock import HOUR, Instant, Micros
from poolwright.domain.errors import ManagementError, ServiceError
from poolwright.domain.limits import (
    APPLICATIONS_MAX,
    DISPLAY_NAME_MAX,
    ID_LENGTH_MAX,
    PACKAGES_PER_APPLICATION_MAX,
)
from poolwright.domain.package import Application, Package, PackageReference
from poolwright.store.base import Tx

#: How long an address to upload to is good.
URL_LIFE: Micros = 4 * HOUR
_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_VERSION = re.compile(r"[A-Za-z0-9_.-]+\Z")


@dataclass(frozen=True, slots=True)
class Upload:
    """What an activation found of an upload: the digest and size of the content that nodes will get."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Change:
    """What is said of an application; `named` holds the properties that were given."""

    display_name: str | None = None
    allow_updates: bool | None = None
    default_version: str | None = None
    named: frozenset[str] = frozenset()


def get(tx: Tx, account: str, id: str) -> Application:
    """Raises ManagementError 404."""
    found = tx.applications.get(account, id)
    if found is None:
        raise ManagementError(404, "ApplicationNotFound", f"The application '{id[:100]}' does not exist.")
    return found


def put(tx: Tx, ctx: Context, account: str, id: str, change: Change) -> Application:
    """Make an application, or set all of one that exists. Raises ManagementError 400, 409 (too many)."""
    _check_name("applicationName", id, _ID, "letters, digits, hyphens and underscores")
    existing = tx.applications.get(account, id)
    if existing is None:
        if len(tx.applications.page(account, None, APPLICATIONS_MAX)) >= APPLICATIONS_MAX:
            text = f"The account has {APPLICATIONS_MAX} applications already, which is its limit."
            raise ManagementError(409, "ApplicationQuotaReached", text)
        existing = Application(account, id, ctx.now, ctx.now)
    whole = replace(change, named=frozenset({"displayName", "allowUpdates", "defaultVersion"}))
    return _change(tx, ctx, existing, whole, "application.put")


def patch(tx: Tx, ctx: Context, account: str, id: str, change: Change) -> Application:
    """Change what is named. Raises ManagementError 400, 404."""
    return _change(tx, ctx, get(tx, account, id), change, "application.patch")


def delete(tx: Tx, ctx: Context, account: str, id: str) -> bool:
    """Whether there was one. Raises ManagementError 409 while it has packages."""
    found = tx.applications.get(account, id)
    if found is None:
        return False
    packages = tx.applications.packages(account, id)
    if packages:
        text = f"The application '{found.id}' has {len(packages)} packages; delete them first."
        raise ManagementError(409, "ApplicationHasPackages", text)
    tx.applications.delete(account, id)
    record(tx, ctx, account, f"application/{found.id}", "application.delete")
    return True


def get_package(tx: Tx, account: str, id: str, version: str) -> Package:
    """Raises ManagementError 404."""
    application = get(tx, account, id)
    found = tx.applications.package(account, id, version)
    if found is None:
        text = f"The application '{application.id}' has no version '{version[:100]}'."
        raise ManagementError(404, "ApplicationPackageNotFound", text)
    return found


def put_package(
    tx: Tx, ctx: Context, account: str, id: str, version: str, secret: str, storage: str | None = None
) -> Package:
    """Make a version, or let one that exists be uploaded again: nodes get the former content until the new one is
    activated. `storage` is the id of the storage account that takes the upload; None: this service itself. Raises
    ManagementError 400, 404, 409 (no updates allowed, or too many)."""
    application = get(tx, account, id)
    _check_name("versionName", version, _VERSION, "letters, digits, hyphens, underscores and periods")
    existing = tx.applications.package(account, id, version)
    until = ctx.now + URL_LIFE
    if existing is None:
        if len(tx.applications.packages(account, id)) >= PACKAGES_PER_APPLICATION_MAX:
            text = f"The application has {PACKAGES_PER_APPLICATION_MAX} packages already, which is its limit."
            raise ManagementError(409, "ApplicationPackageQuotaReached", text)
        blob = ctx.ids.uuid()
        made = Package(
            account, application.id, version, blob, secret, until, ctx.now, ctx.now, storage=storage
        )
    else:
        if existing.digest is not None and not application.allow_updates:
            text = (
                f"The version '{existing.version}' of '{application.id}' cannot be replaced: the application does "
                "not allow updates (allowUpdates)."
            )
            raise ManagementError(409, "ApplicationPackageUpdateNotAllowed", text)
        modified = next_modified(ctx, existing.modified_at)
        made = replace(existing, secret=secret, url_until=until, modified_at=modified, storage=storage)
    tx.applications.put_package(made)
    record(tx, ctx, account, _subject(made), "package.put")
    return made


def activated(tx: Tx, ctx: Context, before: Package, upload: Upload) -> Package:
    """The upload of `before` is what nodes get from now on. Raises ManagementError 404, 409 when it was deleted or
    put anew meanwhile."""
    package = get_package(tx, before.account, before.application, before.version)
    if (package.blob, package.digest) != (before.blob, before.digest):
        text = "The package was changed by another request at the same time; try again."
        raise ManagementError(409, "Conflict", text)
    changed = replace(
        package,
        digest=upload.digest,
        size_bytes=upload.size_bytes,
        activated_at=ctx.now,
        modified_at=next_modified(ctx, package.modified_at),
    )
    tx.applications.put_package(changed)
    record(tx, ctx, package.account, _subject(package), "package.activate", digest=upload.digest)
    wake(tx, "packages", "", "all")
    return changed


def delete_package(tx: Tx, ctx: Context, account: str, id: str, version: str) -> Package | None:
    """The one that went, if there was one. Pools and tasks that refer to it are not looked at, as in the public
    service: nodes that have it keep it, those that are to install it say that it is gone. Raises ManagementError 409
    for the default."""
    found = tx.applications.package(account, id, version)
    if found is None:
        return None
    application = get(tx, account, id)
    if (application.default_version or "").lower() == found.version.lower():
        text = (
            f"'{found.version}' is the default version of '{application.id}'; choose another default first."
        )
        raise ManagementError(409, "ApplicationPackageIsDefault", text)
    tx.applications.delete_package(account, id, version)
    record(tx, ctx, account, _subject(found), "package.delete")
    wake(tx, "packages", "", "all")
    return found


def granted(tx: Tx, blob: str, now: Instant) -> Package | None:
    """The package whose upload has this name, while its address is good."""
    found = tx.applications.by_blob(blob)
    return None if found is None or found.url_until <= now else found


def usable(tx: Tx, account: str, after: str | None, limit: int) -> list[tuple[Application, list[str]]]:
    """Applications with at least one activated version, as the data plane lists them, with these versions."""
    found: list[tuple[Application, list[str]]] = []
    while len(found) < limit and (page := tx.applications.page(account, after, limit)):
        after = page[-1].id
        found += [(one, versions) for one in page if (versions := _active(tx, one))]
    return found[:limit]


def usable_one(tx: Tx, account: str, id: str) -> tuple[Application, list[str]]:
    """Raises ServiceError ApplicationNotFound (404)."""
    found = tx.applications.get(account, id)
    versions = [] if found is None else _active(tx, found)
    if found is None or not versions:
        raise ServiceError("ApplicationNotFound", None, (("ApplicationId", id[:100]),))
    return found, versions


def check_references(tx: Tx, account: str, references: Sequence[PackageReference]) -> None:
    """What a pool refers to can be installed now. Raises InvalidApplicationPackageReferences (409)."""
    problems: list[tuple[str, str]] = []
    for one in references:
        problem = _problem(tx, account, one)
        if problem is not None:
            problems.append((one.shown, problem))
    if problems:
        raise ServiceError("InvalidApplicationPackageReferences", None, problems)


def _problem(tx: Tx, account: str, one: PackageReference) -> str | None:
    if one.account is not None and one.account.lower() != account.lower():
        return "The application belongs to another account."
    application = tx.applications.get(account, one.application)
    if application is None:
        return "The specified application does not exist."
    version = one.version or application.default_version
    if version is None:
        return "The application has no default version, and the reference names none."
    package = tx.applications.package(account, application.id, version)
    if package is None:
        return f"The specified version {version} does not exist."
    return None if package.digest else f"The version {version} is not activated yet."


def _active(tx: Tx, application: Application) -> list[str]:
    packages = tx.applications.packages(application.account, application.id)
    return [package.version for package in packages if package.digest is not None]


def _change(tx: Tx, ctx: Context, before: Application, change: Change, kind: str) -> Application:
    after = before
    if "displayName" in change.named:
        if change.display_name is not None and len(change.display_name) > DISPLAY_NAME_MAX:
            raise _bad(
                "properties.displayName", change.display_name, f"At most {DISPLAY_NAME_MAX} characters."
            )
        after = replace(after, display_name=change.display_name)
    if "allowUpdates" in change.named:
        after = replace(after, allow_updates=change.allow_updates is not False)
    if "defaultVersion" in change.named:
        wanted = change.default_version
        package = tx.applications.package(before.account, before.id, wanted) if wanted else None
        if wanted and package is None:
            raise _bad("properties.defaultVersion", wanted, "The application has no such version.")
        after = replace(after, default_version=package.version if package else None)
    after = replace(after, modified_at=next_modified(ctx, before.modified_at))
    tx.applications.put(after)
    record(tx, ctx, before.account, f"application/{before.id}", kind)
    return after


def _check_name(target: str, name: str, pattern: re.Pattern[str], of: str) -> None:
    if not pattern.match(name) or len(name) > ID_LENGTH_MAX:
        raise _bad(target, name, f"It must have 1 to {ID_LENGTH_MAX} characters: {of}.")


def _bad(target: str, value: str, reason: str) -> ManagementError:
    text = f"The value '{value[:200]}' of '{target}' is not valid: {reason}"
    return ManagementError(400, "InvalidParameter", text, target)


def _subject(package: Package) -> str:
    return f"package/{package.application}/{package.version}"
