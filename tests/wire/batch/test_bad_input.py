"""Bad input of every kind: the documented error naming what is wrong, and not one row changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.bad_bodies import BODIES, JOB, JOBS, POOL, POOLS, TASK, TASKS, UPDATES
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    caller = Caller(live)
    assert caller("POST", "/pools", {**POOL, "id": "base"}).status == 201
    assert caller("POST", "/jobs", {"id": "base", "poolInfo": {"poolId": "base"}}).status == 201
    assert caller("POST", "/jobs/base/tasks", {"id": "base", "commandLine": "x"}).status == 201
    node = live.add_node("base", 1)
    live.place("base", "base", node)
    directory = live.files.root / node.machine / "workitems" / "base" / "job-1" / "base"
    directory.mkdir(parents=True)
    (directory / "stdout.txt").write_text("hello")
    (live.files.root / "secret.txt").write_text("of the host")
    return caller


@pytest.mark.parametrize(
    ("path", "whole", "change", "code", "name"),
    [("/pools", POOL, *row) for row in POOLS]
    + [("/jobs", JOB, *row) for row in JOBS]
    + [("/jobs/base/tasks", TASK, *row) for row in TASKS],
)
def test_properties(
    live: Live, call: Caller, path: str, whole: dict[str, Any], change: dict[str, Any], code: str, name: str
) -> None:
    before = live.fingerprint()
    reply = call("POST", path, {**whole, **change})
    assert reply.code == code
    assert reply.values.get("PropertyName") == name
    assert reply.status in (400, 404, 413)
    assert live.fingerprint() == before


@pytest.mark.parametrize(
    ("path", "body", "value"),
    [
        ("/pools", {**POOL, "resizeTimeout": "PT4M"}, "PT240S"),
        ("/jobs", {**JOB, "constraints": {"maxWallClockTime": "PT0S"}}, "PT0S"),
        (
            "/jobschedules",
            {
                "id": "s",
                "schedule": {"doNotRunAfter": "2020-01-01T00:00:00Z"},
                "jobSpecification": {"poolInfo": {"poolId": "p"}},
            },
            "2020-01-01T00:00:00Z",
        ),
    ],
)
def test_refused_times_are_told_as_callers_write_them(
    call: Caller, path: str, body: dict[str, Any], value: str
) -> None:
    assert call("POST", path, body).values["PropertyValue"] == value


@pytest.mark.parametrize(("method", "path", "body", "code"), UPDATES)
def test_updates(live: Live, call: Caller, method: str, path: str, body: Any, code: str) -> None:
    before = live.fingerprint()
    assert call(method, path, body).code == code
    assert live.fingerprint() == before


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:12].decode("latin-1"))
@pytest.mark.parametrize("path", ["/pools", "/jobs", "/jobs/base/tasks", "/jobs/base/addtaskcollection"])
def test_bodies_that_are_no_such_json(live: Live, call: Caller, path: str, body: bytes) -> None:
    before = live.fingerprint()
    reply = call("POST", path, body)
    assert (reply.status, reply.code) == (400, "InvalidRequestBody")
    assert reply.values["Reason"]
    assert live.fingerprint() == before


@pytest.mark.parametrize(
    ("path", "size", "limit"),
    [
        ("/jobs/base/addtaskcollection", 1_048_577, "1048576"),
        ("/jobs/base/tasks", 4 * 1_048_576 + 1, "4194304"),
        ("/pools", 6 * 1_048_576, "4194304"),
    ],
)
def test_bodies_that_are_too_long(live: Live, call: Caller, path: str, size: int, limit: str) -> None:
    before = live.fingerprint()
    reply = call("POST", path, b" " * size)
    assert (reply.status, reply.code, reply.values) == (413, "RequestBodyTooLarge", {"MaxLimit": limit})
    text = "The request body is too large and exceeds the maximum permissible limit."
    assert reply.document["message"]["value"].startswith(text)
    assert live.fingerprint() == before


@pytest.mark.parametrize(
    ("path", "query", "code", "name"),
    [
        ("/pools", "$filter=nothing eq 'x'", "InvalidQueryParameterValue", "$filter"),
        ("/pools", "$filter=state", "InvalidQueryParameterValue", "$filter"),
        ("/pools", "$filter=state gt 'active'", "InvalidQueryParameterValue", "$filter"),
        ("/pools", "$filter=creationTime gt 'noon'", "InvalidQueryParameterValue", "$filter"),
        ("/jobs", "$filter=id eq 5", "InvalidQueryParameterValue", "$filter"),
        ("/jobs", "$filter=" + "(" * 3000, "InvalidQueryParameterValue", "$filter"),
        (
            "/jobs/base/tasks",
            "$filter=executionInfo/exitCode eq 'x'",
            "InvalidQueryParameterValue",
            "$filter",
        ),
        ("/jobs", "$select=id,nothing", "InvalidQueryParameterValue", "$select"),
        ("/jobs", "$expand=everything", "InvalidQueryParameterValue", "$expand"),
        ("/pools", "$top=1", "UnsupportedQueryParameter", "$top"),
        ("/pools", "colour=red", "UnsupportedQueryParameter", "colour"),
        ("/pools/base", "$filter=id eq 'x'", "UnsupportedQueryParameter", "$filter"),
        ("/jobs/base/taskcounts", "maxresults=1", "UnsupportedQueryParameter", "maxresults"),
        ("/jobs/base", "force=true", "UnsupportedQueryParameter", "force"),
        ("/pools", "$orderby=id", "UnsupportedQueryParameter", "$orderby"),
        ("/jobs", "maxresults=0", "OutOfRangeQueryParameterValue", "maxresults"),
        ("/jobs", "maxresults=1001", "OutOfRangeQueryParameterValue", "maxresults"),
        ("/nodecounts", "maxresults=11", "OutOfRangeQueryParameterValue", "maxresults"),
        ("/jobs", "maxresults=ten", "InvalidQueryParameterValue", "maxresults"),
        ("/jobs", "$skiptoken=garbage!", "InvalidQueryParameterValue", "$skiptoken"),
        ("/jobs", "timeOut=soon", "InvalidQueryParameterValue", "timeout"),
        ("/jobs/base/tasks/base/files", "recursive=perhaps", "InvalidQueryParameterValue", "recursive"),
    ],
)
def test_queries(live: Live, call: Caller, path: str, query: str, code: str, name: str) -> None:
    reply = call("GET", path, query=query.replace(" ", "%20"))
    assert (reply.status, reply.code, reply.values["QueryParameterName"]) == (400, code, name)


def test_conditions_where_there_are_none(live: Live, call: Caller) -> None:
    before = live.fingerprint()
    for path, body in (("/pools", POOL), ("/pools/base/updateproperties", {})):
        reply = call("POST", path, body, If_Match="0x1")
        assert (reply.status, reply.code, reply.values["HeaderName"]) == (
            400,
            "UnsupportedHeader",
            "if-match",
        )
    assert live.fingerprint() == before


def test_versions(live: Live, call: Caller) -> None:
    missing = call("GET", "/jobs", version=None)
    assert (missing.code, missing.values["QueryParameterName"]) == (
        "MissingRequiredQueryParameter",
        "api-version",
    )
    for version in ("latest", "2025", "2025-13-01", "2025-06-01.1", "2025-06-01.x.y"):
        assert call("GET", "/jobs", version=version).code == "UnsupportedRequestVersion"


@pytest.mark.parametrize(
    "name",
    [
        "..%2F..%2F..%2F..%2Fsecret.txt",
        "../../../../secret.txt",
        "..%2F..%2Fetc%2Fpasswd",
        "wd%2F..%2F..%2Fx",
        "..",
        "%2e%2e%2f%2e%2e%2fx",
        "..%5C..%5Csecret.txt",
        "%2Fetc%2Fpasswd",
        "//etc/passwd",
        "wd%2F%2Fx",
        ".",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("place", ["/jobs/base/tasks/base/files/", "/pools/base/nodes/tvmps_0001_d/files/"])
def test_paths_that_lead_out(live: Live, call: Caller, place: str, method: str, name: str) -> None:
    reply = call(method, place + name)
    assert (reply.status, reply.code) == (400, "InvalidInput")
    assert reply.values["PropertyName"] == "filePath"
    assert (live.files.root / "secret.txt").exists()


def test_paths_that_cannot_be(live: Live, call: Caller) -> None:
    for name in ("a%00b", "%ff%fe"):
        assert call("GET", f"/jobs/base/tasks/base/files/{name}").code == "RequestUrlFailedToParse"
    assert call("GET", "/jobs/base/tasks/base/files/none").code == "FileNotFound"
    assert call("GET", "/jobs/base/tasks/none/files/x").code == "TaskNotFound"
    assert call("POST", "/jobs/base/tasks", {"id": "nodir", "commandLine": "x"}).status == 201
    live.place("base", "nodir", live.add_node("base", 2))
    gone = call("GET", "/jobs/base/tasks/nodir/files")
    assert (gone.status, gone.code) == (404, "PathNotFound"), "its directory is not there (yet)"
    assert call("GET", "/pools/base/nodes/tvmps_0001_d/files/workitems").code == "InvalidInput"
    bad = call("GET", "/jobs/base/tasks/base/files/stdout.txt", ocp_range="bytes=4-2")
    assert (bad.code, bad.values["HeaderName"]) == ("InvalidHeaderValue", "ocp-range")
    beyond = call("GET", "/jobs/base/tasks/base/files/stdout.txt", ocp_range="bytes=5-")
    assert (beyond.status, beyond.code) == (416, "InvalidRange")
    last = call("GET", "/jobs/base/tasks/base/files/stdout.txt", ocp_range="bytes=-2")
    assert (last.status, last.body) == (200, b"lo")


@pytest.mark.parametrize("path", ["/", "/nothing", "/jobs/a/b/c/d", "/jobs//tasks", "/pools/base/%2e%2e"])
def test_addresses_of_nothing(call: Caller, path: str) -> None:
    reply = call("GET", path)
    assert (reply.status, reply.code) == (400, "InvalidUri")


@pytest.mark.parametrize("target", ["/jobs/a%00b", "/jobs/%ff", "/pools?x=%ff", "/" + "x" * 9000])
def test_addresses_that_cannot_be_read(call: Caller, target: str) -> None:
    path, _, query = target.partition("?")
    reply = call("GET", path, query=query)
    assert (reply.status, reply.code) == (400, "RequestUrlFailedToParse")
    assert reply.values["Reason"]


def test_heads_that_lack_something(live: Live, call: Caller) -> None:
    before = live.fingerprint()
    sent = {"Authorization": f"Bearer {call.token}"}
    target = "/pools?api-version=2025-06-01"
    body = json.dumps({**POOL, "id": "headless"}).encode()
    chunked = call.send("POST", target, iter([body]), {**sent, "Content-Type": "application/json"})  # type: ignore[arg-type]
    assert (chunked.status, chunked.code) == (411, "MissingContentLengthHeader")
    untyped = call.send("POST", target, body, sent)
    assert (untyped.status, untyped.code) == (400, "MissingRequiredHeader")
    assert untyped.values["HeaderName"] == "Content-Type"
    form = call.send("POST", target, body, {**sent, "Content-Type": "application/x-www-form-urlencoded"})
    assert (form.status, form.code) == (400, "InvalidHeaderValue")
    assert form.values["HeaderValue"] == "application/x-www-form-urlencoded"
    assert live.fingerprint() == before


def test_verbs(call: Caller) -> None:
    unknown = call("PROPFIND", "/pools")
    assert (unknown.status, unknown.code, unknown.values) == (400, "InvalidHttpVerb", {"Method": "PROPFIND"})
    reply = call("PUT", "/pools")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "UnsupportedHttpVerb", "GET, POST")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/lifetimepoolstats"),
        ("GET", "/lifetimejobstats"),
    ],
)
def test_operations_that_are_known_but_not_served(call: Caller, method: str, path: str) -> None:
    reply = call(method, path)
    assert (reply.status, reply.code) == (501, "NotImplemented")


def test_callers_who_may_not(live: Live, call: Caller) -> None:
    before = live.fingerprint()
    anonymous = call.send("POST", "/jobs?api-version=2025-06-01", json.dumps(JOB).encode(), {})
    assert anonymous.status == 401
    assert anonymous.headers["www-authenticate"].startswith("Bearer ")
    for value, status, code in (
        ("Bearer x.y.z", 401, None),
        ("Basic abc", 400, "InvalidAuthenticationInfo"),
        (f"SharedKey {ACCOUNT}:{'A' * 43}=", 403, "AuthenticationFailed"),
    ):
        refused = call("POST", "/jobs", JOB, Authorization=value, ocp_date="Mon, 23 Nov 2026 12:00:00 GMT")
        assert refused.status == status
        assert code is None or refused.code == code
    assert live.fingerprint() == before
