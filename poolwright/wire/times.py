"""Times as the service reads and writes them: ISO 8601 in bodies, RFC 1123 in headers, ticks in ETags."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from poolwright.domain.clock import SECOND, Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})?\Z",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def iso(instant: Instant) -> str:
    """UTC with a Z and as many decimals as are not zero (`2026-01-27T22:25:10.90139Z`)."""
    seconds, micros = divmod(instant, SECOND)
    if not micros:
        return _second(seconds) + "Z"
    return f"{_second(seconds)}." + f"{micros:06d}".rstrip("0") + "Z"


@lru_cache(maxsize=4096)
def _http_second(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def http_date(instant: Instant) -> str:
    """An RFC 1123 date, whole seconds."""
    return _http_second(instant // SECOND)


def parse_http_date(text: str) -> Instant:
    """The instant of an RFC 1123 date. ValueError for anything else."""
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError) as bad:
        raise ValueError("not an RFC 1123 date") from bad
    return _micros(when if when.tzinfo else when.replace(tzinfo=UTC))


def parse_time(text: str) -> Instant:
    """The instant of an ISO 8601 or RFC 1123 time; without a zone it is UTC. ValueError for anything else."""
    match = _ISO.match(text.strip())
    if match is None:
        return parse_http_date(text)
    day, time, fraction, zone = match.groups()
    shift = "+00:00" if zone is None or zone in "Zz" else zone
    when = datetime.fromisoformat(f"{day}T{time or '00:00'}{shift}")
    return _micros(when) + int((fraction or "0").ljust(6, "0")[:6])


def _micros(when: datetime) -> Instant:
    return (when - _EPOCH) // timedelta(microseconds=1)
