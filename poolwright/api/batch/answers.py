"""Answers of the data plane: status, headers and body as clients insist on them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from poolwright.domain.clock import Instant, etag
from poolwright.wire.secrets import SECRET, without_secrets
from poolwright.wire.times import http_date

JSON = "application/json; odata=minimalmetadata"
DATA_SERVICE_VERSION = "3.0"
_SECRET = f'"{SECRET}"'.encode()

Header = tuple[str, str]


@dataclass(slots=True)
class Answer:
    """What is sent back. `status` None means the operation's success code; `stream` is sent instead of
    `body`, and so is `live`, until the client goes."""

    body: bytes = b""
    headers: list[Header] = field(default_factory=list)
    status: int | None = None
    stream: AsyncIterator[bytes] | None = None
    live: AsyncGenerator[bytes, None] | None = None


def json_answer(document: Any, headers: Sequence[Header] = ()) -> Answer:
    """A JSON document, without the passwords that it may hold."""
    body = msgspec.json.encode(document)
    if _SECRET in body:
        body = msgspec.json.encode(without_secrets(document))
    return Answer(body, [("content-type", JSON), *headers])


def validators(modified_at: Instant) -> list[Header]:
    """ETag (bare, as the service sends it) and Last-Modified."""
    return [("etag", etag(modified_at)), ("last-modified", http_date(modified_at))]


def written(modified_at: Instant | None, data_service_id: str, location: str | None = None) -> Answer:
    """The empty answer to a write. `location` is the address of what was made."""
    headers = [] if modified_at is None else validators(modified_at)
    headers.append(("dataserviceid", data_service_id))
    if location is not None:
        headers.append(("location", location))
    return Answer(headers=headers)
