"""Answers byte for byte, with what differs from run to run taken out."""

from __future__ import annotations

import re

import pytest

from poolwright.domain.clock import etag
from poolwright.wire.times import parse_time
from tests.wire.batch.conftest import OLD_VERSION, Live
from tests.wire.batch.raw import Caller, Reply

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,5}[1-9])?Z")
_TAG = re.compile(r"0x[0-9A-F]{15}")

MACHINE = {
    "imageReference": {"publisher": "debian", "offer": "debian-12", "sku": "12"},
    "nodeAgentSKUId": "batch.node.debian 12",
}


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    return Caller(live)


def settled(live: Live, reply: Reply) -> str:
    """The body with the server's address, times and tags replaced."""
    text = reply.body.decode().replace(live.url, "URL")
    text = _TAG.sub("TAG", _TIME.sub("TIME", text))
    return text.replace(reply.headers["request-id"], "REQUEST")


def test_create_and_get_a_pool(live: Live, call: Caller) -> None:
    body = {
        "id": "Gold",
        "vmSize": "Standard_D2s_v3",
        "virtualMachineConfiguration": MACHINE,
        "targetDedicatedNodes": "2",
        "resizeTimeout": "PT01H00M00S",
        "metadata": [],
        "applicationPackageReferences": [],
    }
    made = call("POST", "/pools", body)
    assert (made.status, made.body) == (201, b"")
    assert made.headers["location"] == made.headers["dataserviceid"] == f"{live.url}/pools/Gold"
    assert made.headers["dataserviceversion"] == "3.0"
    assert _UUID.match(made.headers["request-id"])
    assert _TAG.fullmatch(made.headers["etag"])
    assert "content-type" not in made.headers
    assert "client-request-id" not in made.headers

    got = call("GET", "/pools/gold")
    assert got.status == 200
    assert got.headers["content-type"] == "application/json; odata=minimalmetadata"
    assert (got.headers["etag"], got.headers["last-modified"]) == (
        made.headers["etag"],
        made.headers["last-modified"],
    )
    assert got.document["eTag"] == made.headers["etag"] == etag(parse_time(got.document["lastModified"]))
    assert settled(live, got) == (
        '{"odata.metadata":"URL/$metadata#pools/@Element","id":"Gold","url":"URL/pools/Gold","eTag":"TAG",'
        '"lastModified":"TIME","creationTime":"TIME","state":"active","stateTransitionTime":"TIME",'
        '"allocationState":"resizing","allocationStateTransitionTime":"TIME","vmSize":"standard_d2s_v3",'
        '"virtualMachineConfiguration":{"imageReference":{"publisher":"debian","offer":"debian-12","sku":"12",'
        '"version":"latest"},"nodeAgentSKUId":"batch.node.debian 12"},"resizeTimeout":"PT1H",'
        '"currentDedicatedNodes":0,"currentLowPriorityNodes":0,"targetDedicatedNodes":2,"targetLowPriorityNodes":0,'
        '"enableAutoScale":false,"enableInterNodeCommunication":false,"applicationPackageReferences":[],'
        '"taskSlotsPerNode":1,"taskSchedulingPolicy":{"jobDefaultOrder":"none","nodeFillType":"spread"}}'
    )
    old = call("GET", "/pools/gold", version=OLD_VERSION)
    assert old.document["taskSchedulingPolicy"] == {"nodeFillType": "spread"}
    oldest = call("GET", "/pools/gold", version="2019-08-01.10.0")
    assert oldest.document["maxTasksPerNode"] == 1
    assert "taskSlotsPerNode" not in oldest.document
    picked = call("GET", "/pools/gold", query="$select=id,%20state&$expand=stats")
    assert (
        settled(live, picked)
        == '{"odata.metadata":"URL/$metadata#pools/@Element","id":"Gold","state":"active"}'
    )


