"""Bad input of every kind: the documented error naming what is wrong, and not one row changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller

VM = "virtualMachineConfiguration"
MACHINE = {
    "imageReference": {"publisher": "debian", "offer": "debian-12", "sku": "12"},
    "nodeAgentSKUId": "batch.node.debian 12",
}
POOL: dict[str, Any] = {
    "id": "bad",
    "vmSize": "standard_d2s_v3",
    "virtualMachineConfiguration": MACHINE,
    "targetDedicatedNodes": 1,
}
JOB: dict[str, Any] = {"id": "bad", "poolInfo": {"poolId": "p"}}
TASK: dict[str, Any] = {"id": "bad", "commandLine": "x"}
IMAGE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i"


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


def machine(**change: object) -> dict[str, object]:
    return {"virtualMachineConfiguration": {**MACHINE, **change}}


POOLS = [
    ({"nonsense": 1}, "UnsupportedProperty", "nonsense"),
    ({"vmSize": None}, "MissingRequiredProperty", "vmSize"),
    ({"vmSize": 7}, "InvalidPropertyValue", "vmSize"),
    ({"vmSize": "standard_nothing"}, "InvalidPropertyValue", "vmSize"),
    ({"vmSize": ""}, "InvalidPropertyValue", "vmSize"),
    ({"id": "a b"}, "InvalidPropertyValue", "id"),
    ({"id": "x" * 65}, "InvalidPropertyValue", "id"),
    ({"id": ""}, "InvalidPropertyValue", "id"),
    ({"targetDedicatedNodes": "many"}, "InvalidPropertyValue", "targetDedicatedNodes"),
    ({"targetDedicatedNodes": -1}, "InvalidPropertyValue", "targetDedicatedNodes"),
    ({"targetDedicatedNodes": 2**40}, "InvalidPropertyValue", "targetDedicatedNodes"),
    ({"targetDedicatedNodes": None}, "MissingRequiredProperty", "targetDedicatedNodes"),
    ({"resizeTimeout": "PT4M"}, "InvalidPropertyValue", "resizeTimeout"),
    ({"resizeTimeout": "15 minutes"}, "InvalidPropertyValue", "resizeTimeout"),
    ({"taskSlotsPerNode": 0}, "InvalidPropertyValue", "taskSlotsPerNode"),
    ({"taskSlotsPerNode": 257}, "InvalidPropertyValue", "taskSlotsPerNode"),
    (
        {"taskSchedulingPolicy": {"nodeFillType": "heap"}},
        "InvalidPropertyValue",
        "taskSchedulingPolicy.nodeFillType",
    ),
    ({"displayName": "x" * 1025}, "InvalidPropertyValue", "displayName"),
    ({"metadata": [{"name": "", "value": "v"}]}, "InvalidPropertyValue", "metadata[0].name"),
    ({"metadata": [{"name": "n"}]}, "MissingRequiredProperty", "metadata[0].value"),
    ({"metadata": [{"name": "n", "value": "v" * 9000}]}, "InvalidPropertyValue", "metadata"),
    ({"enableAutoScale": True}, "UnsupportedProperty", "enableAutoScale"),
    ({"autoScaleFormula": "$x=1;"}, "UnsupportedProperty", "autoScaleFormula"),
    ({"networkConfiguration": {"subnetId": "/s"}}, "UnsupportedProperty", "networkConfiguration"),
    ({"mountConfiguration": [{"nfsMountConfiguration": {}}]}, "UnsupportedProperty", "mountConfiguration"),
    (
        {"applicationPackageReferences": [{"applicationId": "a"}]},
        "UnsupportedProperty",
        "applicationPackageReferences",
    ),
    ({"userAccounts": [{"name": "u", "password": "p"}]}, "UnsupportedProperty", "userAccounts"),
    ({"certificateReferences": [{"thumbprint": "1"}]}, "UnsupportedProperty", "certificateReferences"),
    ({"cloudServiceConfiguration": {"osFamily": "6"}}, "UnsupportedProperty", "cloudServiceConfiguration"),
    ({"virtualMachineConfiguration": None}, "MissingRequiredProperty", "virtualMachineConfiguration"),
    (
        machine(imageReference={}),
        "MissingRequiredProperty",
        "virtualMachineConfiguration.imageReference.publisher",
    ),
    (
        machine(imageReference={"virtualMachineImageId": "debian"}),
        "InvalidPropertyValue",
        f"{VM}.imageReference.virtualMachineImageId",
    ),
    (
        machine(imageReference={"virtualMachineImageId": IMAGE}),
        "InvalidPropertyValue",
        f"{VM}.imageReference.virtualMachineImageId",
    ),
    (
        machine(imageReference={"virtualMachineImageId": IMAGE, "sku": "12"}),
        "InvalidPropertyValue",
        f"{VM}.imageReference.virtualMachineImageId",
    ),
    (
        machine(nodeAgentSKUId="batch.node.plan9"),
        "NodeAgentSKUNotFound",
        f"{VM}.nodeAgentSKUId",
    ),
    (
        machine(nodeAgentSKUId="batch.node.debian 13"),
        "InvalidPropertyValue",
        f"{VM}.nodeAgentSKUId",
    ),
    (
        machine(containerConfiguration={"type": "dockerCompatible"}),
        "UnsupportedProperty",
        "virtualMachineConfiguration.containerConfiguration",
    ),
    (
        machine(dataDisks=[{"lun": 0, "diskSizeGB": 1}]),
        "UnsupportedProperty",
        "virtualMachineConfiguration.dataDisks",
    ),
    (
        machine(nodePlacementConfiguration={"policy": "zonal"}),
        "UnsupportedProperty",
        "virtualMachineConfiguration.nodePlacementConfiguration.policy",
    ),
    ({"startTask": {}}, "MissingRequiredProperty", "startTask.commandLine"),
    ({"startTask": {"commandLine": " "}}, "InvalidPropertyValue", "startTask.commandLine"),
    (
        {"startTask": {"commandLine": "x", "maxTaskRetryCount": -2}},
        "InvalidPropertyValue",
        "startTask.maxTaskRetryCount",
    ),
    (
        {"startTask": {"commandLine": "x", "resourceFiles": [{"httpUrl": "http://x"}]}},
        "UnsupportedProperty",
        "startTask.resourceFiles",
    ),
    (
        {"startTask": {"commandLine": "x", "userIdentity": {"username": "root"}}},
        "UnsupportedProperty",
        "startTask.userIdentity.username",
    ),
    (
        {"startTask": {"commandLine": "x", "environmentSettings": [{"name": "A=B", "value": "1"}]}},
        "InvalidPropertyValue",
        "startTask.environmentSettings[0].name",
    ),
]
JOBS = [
    ({"poolInfo": None}, "MissingRequiredProperty", "poolInfo"),
    ({"poolInfo": {}}, "MissingRequiredProperty", "poolInfo.poolId"),
    ({"poolInfo": {"poolId": "../x"}}, "InvalidPropertyValue", "poolInfo.poolId"),
    (
        {"poolInfo": {"autoPoolSpecification": {"poolLifetimeOption": "job"}}},
        "UnsupportedProperty",
        "poolInfo.autoPoolSpecification",
    ),
    ({"priority": 1001}, "OutOfRangePriority", "priority"),
    ({"priority": "high"}, "InvalidPropertyValue", "priority"),
    ({"maxParallelTasks": 0}, "InvalidPropertyValue", "maxParallelTasks"),
    ({"constraints": {"maxWallClockTime": "PT-1S"}}, "InvalidPropertyValue", "constraints.maxWallClockTime"),
    ({"constraints": {"maxWallClockTime": 5}}, "InvalidPropertyValue", "constraints.maxWallClockTime"),
    ({"constraints": {"maxWallClockTime": "PT0S"}}, "InvalidPropertyValue", "constraints.maxWallClockTime"),
    ({"constraints": {"maxTaskRetryCount": -2}}, "InvalidPropertyValue", "constraints.maxTaskRetryCount"),
    ({"onAllTasksComplete": "explode"}, "InvalidPropertyValue", "onAllTasksComplete"),
    ({"onTaskFailure": "performexitoptionsjobaction"}, "UnsupportedProperty", "onTaskFailure"),
    ({"usesTaskDependencies": True}, "UnsupportedProperty", "usesTaskDependencies"),
    ({"jobManagerTask": {"id": "m"}}, "UnsupportedProperty", "jobManagerTask"),
    ({"jobPreparationTask": {"commandLine": "x"}}, "UnsupportedProperty", "jobPreparationTask"),
    ({"jobReleaseTask": {"commandLine": "x"}}, "UnsupportedProperty", "jobReleaseTask"),
]
TASKS = [
    ({"commandLine": ""}, "InvalidPropertyValue", "commandLine"),
    ({"commandLine": "a\0b"}, "InvalidPropertyValue", "commandLine"),
    ({"requiredSlots": 0}, "InvalidPropertyValue", "requiredSlots"),
    ({"constraints": {"maxTaskRetryCount": -5}}, "InvalidPropertyValue", "constraints.maxTaskRetryCount"),
    ({"resourceFiles": [{"httpUrl": "http://x", "filePath": "x"}]}, "UnsupportedProperty", "resourceFiles"),
    ({"outputFiles": [{"filePattern": "*"}]}, "UnsupportedProperty", "outputFiles"),
    ({"dependsOn": {"taskIds": ["a"]}}, "UnsupportedProperty", "dependsOn"),
    ({"multiInstanceSettings": {"numberOfInstances": 2}}, "UnsupportedProperty", "multiInstanceSettings"),
    ({"containerSettings": {"imageName": "x"}}, "UnsupportedProperty", "containerSettings"),
    ({"exitConditions": {"default": {"jobAction": "terminate"}}}, "UnsupportedProperty", "exitConditions"),
    (
        {"authenticationTokenSettings": {"access": ["job"]}},
        "UnsupportedProperty",
        "authenticationTokenSettings",
    ),
    (
        {"environmentSettings": [{"name": "A", "value": "x" * 40_000}]},
        "RequestEntityTooLarge",
        "environmentSettings",
    ),
    (
        {"userIdentity": {"autoUser": {"scope": "galaxy"}}},
        "InvalidPropertyValue",
        "userIdentity.autoUser.scope",
    ),
]


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


UPDATES = [
    ("PATCH", "/pools/base", {"vmSize": 3}, "InvalidPropertyValue"),
    ("PATCH", "/pools/base", {"id": "other"}, "UnsupportedProperty"),
    ("PATCH", "/pools/base", {"userAccounts": [{"name": "x"}]}, "UnsupportedProperty"),
    ("PATCH", "/pools/base", {"taskSlotsPerNode": 2}, "OperationInvalidForCurrentState"),
    ("POST", "/pools/base/updateproperties", {"metadata": []}, "MissingRequiredProperty"),
    ("POST", "/pools/base/resize", {}, "MissingRequiredProperty"),
    (
        "POST",
        "/pools/base/resize",
        {"targetDedicatedNodes": 1, "nodeDeallocationOption": "x"},
        "InvalidPropertyValue",
    ),
    ("POST", "/pools/base/removenodes", {"nodeList": []}, "InvalidPropertyValue"),
    ("POST", "/pools/base/removenodes", {"nodeList": ["n"] * 101}, "InvalidPropertyValue"),
    ("POST", "/pools/none/resize", {"targetDedicatedNodes": 1}, "PoolNotFound"),
    ("PATCH", "/jobs/base", {"priority": 5000}, "OutOfRangePriority"),
    ("PATCH", "/jobs/base", {"jobManagerTask": {}}, "UnsupportedProperty"),
    ("PUT", "/jobs/base", {"priority": 1}, "MissingRequiredProperty"),
    ("POST", "/jobs/base/disable", {}, "MissingRequiredProperty"),
    ("POST", "/jobs/base/disable", {"disableTasks": "forget"}, "InvalidPropertyValue"),
    ("POST", "/jobs/base/terminate", {"reason": "x"}, "UnsupportedProperty"),
    ("PUT", "/jobs/base/tasks/base", {"constraints": {"maxTaskRetryCount": -2}}, "InvalidPropertyValue"),
    ("POST", "/jobs/none/tasks", TASK, "JobNotFound"),
    ("POST", "/jobs/none/addtaskcollection", {"value": [TASK]}, "JobNotFound"),
    (
        "POST",
        "/jobs/base/addtaskcollection",
        {"value": [TASK, {"id": "x", "commandLine": 1}]},
        "InvalidPropertyValue",
    ),
    (
        "POST",
        "/jobs/base/addtaskcollection",
        {"value": [{**TASK, "id": f"t{n}"} for n in range(101)]},
        "RequestBodyTooLarge",
    ),
    ("POST", "/pools/base/nodes/none/reboot", None, "NodeNotFound"),
]
BODIES = [
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"null",
    b"\xff\xfe",
    b'{"id":"bad" "vmSize":1}',
    b"[" * 200_000,
    b'{"metadata":' + b"[" * 100_000,
]


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


def test_versions(live: Live, call: Caller) -> None:
    missing = call("GET", "/jobs", version=None)
    assert (missing.code, missing.values["QueryParameterName"]) == (
        "MissingRequiredQueryParameter",
        "api-version",
    )
    for version in ("latest", "2025", "2025-13-01", "2025-06-01.1", "2025-06-01.x.y"):
        assert call("GET", "/jobs", version=version).code == "UnsupportedRequestVersion"
    assert call("GET", "/jobs", version="2031-01-01").status == 200


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
        assert call("GET", f"/jobs/base/tasks/base/files/{name}").code == "InvalidUri"
    assert call("GET", "/jobs/base/tasks/base/files/none").code == "FileNotFound"
    assert call("GET", "/jobs/base/tasks/none/files/x").code == "TaskNotFound"
    assert call("GET", "/pools/base/nodes/tvmps_0001_d/files/workitems").code == "InvalidInput"
    bad = call("GET", "/jobs/base/tasks/base/files/stdout.txt", ocp_range="bytes=4-2")
    assert (bad.code, bad.values["HeaderName"]) == ("InvalidHeaderValue", "ocp-range")
    beyond = call("GET", "/jobs/base/tasks/base/files/stdout.txt", ocp_range="bytes=5-")
    assert (beyond.status, beyond.code) == (416, "InvalidRange")
    last = call("GET", "/jobs/base/tasks/base/files/stdout.txt", ocp_range="bytes=-2")
    assert (last.status, last.body) == (200, b"lo")


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/jobs/a/b/c/d", "/jobs//tasks", "/pools/base/%2e%2e", "/jobs/a%00b"]
)
def test_addresses_of_nothing(call: Caller, path: str) -> None:
    reply = call("GET", path)
    assert (reply.status, reply.code) == (400, "InvalidUri")


def test_verbs(call: Caller) -> None:
    reply = call("PUT", "/pools")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "UnsupportedHttpVerb", "GET, POST")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobschedules"),
        ("POST", "/pools/base/enableautoscale"),
        ("GET", "/applications"),
        ("GET", "/pools/base/nodes/n/remoteloginsettings"),
        ("POST", "/pools/base/nodes/n/users"),
        ("GET", "/certificates(thumbprintAlgorithm=sha1,thumbprint=ab)"),
    ],
)
def test_operations_that_are_known_but_not_served(call: Caller, method: str, path: str) -> None:
    reply = call(method, path, {} if method == "POST" else None)
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
