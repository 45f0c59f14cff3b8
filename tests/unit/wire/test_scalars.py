"""Durations and times: what is read, what is written, and that both agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.domain.clock import DAY, FOREVER, HOUR, MINUTE, SECOND, etag
from poolwright.wire.durations import INFINITE, format_duration, parse_duration
from poolwright.wire.times import http_date, iso, parse_http_date, parse_time


@pytest.mark.parametrize(
    ("text", "micros", "canonical"),
    [
        ("PT15M", 15 * MINUTE, "PT15M"),
        ("PT15M00S", 15 * MINUTE, "PT15M"),
        ("PT01H00M00S", HOUR, "PT1H"),
        ("PT90M", 90 * MINUTE, "PT1H30M"),
        ("P3Y6M4DT12H30M5S", 1279 * DAY + 12 * HOUR + 30 * MINUTE + 5 * SECOND, "P1279DT12H30M5S"),
        ("P1W", 7 * DAY, "P7D"),
        ("PT0S", 0, "PT0S"),
        ("PT0.5S", SECOND // 2, "PT0.5S"),
        ("PT1.0000001S", SECOND, "PT1S"),
        (INFINITE, FOREVER, INFINITE),
    ],
)
def test_known_durations(text: str, micros: int, canonical: str) -> None:
    assert parse_duration(text) == micros
    assert format_duration(micros) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "15M", "P1S", "PT1D", "PT1.S", "pt1s", "PT-1S", "P1DT", "PT٣S", "P" + "1" * 80 + "D"],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_longer_than_for_ever() -> None:
    with pytest.raises(ValueError, match="longest"):
        parse_duration("P10675200D")
    with pytest.raises(ValueError, match="negative"):
        parse_duration("-PT1S")


@given(st.integers(0, FOREVER))
def test_durations_survive(micros: int) -> None:
    assert parse_duration(format_duration(micros)) == micros


@given(st.integers(0, 4_102_444_800 * SECOND))
def test_times_survive(instant: int) -> None:
    text = iso(instant)
    assert parse_time(text) == instant
    assert not text.removesuffix("Z").endswith(("0", ".")) or "." not in text
    assert parse_http_date(http_date(instant)) == instant // SECOND * SECOND


def test_times_as_the_service_writes_them() -> None:
    instant = 1_769_552_710_901_390
    assert iso(instant) == "2026-01-27T22:25:10.90139Z"
    assert iso(1_769_552_710_000_000) == "2026-01-27T22:25:10Z"
    assert http_date(instant) == "Tue, 27 Jan 2026 22:25:10 GMT"
    assert etag(instant) == "0x8DE5DF2EF27B18C"
    assert parse_time("2026-01-27T22:25:10.9013900+00:00") == instant
    assert parse_time("2026-01-27T23:25:10.90139+01:00") == instant
    assert parse_time("Tue, 27 Jan 2026 22:25:10 GMT") == 1_769_552_710_000_000
    assert parse_time("2026-01-27") == 1_769_472_000_000_000


@pytest.mark.parametrize(
    "text", ["", "noon", "2026-13-01", "2026-01-27T25:00:00Z", "Tue, 99 Jan 2026 22:25:10 GMT"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)
