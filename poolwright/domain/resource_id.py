"""Resource Manager ids: `/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{kind}/{name}`.

Ids are compared without regard to case; the spelling kept is the published one for fixed words and the first caller's
for names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

GROUPS: Final = "Microsoft.Resources/resourceGroups"
DISKS: Final = "Microsoft.Compute/disks"
SNAPSHOTS: Final = "Microsoft.Compute/snapshots"
IMAGES: Final = "Microsoft.Compute/images"
MACHINES: Final = "Microsoft.Compute/virtualMachines"
GALLERIES: Final = "Microsoft.Compute/galleries"
GALLERY_IMAGES: Final = "Microsoft.Compute/galleries/images"
GALLERY_VERSIONS: Final = "Microsoft.Compute/galleries/images/versions"
ACCOUNTS: Final = "Microsoft.Batch/batchAccounts"
STORAGE_ACCOUNTS: Final = "Microsoft.Storage/storageAccounts"

#: Every resource type this service has, by lower-case name.
TYPES: Final = {name.lower(): name for name in (GROUPS, DISKS, SNAPSHOTS, IMAGES, MACHINES, GALLERIES, GALLERY_IMAGES,
                                                    GALLERY_VERSIONS, ACCOUNTS, STORAGE_ACCOUNTS)}  # fmt: skip

#: What holds frozen disks that machines are cloned from.
IMAGE_TYPES: Final = frozenset({IMAGES, GALLERY_VERSIONS})
LATEST: Final = "latest"

_GROUP_ID = re.compile(r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/?\Z", re.IGNORECASE)
_RESOURCE_ID = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/([^/]+)/([^/]+/[^/]+(?:/[^/]+/[^/]+){0,2})/?\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The parts of an id. `type` in its published spelling where this service has the type.

    Nested resources have their parents' names before their own, with slashes between: type
    `Microsoft.Compute/galleries/images`, name `films/renderer`.
    """

    subscription: str
    group: str
    type: str
    name: str

    @property
    def text(self) -> str:
        base = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        if self.type == GROUPS:
            return base
        provider, *kinds = self.type.split("/")
        # A name may hold a slash only where it stands for several names; what a caller sends may hold one anywhere.
        names = self.name.split("/") if len(kinds) > 1 else [self.name]
        return f"{base}/providers/{provider}/" + "/".join(
            f"{kind}/{name}" for kind, name in zip(kinds, names, strict=True)
        )

    @property
    def key(self) -> str:
        return self.text.lower()

    @property
    def own_name(self) -> str:
        """The name without those of its parents."""
        return self.name.split("/", self.type.count("/") - 1)[-1]

    @property
    def parent(self) -> ResourceId | None:
        """The resource this one is nested in; None for a top-level one."""
        type = self.type.rpartition("/")[0]
        if "/" not in type:
            return None
        return ResourceId(self.subscription, self.group, type, self.name.rpartition("/")[0])


def group_id(subscription: str, group: str) -> ResourceId:
    """The id of a resource group."""
    return ResourceId(subscription, group, GROUPS, group)


def parse(text: str) -> ResourceId | None:
    """The parts of an id of a group or of a resource; None when it is neither."""
    found = _RESOURCE_ID.match(text)
    if found is not None:
        words = found[4].split("/")
        kind = "/".join([found[3], *words[::2]])
        return ResourceId(found[1], found[2], TYPES.get(kind.lower(), kind), "/".join(words[1::2]))
    found = _GROUP_ID.match(text)
    return group_id(found[1], found[2]) if found is not None else None


def image_key(text: str) -> str:
    """The key of the image that an image id names; `.../versions/latest` is the definition itself."""
    found = parse(text)
    if found is None:
        return text.lower()
    if found.type == GALLERY_VERSIONS and found.own_name.lower() == LATEST:
        parent = found.parent
        assert parent is not None
        return parent.key
    return found.key
