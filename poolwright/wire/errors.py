"""The error body of the data plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from poolwright.domain.clock import Instant
from poolwright.wire.times import iso

_METADATA = "Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element"


def error_body(
    endpoint: str, code: str, message: str, values: Sequence[tuple[str, str]], request_id: str, now: Instant
) -> bytes:
    """The JSON of an error answer; clients show the last two lines of the text to people."""
    return msgspec.json.encode(
        {
            "odata.metadata": f"{endpoint}/$metadata#{_METADATA}",
            **error_item(code, message, values, request_id, now),
        }
    )


def error_item(
    code: str, message: str, values: Sequence[tuple[str, str]], request_id: str, now: Instant
) -> dict[str, Any]:
    """The same without the metadata, for one task of a collection."""
    text = f"{message}\nRequestId:{request_id}\nTime:{iso(now)}"
    item: dict[str, Any] = {"code": code, "message": {"lang": "en-US", "value": text}}
    if values:
        item["values"] = [{"key": key, "value": value} for key, value in values]
    return item
