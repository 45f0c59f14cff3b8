"""Management resources (groups, machines, disks, snapshots, images, accounts) and their long-running operations."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.clock import Instant
from poolwright.domain.states import ResourceState


@dataclass(frozen=True, slots=True)
class Resource:
    """One management resource.

    `id` keeps the caller's spelling of names; `key` (lower case) is what is compared. `type` is the full type in its
    published spelling, e.g. `Microsoft.Compute/disks`. `properties` is the JSON of its `properties` object as answered
    (without provisioningState); `inner` is JSON the service keeps for itself: names of disks, the machine, power state.
    """

    id: str
    type: str
    subscription: str
    group: str
    name: str
    location: str
    state: ResourceState
    created_at: Instant
    modified_at: Instant
    tags: tuple[tuple[str, str], ...] = ()
    sku: str | None = None
    properties: bytes = b"{}"
    inner: bytes = b"{}"
    error: tuple[str, str] | None = None  # (code, message) of the last failure
    revision: int = 0

    @property
    def key(self) -> str:
        return self.id.lower()


@dataclass(frozen=True, slots=True)
class Lineage:
    """`child` was made from `parent` (both resource keys or pool keys); `kind` names the bond, e.g. "snapshot-of"."""

    child: str
    parent: str
    kind: str


def pool_key(account: str, id: str) -> str:
    """A pool as the child in a lineage row of kind "pool-of", whose parent is its image."""
    return f"pool/{account}/{id.lower()}"


@dataclass(frozen=True, slots=True)
class DiskRow:
    """A file of the image plane, recorded before it is made. `name` is the image plane's name for it."""

    name: str
    owner: str  # resource key that owns it
    purpose: str  # "os" | "data" | "snapshot" | "image" | "base"
    state: str  # "making" | "ready" | "deleting"
    digest: str | None = None
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """A long-running operation a management caller may poll."""

    id: str
    resource: str  # resource key
    verb: str  # "create" | "delete" | "start" | "deallocate" | "runCommand" | ...
    status: str  # "InProgress" | "Succeeded" | "Failed" | "Canceled"
    started_at: Instant
    ended_at: Instant | None = None
    request: bytes = b"{}"
    result: bytes | None = None
    error: tuple[str, str] | None = None
    attempts: int = 0