def test_conditions_on_reads(live: Live, call: Caller) -> None:
    call("POST", "/jobs", {"id": "cond", "poolInfo": {"poolId": "p"}})
    tag = call("GET", "/jobs/cond").headers["etag"]
    for quoted in (tag, f'"{tag}"'):
        fresh = call("GET", "/jobs/cond", If_None_Match=quoted)
        assert (fresh.status, fresh.body, fresh.headers["etag"]) == (304, b"", tag)
    assert call("GET", "/jobs/cond", If_Match="0x8D0000000000000").code == "ConditionNotMet"
    since = "Fri, 31 Dec 1999 23:59:59 GMT"
    assert call("GET", "/jobs/cond", If_Modified_Since=since).status == 200
    assert call("GET", "/jobs/cond", If_Unmodified_Since=since).status == 412
    both = call("GET", "/jobs/cond", If_Match=tag, If_None_Match=tag)
    assert (both.status, both.code) == (400, "MultipleConditionHeadersNotSupported")
    bad = call("GET", "/jobs/cond", If_Modified_Since="yesterday")
    assert (bad.code, bad.values["HeaderName"]) == ("InvalidHeaderValue", "If-Modified-Since")
    assert call("DELETE", "/jobs/cond", If_Match="0x8D0000000000000").status == 412


def test_tasks_and_counts(live: Live, call: Caller) -> None:
    call("POST", "/jobs", {"id": "gold-job", "poolInfo": {"poolId": "p"}, "priority": "5"})
    tasks = {"value": [{"id": "a", "commandLine": "x"}, {"id": "a", "commandLine": "x"}]}
    added = call("POST", "/jobs/gold-job/addtaskcollection", tasks)
    assert added.status == 200
    assert settled(live, added) == (
        '{"odata.metadata":"URL/$metadata#taskaddresult","value":[{"status":"success","taskId":"a","eTag":"TAG",'
        '"lastModified":"TIME","location":"URL/jobs/gold-job/tasks/a"},{"status":"clienterror","taskId":"a",'
        '"error":{"code":"TaskExists","message":{"lang":"en-US","value":"The specified task already exists.'
        '\\nRequestId:REQUEST\\nTime:TIME"}}}]}'
    )
    assert settled(live, call("GET", "/jobs/gold-job/tasks/a")) == (
        '{"odata.metadata":"URL/$metadata#tasks/@Element","id":"a","url":"URL/jobs/gold-job/tasks/a","eTag":"TAG",'
        '"creationTime":"TIME","lastModified":"TIME","state":"active","stateTransitionTime":"TIME","commandLine":"x",'
        '"userIdentity":{"autoUser":{"scope":"pool","elevationLevel":"nonadmin"}},"constraints":{'
        '"maxWallClockTime":"P10675199DT2H48M5.4775807S","retentionTime":"P7D","maxTaskRetryCount":0},'
        '"requiredSlots":1,"executionInfo":{"retryCount":0,"requeueCount":0}}'
    )
    assert settled(live, call("GET", "/jobs/gold-job/taskcounts")) == (
        '{"odata.metadata":"URL/$metadata#taskcountsresult/@Element","taskCounts":{"active":1,"running":0,'
        '"completed":0,"succeeded":0,"failed":0},"taskSlotCounts":{"active":1,"running":0,"completed":0,'
        '"succeeded":0,"failed":0}}'
    )
    flat = call("GET", "/jobs/gold-job/taskcounts", version="2019-08-01.10.0").document
    assert (flat["active"], "taskCounts" in flat) == (1, False)


def test_a_list_and_its_next_page(live: Live, call: Caller) -> None:
    for name in ("list-a", "list-b", "list-c"):
        call("POST", "/jobs", {"id": name, "poolInfo": {"poolId": "p"}})
    query = "$filter=startswith(id,'list-')&maxresults=2&$select=id"
    page = call("GET", "/render1/jobs", query=query)
    assert [job["id"] for job in page.document["value"]] == ["list-a", "list-b"]
    link = page.document["odata.nextLink"]
    assert link.startswith(
        f"{live.url}/render1/jobs?api-version=2025-06-01&$filter=startswith%28id%2C%27list-%27%29&"
    )
    target = link.removeprefix(live.url)
    rest = call.send("GET", target, None, {"Authorization": f"Bearer {call.token}"})
    assert settled(live, rest) == '{"odata.metadata":"URL/render1/$metadata#jobs","value":[{"id":"list-c"}]}'


