"""Galleries: definitions of images and their numbered versions, of which one is the latest.

An image id names a managed image, one version, or a definition: then the latest version is meant, whenever it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from poolwright.domain.compute import image_state
from poolwright.domain.resource import Lineage, Resource
from poolwright.domain.resource_id import GALLERY_IMAGES, GALLERY_VERSIONS, IMAGE_TYPES, image_key
from poolwright.domain.states import ResourceState

IMAGE_OF: Final = "image-of"  # an image or version, and what its bytes came from
VERSION_OF: Final = "version-of"  # a version and its definition
DEFINITION_OF: Final = "definition-of"  # a definition and its gallery

_PART = r"(0|[1-9][0-9]{0,9})"
_VERSION = re.compile(rf"{_PART}\.{_PART}\.{_PART}\Z")
_PART_MAX = 2**31 - 1  # public: each part is a 32-bit integer


class Ancestry(Protocol):
    """Resources and what was made from what, by key: the store's `Resources`, or a test's."""

    def get(self, id: str) -> Resource | None: ...
    def parents(self, child: str) -> Sequence[Lineage]: ...
    def children(self, parent: str) -> Sequence[Lineage]: ...


def version_number(name: str) -> tuple[int, int, int] | None:
    """The number a version's name stands for; None when it is not of the form major.minor.patch."""
    found = _VERSION.match(name)
    if found is None:
        return None
    major, minor, patch = (int(part) for part in found.groups())
    return (major, minor, patch) if max(major, minor, patch) <= _PART_MAX else None


def versions(rows: Ancestry, definition: str) -> list[Resource]:
    """All versions of the definition of this key, in order of their numbers."""
    found = [rows.get(edge.child) for edge in rows.children(definition) if edge.kind == VERSION_OF]
    return sorted((version for version in found if version is not None), key=_number)


def latest(candidates: Iterable[Resource]) -> Resource | None:
    """The version of the highest number that is whole and not excluded from latest."""
    usable = [
        version
        for version in candidates
        if version.state is ResourceState.SUCCEEDED and not image_state(version.inner).hidden
    ]
    return max(usable, key=_number, default=None)


def resolve(rows: Ancestry, image_id: str) -> Resource | None:
    """The image or version that the id stands for now, whatever its state; None when there is none."""
    found = rows.get(image_key(image_id))
    if found is None:
        return None
    if found.type == GALLERY_IMAGES:
        return latest(versions(rows, found.key))
    return found if found.type in IMAGE_TYPES else None


def names_of(image: Resource) -> tuple[str, ...]:
    """The keys by which a pool may name this image: its own and, of a version, its definition's."""
    if image.type != GALLERY_VERSIONS:
        return (image.key,)
    return (image.key, image.key.rpartition("/versions/")[0])


def _number(version: Resource) -> tuple[int, int, int]:
    return version_number(version.name.rpartition("/")[2]) or (0, 0, 0)
