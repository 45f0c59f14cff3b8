"""What a task waits for: ids of other tasks of its job, and ranges of ids that are whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Numbers of ids are below 2^31, as the ends of ranges are 32-bit integers.
LEVELS = 32
NUMBER_DIGITS_MAX = 10


@dataclass(frozen=True, slots=True)
class Dependencies:
    """All must be done first. `ranges` are (first, last), both included, merged and in order."""

    ids: tuple[str, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing a task waits for. `state` is that of the parent's task, "missing", or "failed" for good."""

    id: str
    state: str


def number_of(id: str) -> int | None:
    """The number an id stands for, leading zeros aside; None for an id that is not a whole number below 2^31."""
    if not (id.isascii() and id.isdigit()):
        return None
    digits = id.lstrip("0") or "0"
    if len(digits) > NUMBER_DIGITS_MAX:
        return None
    number = int(digits)
    return number if number < 2 ** (LEVELS - 1) else None


def merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same numbers as ranges that neither overlap nor touch, so that each number counts once."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def blocks(first: int, last: int) -> list[tuple[int, int]]:
    """The range as (level, block): block b of level k holds the numbers from b * 2^k on, 2^k of them."""
    found = []
    at, end = first, last + 1
    while at < end:
        aligned = (at & -at).bit_length() - 1 if at else LEVELS - 1
        level = min(aligned, (end - at).bit_length() - 1)
        found.append((level, at >> level))
        at += 1 << level
    return found


def keys_of(number: int) -> Sequence[int]:
    """The block of each level that holds the number."""
    return [number >> level for level in range(LEVELS)]
