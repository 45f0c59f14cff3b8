"""What the pool planners look at: one pool at one moment, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolwright.domain.clock import Instant
from poolwright.domain.limits import Quotas
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import NodeState


@dataclass(frozen=True, slots=True)
class ImageReady:
    """The disks exist; machines can be made. `image` is what new nodes are made from, as `Node.image`."""

    image: str = ""


@dataclass(frozen=True, slots=True)
class ImagePreparing:
    """The disks are being made; `phase` says what is done now."""

    phase: str


@dataclass(frozen=True, slots=True)
class ImageMissing:
    """No machine can be made from this image; `image` names it, `reason` says why."""

    image: str
    reason: str


ImageState = ImageReady | ImagePreparing | ImageMissing


@dataclass(frozen=True, slots=True)
class Headroom:
    """What this pool shares with other pools. Counts are without this pool's own nodes."""

    image_dedicated: int = 0  # nodes of other pools made from this image, its snapshot or its siblings
    image_low_priority: int = 0
    cores_dedicated: int = 0  # cores of the account's other pools
    cores_low_priority: int = 0
    cores_per_node: int = 1


@dataclass(frozen=True, slots=True)
class Held:
    """Live executions of tasks on one node: how many, how many of them already have a kill order, and their slots; and
    how many others (preparations, releases) have none."""

    executions: int = 0
    ordered: int = 0
    slots: int = 0
    beside: int = 0


NOTHING_HELD = Held()


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """One pool, its nodes and what holds them, at `now`."""

    pool: Pool
    nodes: tuple[Node, ...]
    now: Instant
    image: ImageState = field(default_factory=ImageReady)
    held: Mapping[str, Held] = field(default_factory=dict)  # by node id
    retained_until: Mapping[str, Instant] = field(default_factory=dict)  # by node id, for retaineddata drains
    headroom: Headroom = field(default_factory=Headroom)
    quotas: Quotas = field(default_factory=Quotas)
    host_refuses: str | None = None  # why this host cannot run the image at all
    regrow: bool = False  # a large pool's resize begins again by itself
    simulated: bool = False  # new nodes are only pretended: no engine here runs the image
    managers: frozenset[str] = frozenset()  # nodes that run a job manager; only read while the pool resizes
    ports_taken: frozenset[tuple[str, int]] = frozenset()  # front-end (protocol, port) that others have
    auto_pool: bool = False  # it was made for a job or a schedule
    pressure: str | None = None  # why preempted nodes may not come back now
    disk_low: str | None = None  # why the host takes nothing new for now: its disk is nearly full
    disk_full: str | None = None  # why nodes on the host's disk must stop: it is about to be full

    def held_by(self, node: Node) -> Held:
        return self.held.get(node.id, NOTHING_HELD)


def allocated(node: Node) -> bool:
    """Whether the engine has given this node a machine at least once; only then is it part of the pool's size."""
    return node.booted_at is not None or node.fence > 1 or node.state is NodeState.PREEMPTED


def departing(node: Node) -> bool:
    """Whether the node has been chosen to go."""
    return node.state is NodeState.LEAVING_POOL or (node.drain is not None and node.drain.purpose == "remove")
