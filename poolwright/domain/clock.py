"""Time, chance and names as injected values. Instants are integer microseconds since 1970-01-01 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

Instant = int
Micros = int

MILLISECOND: Micros = 1_000
SECOND: Micros = 1_000_000
MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
DAY: Micros = 24 * HOUR

#: The service's way to say "no limit": the largest .NET TimeSpan, in 100 ns ticks 2**63-1.
FOREVER: Micros = 9_223_372_036_854_775_807 // 10

TICKS_AT_EPOCH = 621_355_968_000_000_000
"""1970-01-01 in 100 ns ticks since year 1, the unit ETags are made of."""


class Clock(Protocol):
    """The only source of time for planners, commands and loops."""

    def now(self) -> Instant: ...


class Ids(Protocol):
    """The only source of fresh names."""

    def uuid(self) -> str:
        """A random UUID in lower-case canonical form."""
        ...

    def short(self) -> str:
        """Twelve random lower-case hexadecimal digits, for names of machines and disks."""
        ...


class Rng(Protocol):
    """Seeded chance."""

    def random(self) -> float: ...

    def randrange(self, stop: int, /) -> int: ...


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def utc(at: Instant) -> str:
    """The instant to the second, as sentences and evidence tell it; what is later than any date is the last one."""
    return f"{_EPOCH + timedelta(microseconds=min(at, _LAST)):%Y-%m-%dT%H:%M:%SZ}"


def span(length: Micros) -> str:
    """The length of time as callers write one, in seconds: what an error repeats of a value."""
    return f"PT{length / SECOND:g}S"


def etag(modified_at: Instant) -> str:
    """The entity tag the service derives from a last-modified time: 0x and upper-case hex of .NET ticks."""
    return f"0x{modified_at * 10 + TICKS_AT_EPOCH:X}"
