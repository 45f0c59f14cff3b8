"""References to application packages, and applications as the data plane shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolwright.domain.errors import bad_property
from poolwright.domain.limits import ID_LENGTH_MAX, PACKAGE_REFERENCES_MAX
from poolwright.domain.package import Application, PackageReference
from poolwright.wire.convert.shared import Document
from poolwright.wire.generated import batch_models as models

#: `/subscriptions/.../batchAccounts/{account}/applications/{application}`, as management callers know it.
_QUALIFIED = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.batch/batchaccounts/([^/]+)/applications/([^/]+)\Z",
    re.IGNORECASE,
)
_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_VERSION = re.compile(r"[A-Za-z0-9_.-]+\Z")


def read_packages(
    given: Sequence[models.BatchApplicationPackageReference] | None, name: str
) -> tuple[PackageReference, ...]:
    """References as values. `name` is the property's path, for errors. Raises ServiceError."""
    if not given:
        return ()
    if len(given) > PACKAGE_REFERENCES_MAX:
        reason = f"At most {PACKAGE_REFERENCES_MAX} packages may be referred to."
        raise bad_property(name, f"{len(given)} references", reason)
    found: dict[tuple[str, str], PackageReference] = {}
    for index, one in enumerate(given):
        reference = _reference(one, f"{name}[{index}]")
        key = (reference.application.lower(), (reference.version or "").lower())
        if key in found:
            raise bad_property(f"{name}[{index}]", reference.shown, "The package is referred to twice.")
        found[key] = reference
    return tuple(found.values())


def _reference(given: models.BatchApplicationPackageReference, name: str) -> PackageReference:
    account, application = None, given.application_id
    qualified = _QUALIFIED.match(application)
    if qualified is not None:
        account, application = qualified[1], qualified[2]
    if not _ID.match(application) or len(application) > ID_LENGTH_MAX:
        reason = "The id of an application is needed: 1 to 64 letters, digits, hyphens and underscores."
        raise bad_property(f"{name}.applicationId", given.application_id, reason)
    version = given.version or None
    if version is not None and (not _VERSION.match(version) or len(version) > ID_LENGTH_MAX):
        reason = "A version has 1 to 64 letters, digits, hyphens, underscores and periods."
        raise bad_property(f"{name}.version", version, reason)
    return PackageReference(application, version, account)


def show_application(application: Application, versions: Sequence[str]) -> Document:
    """An application as answered, without `odata.metadata`."""
    shown: Document = {"id": application.id}
    if application.display_name is not None:
        shown["displayName"] = application.display_name
    shown["versions"] = list(versions)
    return shown
