"""ISO 8601 durations as the service reads and writes them.

Reading: years count 365 days and months 30 days (as recorded from the public service), fractions of seconds
have up to seven digits, every field may be padded with zeros (`PT01H00M00S`). Writing: days, hours, minutes and
seconds without zeros (`P1279DT12H30M5S`); the largest value stands for "no limit".
"""

from __future__ import annotations

import re
from functools import lru_cache

from poolwright.domain.clock import DAY, FOREVER, HOUR, MINUTE, SECOND, Micros

INFINITE = "P10675199DT2H48M5.4775807S"
"""The largest .NET TimeSpan, 2**63-1 ticks of 100 ns, by which clients say "no limit"."""

_LENGTH_MAX = 64
_DURATION = re.compile(
    r"(?P<sign>-)?P(?:(?P<Y>\d+)Y)?(?:(?P<M>\d+)M)?(?:(?P<W>\d+)W)?(?:(?P<D>\d+)D)?"
    r"(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+)(?:\.(?P<f>\d{1,9}))?S)?)?\Z",
    re.ASCII,
)
_UNITS = {"Y": 365 * DAY, "M": 30 * DAY, "W": 7 * DAY, "D": DAY, "h": HOUR, "m": MINUTE, "s": SECOND}


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> Micros:
    """Microseconds of `text`, at most FOREVER. ValueError with the reason for anything else."""
    match = _DURATION.match(text) if len(text) <= _LENGTH_MAX else None
    if match is None or text[-1] in "PT":
        raise ValueError("not an ISO 8601 duration such as PT15M, PT01H00M00S or P7D")
    if match["sign"]:
        raise ValueError("a duration cannot be negative")
    total = sum(unit * int(match[name]) for name, unit in _UNITS.items() if match[name])
    if match["f"]:
        total += int(match["f"].ljust(6, "0")[:6])
    if total > FOREVER:
        raise ValueError(f"longer than the longest duration, {INFINITE}")
    return total


@lru_cache(maxsize=1024)
def format_duration(micros: Micros) -> str:
    """The canonical text; `micros` >= 0, and FOREVER (or more) is written as the infinite value."""
    if micros >= FOREVER:
        return INFINITE
    days, rest = divmod(micros, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds, fraction = divmod(rest, SECOND)
    time = f"{hours}H" if hours else ""
    time += f"{minutes}M" if minutes else ""
    if seconds or fraction or not (days or time):
        time += f"{seconds}." + f"{fraction:06d}".rstrip("0") if fraction else str(seconds)
        time += "S"
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "")
