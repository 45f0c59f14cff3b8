"""Uploads of a node's logs: bodies to domain values, answers."""

from __future__ import annotations

from typing import Any

from poolwright.domain.clock import Instant
from poolwright.domain.errors import bad_property
from poolwright.domain.node_logs import LogRequest, LogUpload
from poolwright.wire.bodies import decode_body
from poolwright.wire.convert.shared import Document
from poolwright.wire.convert.transfer import check_container_url, refuse_identity
from poolwright.wire.generated import batch_models as models
from poolwright.wire.times import parse_time


def read_log_upload(raw: bytes) -> LogRequest:
    """The body of an upload-logs request. Raises ServiceError."""
    body = decode_body(raw, models.UploadBatchServiceLogsOptions)
    if body.identity_reference is not None:
        refuse_identity(body.identity_reference)
    url = check_container_url(body.container_url, "containerUrl")
    start = _time(body.start_time, "startTime")
    end = None if body.end_time is None else _time(body.end_time, "endTime")
    if end is not None and end < start:
        raise bad_property("endTime", str(body.end_time), "It is not before startTime.")
    return LogRequest(url, start, end)


def show_log_upload(upload: LogUpload) -> Document:
    """The answer."""
    return {"virtualDirectoryName": upload.directory, "numberOfFilesUploaded": upload.files}


def _time(given: Any, name: str) -> Instant:
    try:
        if not isinstance(given, str):
            raise ValueError("not a text")
        return parse_time(given)
    except ValueError:
        reason = "A time in ISO 8601 is needed, as in 2026-01-31T12:00:00Z."
        raise bad_property(name, str(given)[:100], reason) from None
