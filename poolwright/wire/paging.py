"""Pages of lists: how many, from where, and the link to the next."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from poolwright.domain.limits import PAGE_SIZE_MAX
from poolwright.wire.query import Query, bad_parameter

SKIP_TOKEN = "$skiptoken"  # noqa: S105 - the name of a parameter
_TOKEN_MAX = 8192  # of a name as long as a path can be
_FORM = b"1"
"""First byte of every token, so that another form can be told apart some day."""


@dataclass(frozen=True, slots=True)
class Page:
    """What part of a list is asked for: at most `limit` items that follow the item named `after`."""

    limit: int
    after: str | None


def read_page(query: Query, largest: int = PAGE_SIZE_MAX) -> Page:
    """The page a query asks for. Raises ServiceError naming the parameter."""
    limit = query.number("maxresults")
    if limit is not None and not 1 <= limit <= largest:
        reason = f"A number from 1 to {largest}."
        raise bad_parameter("maxresults", limit, reason, "OutOfRangeQueryParameterValue")
    token = query.text(SKIP_TOKEN)
    return Page(limit or largest, None if token is None else _read_token(token))


def _read_token(token: str) -> str:
    try:
        content = (
            base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)) if len(token) <= _TOKEN_MAX else b""
        )
        after = content.removeprefix(_FORM).decode()
    except (binascii.Error, ValueError):
        content, after = b"", ""
    if not content.startswith(_FORM) or not after or "\0" in after:
        raise bad_parameter(SKIP_TOKEN, token, "Not a token of this service: follow odata.nextLink as it is.")
    return after


def skip_token(after: str) -> str:
    """The opaque token that stands for "after this item"."""
    return base64.urlsafe_b64encode(_FORM + after.encode()).rstrip(b"=").decode()


def next_link(address: str, query: Query, after: str) -> str:
    """The absolute link to the next page: the same address and query, from another item on."""
    return f"{address}?{'&'.join([*query.repeated(without=SKIP_TOKEN), f'{SKIP_TOKEN}={skip_token(after)}'])}"
