"""Values of the formula language, how they are printed, and how times are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from poolwright.domain.clock import Instant
from poolwright.domain.states import DeallocationOption

#: The language counts in 100 ns.
TICKS_PER_MICRO = 10
SECOND_TICKS = 10_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = -62_135_596_800 * SECOND_TICKS  # year 1
_LAST = 253_402_300_800 * SECOND_TICKS  # year 10000, exclusive
_INTERVAL_MAX = _LAST - _FIRST

INTERVALS = {
    "timeinterval_zero": 0,
    "timeinterval_100ns": 1,
    "timeinterval_microsecond": 10,
    "timeinterval_millisecond": 10_000,
    "timeinterval_second": SECOND_TICKS,
    "timeinterval_minute": 60 * SECOND_TICKS,
    "timeinterval_hour": 3600 * SECOND_TICKS,
    "timeinterval_day": 86_400 * SECOND_TICKS,
    "timeinterval_week": 7 * 86_400 * SECOND_TICKS,
    "timeinterval_year": 365 * 86_400 * SECOND_TICKS,
}


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A span of time in ticks of 100 ns. Raises OverflowError beyond ten thousand years."""

    ticks: int

    def __post_init__(self) -> None:
        if abs(self.ticks) > _INTERVAL_MAX:
            raise OverflowError("the time interval is too long")


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, in ticks since 1970-01-01 UTC. Raises OverflowError outside years 1 to 9999."""

    ticks: int

    def __post_init__(self) -> None:
        if not _FIRST <= self.ticks < _LAST:
            raise OverflowError("the timestamp is outside years 1 to 9999")

    @property
    def moment(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.ticks // TICKS_PER_MICRO)


@dataclass(frozen=True, slots=True)
class Option:
    """A bare word: what becomes of tasks on nodes that go."""

    option: DeallocationOption


@dataclass(frozen=True, slots=True)
class Metric:
    """A service variable that has samples. `number` is what it means as a double."""

    name: str
    number: float


Doubles = tuple[float, ...]
Value = float | Doubles | str | Timestamp | Interval | Option | Metric


def kind(value: Value) -> str:
    """The name of the value's type in the language."""
    match value:
        case float():
            return "double"
        case tuple():
            return "doubleVec"
        case str():
            return "string"
        case Timestamp():
            return "timestamp"
        case Interval():
            return "timeinterval"
        case Option():
            return "node deallocation option"
        case Metric():
            return "metric"


def timestamp(at: Instant) -> Timestamp:
    """The moment as a value."""
    return Timestamp(at * TICKS_PER_MICRO)


def instant(value: Timestamp) -> Instant:
    """The moment, in whole microseconds."""
    return value.ticks // TICKS_PER_MICRO


def member(value: Timestamp, name: str) -> float | None:
    """A part of a timestamp by its name; None: there is no such part. Monday is 1 and Sunday is 0."""
    moment = value.moment
    parts = {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "weekday": moment.isoweekday() % 7,
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
    }
    found = parts.get(name.lower())
    return None if found is None else float(found)


def show(value: Value) -> str:
    """The value as the results of a run print it."""
    match value:
        case float():
            return show_double(value)
        case tuple():
            return "[" + ",".join(map(show_double, value)) + "]"
        case str():
            return value
        case Timestamp():
            moment = value.moment
            return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z".rjust(24, "0")
        case Interval():
            return _show_interval(value.ticks)
        case Option():
            return value.option.value
        case Metric():
            return show_double(value.number)


def show_double(value: float) -> str:
    """Without needless decimals."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.15g}"


def _show_interval(ticks: int) -> str:
    """`[-][d.]hh:mm:ss[.fffffff]`, as .NET prints spans of time."""
    seconds, fraction = divmod(abs(ticks), SECOND_TICKS)
    days, rest = divmod(seconds, 86_400)
    shown = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    sign, day = "-" if ticks < 0 else "", f"{days}." if days else ""
    return f"{sign}{day}{shown}" + (f".{fraction:07}" if fraction else "")


_W3C = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|z|[+-]\d{2}:\d{2})?)?)?)?"
)


def parse_time(text: str) -> Timestamp:
    """A time in W3C-DTF (up to nine digits of a second; no zone means UTC) or RFC 1123. Raises ValueError."""
    found = _W3C.fullmatch(text.strip())
    if found is None:
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, IndexError):
            raise ValueError(text) from None
        ticks = 0
    else:
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        parts = [int(part) for part in (month or 1, day or 1, hour or 0, minute or 0, second or 0)]
        moment = datetime(int(year), *parts, tzinfo=_zone(zone))  # type: ignore[arg-type, misc]
        ticks = int((fraction or "0").ljust(9, "0")) // 100
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Timestamp((moment - _EPOCH) // timedelta(microseconds=1) * TICKS_PER_MICRO + ticks)


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))
