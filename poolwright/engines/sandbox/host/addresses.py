"""Addresses of machines, in blocks: machines that may reach one another share blocks, so that the packet filter
compares blocks, however many machines there are."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

BLOCK = 64  # addresses; a /26. Large enough to seldom need another, small enough for a thousand groups
_LAST_BLOCK = 1015  # numbers 64..65023 of the network; block 0 holds the gateway


class NoAddress(Exception):
    """Every address of the machine network is in use."""


@dataclass
class _Group:
    mark: int
    blocks: list[int] = field(default_factory=list)
    fresh: deque[int] = field(default_factory=deque)  # never given out since the block came
    retired: deque[int] = field(default_factory=deque)  # given back, the oldest first
    used: set[int] = field(default_factory=set)


class Addresses:
    """Numbers within the network, by group. A number is used again as late as possible."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._owner: dict[int, _Group] = {}
        self._free: deque[int] = deque(range(1, _LAST_BLOCK + 1))
        self._marks = 0

    def __bool__(self) -> bool:
        """Whether any number is in use."""
        return any(group.used for group in self._groups.values())

    def used(self) -> set[int]:
        """Every number in use."""
        return {number for group in self._groups.values() for number in group.used}

    def blocks(self) -> list[tuple[int, int]]:
        """(first number of a block, mark of its group) for all that groups have."""
        return [(block * BLOCK, group.mark) for block, group in sorted(self._owner.items())]

    def take(self, name: str) -> tuple[int, bool]:
        """A number for a machine of the group, and whether `blocks` is another than before. Raises NoAddress."""
        group = self._group(name)
        changed = not (group.fresh or group.retired)
        if changed:
            self._grow(group)
        number = (group.fresh or group.retired).popleft()
        group.used.add(number)
        return number, changed

    def adopt(self, number: int, name: str) -> None:
        """Count a number given out earlier. Raises NoAddress when its block belongs to another group."""
        group, block = self._group(name), number // BLOCK
        owner = self._owner.get(block)
        if owner is None and block in self._free:
            self._free.remove(block)
            self._own(group, block)
            owner = group
        if owner is not group:
            raise NoAddress(f"its address lies among those of another network (block {block})")
        for numbers in (group.fresh, group.retired):
            if number in numbers:
                numbers.remove(number)
        group.used.add(number)

    def give_back(self, number: int) -> None:
        """The number may be used again."""
        group = self._owner.get(number // BLOCK)
        if group is not None and number in group.used:
            group.used.discard(number)
            group.retired.append(number)

    def clear(self) -> None:
        """Forget groups; the next numbers are still not those used last."""
        self._free.extend(self._owner)
        self._owner.clear()
        self._groups.clear()

    def _group(self, name: str) -> _Group:
        if name not in self._groups:
            self._marks += 1
            self._groups[name] = _Group(self._marks)
        return self._groups[name]

    def _grow(self, group: _Group) -> None:
        if not self._free:
            self._reclaim(group)
        if not self._free:
            raise NoAddress(f"all {_LAST_BLOCK} blocks of machine addresses are in use")
        self._own(group, self._free.popleft())

    def _own(self, group: _Group, block: int) -> None:
        self._owner[block] = group
        group.blocks.append(block)
        group.fresh.extend(range(block * BLOCK, (block + 1) * BLOCK))

    def _reclaim(self, wanting: _Group) -> None:
        """Take the blocks of groups that have no machine."""
        for name, group in list(self._groups.items()):
            if group is not wanting and not group.used:
                del self._groups[name]
                for block in group.blocks:
                    del self._owner[block]
                    self._free.append(block)
