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
ACCOUNTS: Final = "Microsoft.Batch/batchAccounts"

#: Every resource type this service has, by lower-case name.
TYPES: Final = {name.lower(): name for name in (GROUPS, DISKS, SNAPSHOTS, IMAGES, MACHINES, ACCOUNTS)}

_GROUP_ID = re.compile(r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/?\Z", re.IGNORECASE)
_RESOURCE_ID = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/([^/]+/[^/]+)/([^/]+)/?\Z", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The parts of an id. `type` in its published spelling where this service has the type."""

    subscription: str
    group: str
    type: str
    name: str

    @property
    def text(self) -> str:
        base = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        return base if self.type == GROUPS else f"{base}/providers/{self.type}/{self.name}"

    @property
    def key(self) -> str:
        return self.text.lower()


def group_id(subscription: str, group: str) -> ResourceId:
    """The id of a resource group."""
    return ResourceId(subscription, group, GROUPS, group)


def parse(text: str) -> ResourceId | None:
    """The parts of an id of a group or of a top-level resource; None when it is neither."""
    found = _RESOURCE_ID.match(text)
    if found is not None:
        kind = found[3]
        return ResourceId(found[1], found[2], TYPES.get(kind.lower(), kind), found[4])
    found = _GROUP_ID.match(text)
    return group_id(found[1], found[2]) if found is not None else None
