"""Uploads of a node's logs: what is asked, what is refused, what is answered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.batch.bad_bodies import POOL
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller

GOOD = {"containerUrl": "https://h.test/c?sig=1", "startTime": "2026-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    caller = Caller(live)
    assert caller("POST", "/pools", {**POOL, "id": "logs"}).status == 201
    return caller


@pytest.fixture(scope="module")
def path(live: Live, call: Caller) -> str:
    return f"/pools/logs/nodes/{live.add_node('logs', 1).id}/uploadbatchservicelogs"


def test_logs_are_promised_at_once(call: Caller, path: str) -> None:
    reply = call("POST", path, GOOD)
    assert reply.status == 200
    assert reply.document["virtualDirectoryName"].startswith("logs/")
    assert reply.document["numberOfFilesUploaded"] == 2
    assert call("POST", "/pools/logs/nodes/none/uploadbatchservicelogs", GOOD).code == "NodeNotFound"


def test_logs_are_read_at_once(call: Caller, path: str) -> None:
    place = path.removesuffix("/uploadbatchservicelogs")
    read = call("GET", f"{place}/logs")
    assert read.status == 200
    assert read.document["value"] == [{"name": "node.log", "content": f"{place.rpartition('/')[2]}\n"}]
    assert call("GET", "/pools/logs/nodes/none/logs").code == "NodeNotFound"


@pytest.mark.parametrize(
    ("change", "code", "name"),
    [
        ({"containerUrl": "nothing?sig=1"}, "InvalidPropertyValue", "containerUrl"),
        ({"containerUrl": None}, "MissingRequiredProperty", "containerUrl"),
        ({"startTime": "noon"}, "InvalidPropertyValue", "startTime"),
        ({"startTime": 5}, "InvalidPropertyValue", "startTime"),
        ({"endTime": "2025-12-31T00:00:00Z"}, "InvalidPropertyValue", "endTime"),
        ({"identityReference": {"resourceId": "/i"}}, "UnsupportedProperty", "identityReference"),
    ],
)
def test_what_cannot_be_is_refused(
    call: Caller, path: str, change: dict[str, Any], code: str, name: str
) -> None:
    body = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    reply = call("POST", path, body)
    assert (reply.status, reply.code, reply.values["PropertyName"]) == (400, code, name)
    assert "sig=" not in str(reply.document)
