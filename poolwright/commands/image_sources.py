"""Images named in management requests as what something is copied from."""

from __future__ import annotations

from poolwright.commands import resources
from poolwright.domain.errors import ManagementError
from poolwright.domain.gallery import latest, versions
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import GALLERY_IMAGES, GALLERY_VERSIONS, IMAGES, MACHINES
from poolwright.store.base import Tx

_LATEST = "/versions/latest"


def source_image(tx: Tx, target: str, id: str, machines: bool = False) -> Resource:
    """The image or version (of a definition the latest) that a body names, ready to be copied. Raises 400, 404, 409."""
    types = (IMAGES, GALLERY_IMAGES, GALLERY_VERSIONS, *((MACHINES,) if machines else ()))
    plain = id[: -len(_LATEST)] if id.lower().endswith(_LATEST) else id
    found = resources.referred(tx, target, plain, types)
    if found.type != GALLERY_IMAGES:
        return found
    newest = latest(versions(tx.resources, found.key))
    if newest is None:
        text = f"'{found.id}' has no version that is whole and not excluded from latest."
        raise ManagementError(404, "GalleryImageNotFound", text, target)
    return newest
