"""What holds for every operation: success codes, conditions, filters, selections, case, times, ids of requests."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from poolwright.api.batch.registry import OPERATIONS
from tests.wire.batch.bad_bodies import POOL
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller

LONG_AGO, FAR = "Fri, 31 Dec 1999 23:59:59 GMT", "Sun, 31 Dec 2090 23:59:59 GMT"
NODE = "/pools/{}/nodes/{}"
#: Success codes of the public operations, by code and verb; `{}` stands for an id.
CODES = {
    (201, "POST"): "/pools /jobs /jobschedules /certificates /jobs/{}/tasks " + NODE + "/users",
    (200, "GET"): "/supportedimages /nodeagentskus /nodecounts /applications /applications/{} /poolusagemetrics /pools"
    " /pools/{} /pools/{}/nodes " + NODE + " " + NODE + "/remoteloginsettings " + NODE + "/rdp " + NODE + "/extensions"
    " " + NODE + "/extensions/{} " + NODE + "/files " + NODE + "/files/{...} /jobs /jobs/{} /jobs/{}/taskcounts"
    " /jobs/{}/jobpreparationandreleasetaskstatus /jobschedules /jobschedules/{} /jobschedules/{}/jobs /jobs/{}/tasks"
    " /jobs/{}/tasks/{} /jobs/{}/tasks/{}/subtasksinfo /jobs/{}/tasks/{}/files /jobs/{}/tasks/{}/files/{...}"
    " /certificates",
    (200, "HEAD"): "/pools/{} /jobschedules/{} " + NODE + "/files/{...} /jobs/{}/tasks/{}/files/{...}",
    (200, "PUT"): "/jobs/{} /jobschedules/{} /jobs/{}/tasks/{} " + NODE + "/users/{}",
    (200, "PATCH"): "/pools/{} /jobs/{} /jobschedules/{}",
    (200, "DELETE"): "/jobs/{}/tasks/{} " + NODE + "/users/{} " + NODE + "/files/{...} /jobs/{}/tasks/{}/files/{...}",
    (202, "DELETE"): "/pools/{} /jobs/{} /jobschedules/{}",
    (204, "POST"): "/pools/{}/updateproperties /jobschedules/{}/disable /jobschedules/{}/enable"
    " /jobs/{}/tasks/{}/terminate /jobs/{}/tasks/{}/reactivate",
    (200, "POST"): "/pools/{}/enableautoscale /pools/{}/disableautoscale /pools/{}/evaluateautoscale"
    " /jobs/{}/addtaskcollection " + NODE + "/disablescheduling " + NODE + "/enablescheduling "
    "" + NODE + "/uploadbatchservicelogs",
    (202, "POST"): "/pools/{}/resize /pools/{}/stopresize /pools/{}/removenodes /pools/{}/upgradeos " + NODE + "/reboot"
    " " + NODE + "/reimage " + NODE + "/start " + NODE + "/deallocate /jobs/{}/disable /jobs/{}/enable"
    " /jobs/{}/terminate /jobschedules/{}/terminate",
}  # fmt: skip
_NAME, _TIME, _CHOICE = "startswith eq ne ge gt le lt", "eq ne ge gt le lt", "eq ne"
_RUN = ("startTime", "endTime", "exitCode")
#: What lists can be filtered by: path, field, its operators, a value (the public tables).
FILTERS = [
    *(("/supportedimages", name, _CHOICE, "'x'") for name in ("osType", "verificationType", "nodeAgentSKUId")),
    *(("/pools", name, _NAME, "'x'") for name in ("id", "vmSize")),
    *(("/pools", name, _CHOICE, "'active'") for name in ("state", "allocationState")),
    *(("/pools", name, _CHOICE, "true") for name in ("enableAutoScale", "enableInterNodeCommunication")),
    *(
        ("/pools", name, _TIME, "DateTime'2011-05-08T08:49:37Z'")
        for name in ("stateTransitionTime", "allocationStateTransitionTime", "creationTime", "lastModified")
    ),
    ("/pools/filtered/nodes", "state", _CHOICE, "'idle'"),
    ("/pools/filtered/nodes", "startTaskInfo/state", "eq", "'running'"),
    ("/pools/filtered/nodes", "startTaskInfo/result", _CHOICE, "'success'"),
    ("/pools/filtered/nodes", "startTaskInfo/exitCode", _TIME, "3"),
    *(
        ("/pools/filtered/nodes", name, _TIME, "DateTime'Sun, 08 May 2011 08:49:37 GMT'")
        for name in ("stateTransitionTime", "lastBootTime", "allocationTime", "startTaskInfo/startTime",
                     "startTaskInfo/endTime")
    ),
    ("/nodecounts", "poolId", "eq", "'x'"),
    *(("/jobs", name, _NAME, "'x'") for name in ("id", "executionInfo/poolId")),
    ("/jobs", "state", _CHOICE, "'active'"),
    *(
        ("/jobs", name, _TIME, "DateTime'2011-05-08T08:49:37Z'")
        for name in ("stateTransitionTime", "creationTime", "lastModified", "executionInfo/startTime",
                     "executionInfo/endTime")
    ),
    ("/jobschedules", "id", _NAME, "'x'"),
    ("/jobschedules", "state", _CHOICE, "'active'"),
    *(
        ("/jobschedules", name, _TIME, "DateTime'2011-05-08T08:49:37Z'")
        for name in ("stateTransitionTime", "creationTime", "lastModified", "executionInfo/endTime",
                     "schedule/doNotRunUntil", "schedule/doNotRunAfter")
    ),
    ("/jobs/filtered/tasks", "id", _NAME, "'x'"),
    ("/jobs/filtered/tasks", "state", _CHOICE, "'active'"),
    ("/jobs/filtered/tasks", "executionInfo/result", _CHOICE, "'success'"),
    ("/jobs/filtered/tasks", "executionInfo/exitCode", _TIME, "3"),
    ("/jobs/filtered/tasks", "nodeInfo/nodeId", _CHOICE, "'x'"),
    *(
        ("/jobs/filtered/tasks", name, _TIME, "DateTime'2011-05-08T08:49:37Z'")
        for name in ("stateTransitionTime", "creationTime", "lastModified", "executionInfo/startTime",
                     "executionInfo/endTime")
    ),
    *(
        ("/jobs/filtered/jobpreparationandreleasetaskstatus", f"{task}ExecutionInfo/{name}", _TIME, value)
        for task in ("jobPreparationTask", "jobReleaseTask")
        for name, value in zip(_RUN, ("DateTime'2011-05-08'", "DateTime'2011-05-08'", "3"), strict=True)
    ),
    *(("/jobs/filtered/jobpreparationandreleasetaskstatus", name, _NAME, "'x'") for name in ("poolId", "nodeId")),
]  # fmt: skip


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    caller = Caller(live)
    assert caller("POST", "/pools", {**POOL, "id": "filtered"}).status == 201
    job = {"id": "filtered", "poolInfo": {"poolId": "filtered"}, "jobPreparationTask": {"commandLine": "x"}}
    assert caller("POST", "/jobs", job).status == 201
    assert caller("POST", "/jobs/filtered/tasks", {"id": "task", "commandLine": "x"}).status == 201
    return caller


def test_success_codes_are_the_public_ones() -> None:
    ours = {(one.method, re.sub(r"\{\w+(\.\.\.)?\}", r"{\1}", one.path)): one.success for one in OPERATIONS}
    for (code, method), paths in CODES.items():
        assert {path: ours.get((method, path)) for path in paths.split()} == dict.fromkeys(
            paths.split(), code
        )


@pytest.mark.parametrize(("path", "field", "operators", "value"), FILTERS)
def test_every_field_takes_its_operators_and_no_others(
    call: Caller, path: str, field: str, operators: str, value: str
) -> None:
    for operator in ("startswith", "eq", "ne", "ge", "gt", "le", "lt"):
        text = f"startswith({field},{value})" if operator == "startswith" else f"{field} {operator} {value}"
        reply = call("GET", path, query=f"$filter={quote(f'({text}) and {text} or {text}')}")
        allowed = operator in operators.split()
        assert reply.status == (200 if allowed else 400), (text, reply.body)
        assert allowed or reply.code == "InvalidQueryParameterValue"
    wrong = f"{field[0].swapcase()}{field[1:]} eq {value}"
    assert call("GET", path, query=f"$filter={quote(wrong)}").code == "InvalidQueryParameterValue", "case"


def test_case_of_ids_values_and_names(call: Caller) -> None:
    assert call("GET", "/POOLS/FILTERED").document["id"] == "filtered"
    assert call("POST", "/pools", {**POOL, "id": "FILTERED"}).code == "PoolExists"
    text = quote("id eq 'FILTERED' and state eq 'ACTIVE'")
    listed = call("GET", "/pools", query=f"$filter={text}")
    assert [pool["id"] for pool in listed.document["value"]] == ["filtered"]
    shouted = {**POOL, "id": "shouted", "taskSchedulingPolicy": {"nodeFillType": "PACK"}}
    assert call("POST", "/pools", shouted).status == 201
    shown = call("GET", "/pools/shouted").document["taskSchedulingPolicy"]["nodeFillType"]
    assert shown == "pack", "lower case on the wire"
    assert call("POST", "/pools", {**POOL, "ID": "x"}).code == "UnsupportedProperty"
    assert call("GET", "/pools", query="$select=ID").code == "InvalidQueryParameterValue"


def test_selections_and_statistics(call: Caller) -> None:
    for path in ("/pools/filtered", "/jobs/filtered", "/jobs/filtered/tasks/task"):
        assert "stats" not in call("GET", path).document
        assert "stats" in call("GET", path, query="$expand=stats").document
        chosen = call("GET", path, query="$select=id,stats&$expand=stats").document
        assert chosen.keys() == {"odata.metadata", "id", "stats"}
    (task,) = call("GET", "/jobs/filtered/tasks", query="$select=id,state").document["value"]
    assert task == {"id": "task", "state": "active"}


@pytest.mark.parametrize(
    ("headers", "unmet"),
    [
        ({"If_Match": "0x8D0000000000000"}, 412),
        ({"If_Unmodified_Since": LONG_AGO}, 412),
        ({"If_None_Match": "TAG"}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_Modified_Since": FAR}, 304),
        ({"If_None_Match": "TAG", "If_Modified_Since": LONG_AGO}, 304),
        ({"If_Match": "0x8D0000000000000", "If_Unmodified_Since": FAR}, 412),
    ],
)
def test_unmet_conditions(live: Live, call: Caller, headers: dict[str, str], unmet: int) -> None:
    read = call("GET", "/jobs/filtered")
    given = {name: value.replace("TAG", read.headers["etag"]) for name, value in headers.items()}
    assert call("GET", "/jobs/filtered", **given).status == unmet
    before = live.fingerprint()
    patch = call("PATCH", "/jobs/filtered", {"priority": 7}, **given)
    assert (patch.status, patch.code) == (412, "ConditionNotMet"), "always, for what writes"
    assert live.fingerprint() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"If_None_Match": "0x1", "If_Modified_Since": FAR},
        {"If_Match": "TAG", "If_Unmodified_Since": LONG_AGO},
    ],
)
def test_of_a_tag_and_a_date_only_the_tag_counts(call: Caller, headers: dict[str, str]) -> None:
    tag = call("GET", "/jobs/filtered").headers["etag"]
    given = {name: value.replace("TAG", tag) for name, value in headers.items()}
    assert call("GET", "/jobs/filtered", **given).status == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"If_Match": "0x1", "If_None_Match": "0x1"},
        {"If_Match": "0x1", "If_Modified_Since": LONG_AGO},
        {"If_None_Match": "0x1", "If_Unmodified_Since": FAR},
        {"If_Modified_Since": LONG_AGO, "If_Unmodified_Since": FAR},
    ],
)
def test_other_pairs_of_conditions_are_refused(call: Caller, method: str, headers: dict[str, str]) -> None:
    reply = call(method, "/jobs/filtered", **headers)
    assert (reply.status, reply.code) == (400, "MultipleConditionHeadersNotSupported")


def test_nodes_and_tasks_do_not_touch_the_tags_above_them(live: Live, call: Caller) -> None:
    def tags() -> list[Any]:
        return [call("GET", path).headers["etag"] for path in ("/pools/filtered", "/jobs/filtered")]

    before = tags()
    assert call("POST", "/jobs/filtered/tasks", {"id": "more", "commandLine": "x"}).status == 201
    live.place("filtered", "more", live.add_node("filtered", 7))
    assert tags() == before
    assert "etag" not in call("GET", "/pools/filtered/nodes/tvmps_0007_d").headers


def test_answers_are_told_apart_by_their_request(call: Caller) -> None:
    own = "5d2f8f2a-0d2c-4b5e-9a53-0f8a2f0c1d11"
    quiet = call("GET", "/jobs", client_request_id=own)
    assert "client-request-id" not in quiet.headers
    asked = call("GET", "/jobs", client_request_id=own, return_client_request_id="true")
    assert asked.headers["client-request-id"] == own
    assert quiet.headers["request-id"] != asked.headers["request-id"]
    failed = call("GET", "/jobs/none", client_request_id=own, return_client_request_id="true")
    assert failed.headers["client-request-id"] == own
    said = failed.document["message"]["value"].splitlines()
    assert said[-2] == f"RequestId:{failed.headers['request-id']}"
    assert re.fullmatch(r"Time:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z", said[-1])


@pytest.mark.parametrize("query", ["timeout=5", "timeOut=30", "timeout=3000", "timeOut=3000"])
def test_timeouts_in_both_spellings(call: Caller, query: str) -> None:
    assert call("GET", "/jobs", query=query).status == 200, "a larger one is silently replaced"


def test_a_node_tells_its_ten_newest_tasks(live: Live, call: Caller) -> None:
    node = live.add_node("filtered", 8)
    for number in range(12):
        assert call("POST", "/jobs/filtered/tasks", {"id": f"r{number}", "commandLine": "x"}).status == 201
        live.place("filtered", f"r{number}", node)
    recent = call("GET", f"/pools/filtered/nodes/{node.id}").document["recentTasks"]
    assert [task["taskId"] for task in recent] == [f"r{number}" for number in range(11, 1, -1)]