def test_an_error(live: Live, call: Caller) -> None:
    missing = call("GET", "/jobs/none", client_request_id="c-1", return_client_request_id="true")
    assert missing.status == 404
    assert missing.headers["client-request-id"] == "c-1"
    assert settled(live, missing) == (
        '{"odata.metadata":"URL/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element",'
        '"code":"JobNotFound","message":{"lang":"en-US","value":"The specified job does not exist.'
        '\\nRequestId:REQUEST\\nTime:TIME"},"values":[{"key":"Id","value":"none"}]}'
    )


def test_the_account_is_the_one_the_address_names(live: Live, call: Caller) -> None:
    body = {"id": "elsewhere", "poolInfo": {"poolId": "p"}}
    assert call("POST", "/render2/jobs", body).headers["location"] == f"{live.url}/render2/jobs/elsewhere"
    assert call("GET", "/jobs/elsewhere").code == "JobNotFound"
    assert call("GET", "/render1/jobs/elsewhere").code == "JobNotFound"
    assert call("GET", "/RENDER2/jobs/elsewhere").status == 200
    assert call("GET", "/jobs/elsewhere", Host=f"render2.localhost:{live.port}").status == 200
    assert call("GET", "/nobody/jobs/elsewhere").code == "InvalidUri"


def test_explanations_are_our_extension(live: Live, call: Caller) -> None:
    call(
        "POST",
        "/pools",
        {
            "id": "why",
            "vmSize": "standard_b1s",
            "virtualMachineConfiguration": MACHINE,
            "targetLowPriorityNodes": 1,
        },
    )
    node = live.add_node("why", 1, dedicated=False)
    assert call("GET", "/pools/why/explain").document["value"] == [
        {"code": "PoolState", "message": "The pool is active."}
    ]
    assert call("GET", f"/pools/why/nodes/{node.id}/explain").document["value"] == [
        {
            "code": "NodeState",
            "message": "The node is idle.",
            "nextStep": "Wait.",
            "evidence": [{"name": "machine", "value": node.machine}],
        }
    ]
    assert call("GET", "/pools/none/explain").code == "PoolNotFound"
    assert call("GET", "/jobs/none/explain").code == "JobNotFound"
    assert call("POST", f"/pools/why/nodes/{node.id}/preempt").status == 202
    assert call("GET", f"/pools/why/nodes/{node.id}").document["state"] == "preempted"
    story = call("GET", f"/pools/why/nodes/{node.id}/explain").document
    assert [(move["state"], move["reason"]) for move in story["history"]] == [
        ("preempted", "preempted by the operator")
    ]
    assert (story["notes"], story["phasesMs"]) == ([], {})


def test_older_bodies_are_understood(live: Live, call: Caller) -> None:
    body = {
        "id": "older",
        "vmSize": "standard_d2s_v3",
        "virtualMachineConfiguration": MACHINE,
        "targetDedicatedNodes": 0,
        "maxTasksPerNode": "4",
        "enableAutoScale": "false",
        "targetNodeCommunicationMode": "Default",
        "taskSchedulingPolicy": {"nodeFillType": "Pack"},
    }
    assert call("POST", "/pools", body, version="2022-10-01.16.0").status == 201
    now = call("GET", "/pools/older").document
    assert (now["taskSlotsPerNode"], now["taskSchedulingPolicy"]["nodeFillType"]) == (4, "pack")
    assert "targetNodeCommunicationMode" not in now
    then = call("GET", "/pools/older", version="2022-10-01.16.0").document
    assert then["targetNodeCommunicationMode"] == "default"
