"""Conditional headers: which of them count, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poolwright.domain.clock import Instant
from poolwright.domain.errors import ServiceError
from poolwright.wire.times import parse_http_date


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a request. Tags are without quotes (some clients quote them, the service does not)."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: Instant | None = None
    if_unmodified_since: Instant | None = None


NONE = Conditions()
CONDITIONAL = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


def read_conditions(header: Callable[[str], str | None]) -> Conditions:
    """The conditions that `header` (by lower-case name) gives.

    Of a tag and a date that say the same thing only the tag counts; any other pair is refused with
    MultipleConditionHeadersNotSupported. A date that cannot be read is an InvalidHeaderValue.
    """
    given = {name: value for name in CONDITIONAL if (value := header(name))}
    if not given:
        return NONE
    if "if-none-match" in given:
        given.pop("if-modified-since", None)
    if "if-match" in given:
        given.pop("if-unmodified-since", None)
    if len(given) > 1:
        shown = ", ".join(given)
        raise ServiceError("MultipleConditionHeadersNotSupported", None, (("HeaderNames", shown),))
    return Conditions(
        _tag(given.get("if-match")),
        _tag(given.get("if-none-match")),
        _date("If-Modified-Since", given.get("if-modified-since")),
        _date("If-Unmodified-Since", given.get("if-unmodified-since")),
    )


def _tag(text: str | None) -> str | None:
    return None if text is None else text.strip().removeprefix("W/").strip('"')


def _date(name: str, text: str | None) -> Instant | None:
    if text is None:
        return None
    try:
        return parse_http_date(text)
    except ValueError as bad:
        values = (("HeaderName", name), ("HeaderValue", text[:100]), ("Reason", str(bad)))
        raise ServiceError("InvalidHeaderValue", None, values) from None
