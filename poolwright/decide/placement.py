"""Which ready task goes on which node.

One pass costs a constant per task, whatever the number of nodes: nodes are kept in buckets by free slots,
and a bit mask says which buckets hold any.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from poolwright.domain.node import Node
from poolwright.domain.states import SCHEDULABLE, FillType, SchedulingState

AFFINITY_PREFIX = "TVM:"


@dataclass(frozen=True, slots=True)
class Room:
    """A node that may take tasks, and how many slots it has left."""

    node: str
    free: int


@dataclass(frozen=True, slots=True)
class Ready:
    """A task that waits for a node, but not for those of `barred`. `key` is the caller's own; `affinity` is a node's
    affinity id or None."""

    key: int
    slots: int = 1
    affinity: str | None = None
    barred: frozenset[str] = frozenset()
    alone: bool = False  # it takes all slots of its node


@dataclass(frozen=True, slots=True)
class Assignment:
    """Task `key` goes to `node`."""

    key: int
    node: str


def takes_tasks(node: Node) -> bool:
    """Whether a task may be placed on this node at all, free slots aside."""
    return node.state in SCHEDULABLE and node.scheduling is SchedulingState.ENABLED and node.drain is None


def rooms(nodes: Iterable[Node], used: Mapping[str, int], slots_per_node: int) -> list[Room]:
    """The nodes that take tasks now and have a slot free. `used` is slots of live executions by node id."""
    found = []
    for node in nodes:
        free = slots_per_node - used.get(node.id, 0)
        if free > 0 and takes_tasks(node):
            found.append(Room(node.id, free))
    return found


def place(open_rooms: Sequence[Room], tasks: Iterable[Ready], fill: FillType) -> list[Assignment]:
    """Assign tasks, in their order, to nodes with enough free slots; what does not fit is left out.

    Spread takes the node with the most free slots, pack the one with the fewest that suffice. Affinity is
    soft: a node that is full or gone is ignored.
    """
    board = _Board(open_rooms)
    assigned = []
    for task in tasks:
        node = board.preferred(task)
        if node is None:
            node = board.best_of_others(task, fill) if task.barred else board.best(task.slots, fill)
        if node is not None:
            board.take(node, task.slots)
            assigned.append(Assignment(task.key, node))
        elif board.full:
            break
    return assigned


class _Board:
    """Free slots by node, with nodes in buckets by free slots. A bucket may hold stale entries: `_free` decides."""

    def __init__(self, open_rooms: Sequence[Room]) -> None:
        self._free = {room.node: room.free for room in open_rooms if room.free > 0}
        self._buckets: dict[int, deque[str]] = {}
        self._mask = 0
        for node, free in self._free.items():
            self._put(node, free)

    @property
    def full(self) -> bool:
        return not self._mask

    def preferred(self, task: Ready) -> str | None:
        """The node the task asks for, if it has room."""
        if task.affinity is None or not task.affinity.startswith(AFFINITY_PREFIX):
            return None
        node = task.affinity.removeprefix(AFFINITY_PREFIX)
        return node if self._free.get(node, 0) >= task.slots and node not in task.barred else None

    def best_of_others(self, task: Ready, fill: FillType) -> str | None:
        """As `best`, for the few tasks that may not go everywhere: looks at every node."""
        able = [n for n, free in self._free.items() if free >= task.slots and n not in task.barred]
        choose = max if fill is FillType.SPREAD else min
        return choose(able, key=self._free.__getitem__, default=None)

    def best(self, slots: int, fill: FillType) -> str | None:
        """The node to take next for a task of so many slots."""
        while True:
            fitting = self._mask >> slots
            if not fitting:
                return None
            if fill is FillType.SPREAD:
                free = self._mask.bit_length() - 1
            else:
                free = slots + (fitting & -fitting).bit_length() - 1
            bucket = self._buckets[free]
            while bucket and self._free[bucket[0]] != free:
                bucket.popleft()
            if bucket:
                return bucket[0]
            self._mask &= ~(1 << free)

    def take(self, node: str, slots: int) -> None:
        """Use up slots of a node."""
        free = self._free[node] - slots
        self._free[node] = free
        if free > 0:
            self._put(node, free)

    def _put(self, node: str, free: int) -> None:
        self._buckets.setdefault(free, deque()).append(node)
        self._mask |= 1 << free
