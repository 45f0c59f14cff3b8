"""What older clients see and mean: shapes, names, defaults and operations by api-version."""

from __future__ import annotations

from typing import Any

import pytest

from poolwright.domain.clock import FOREVER
from poolwright.wire.versions import VERSIONS
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.bad_bodies import MACHINE, POOL, machine
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller

OLDEST, SLOTS, WIDE = "2018-08-01.7.0", "2020-09-01.12.0", "2024-07-01.20.0"


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    return Caller(live)


def test_each_version_is_answered_and_no_other(live: Live, call: Caller) -> None:
    assert [call("GET", "/pools", version=version).status for version in VERSIONS] == [200] * len(VERSIONS)
    for version in ("2017-05-01.5.0", "2024-02-01", "2025-06-01.1.0", "2031-01-01"):
        reply = call("GET", "/pools", version=version)
        assert (reply.code, reply.values["QueryParameterValue"]) == ("UnsupportedRequestVersion", version)


def test_a_pool_has_the_members_its_version_knows(live: Live, call: Caller) -> None:
    settings = {
        "upgradePolicy": {"mode": "manual"},
        "targetNodeCommunicationMode": "Classic",
        "taskSchedulingPolicy": {"nodeFillType": "pack", "jobDefaultOrder": "creationtime"},
        **machine(nodePlacementConfiguration={"policy": "regional"}),
    }
    assert call("POST", "/pools", {**POOL, **settings, "id": "shapes"}).status == 201

    def shown(version: str) -> dict[str, object]:
        return call("GET", "/pools/shapes", version=version).document

    new = shown("2025-06-01")
    assert new["taskSchedulingPolicy"] == {"nodeFillType": "pack", "jobDefaultOrder": "creationtime"}
    assert (new["upgradePolicy"], new["taskSlotsPerNode"]) == ({"mode": "manual"}, 1)
    assert not {"targetNodeCommunicationMode", "currentNodeCommunicationMode"} & new.keys()
    wide = shown(WIDE)
    assert (wide["targetNodeCommunicationMode"], wide["currentNodeCommunicationMode"]) == (
        "classic",
        "simplified",
    )
    assert wide["taskSchedulingPolicy"] == {"nodeFillType": "pack"}
    assert "upgradePolicy" not in shown("2023-11-01.18.0")
    slots = shown(SLOTS)
    assert "nodePlacementConfiguration" not in slots["virtualMachineConfiguration"]  # type: ignore[operator]
    assert (slots.get("taskSlotsPerNode"), slots.get("maxTasksPerNode")) == (1, None)
    oldest = shown(OLDEST)
    assert (oldest.get("taskSlotsPerNode"), oldest.get("maxTasksPerNode")) == (None, 1)


def test_a_start_task_waits_by_default_since_2019(live: Live, call: Caller) -> None:
    start = {"startTask": {"commandLine": "x"}}
    for id, version, waits in (("old", OLDEST, False), ("new", "2019-08-01.10.0", True)):
        body = {**POOL, **start, "id": f"waits-{id}", "targetDedicatedNodes": 0}
        assert call("POST", "/pools", body, version=version).status == 201
        patched = call("PATCH", f"/pools/waits-{id}", {"metadata": []})
        assert patched.status == 200, "another version's change leaves the default alone"
        pool = call("GET", f"/pools/waits-{id}").document
        assert pool["startTask"]["waitForSuccess"] is waits


def test_the_pool_of_an_older_clients_job_is_what_its_version_means(call: Caller) -> None:
    pool = {name: value for name, value in POOL.items() if name != "id"}
    pool |= {"maxTasksPerNode": 4, "startTask": {"commandLine": "x"}, "certificateReferences": []}
    auto = {"poolLifetimeOption": "job", "pool": pool}
    body = {"id": "older-auto", "poolInfo": {"autoPoolSpecification": auto}}
    assert call("POST", "/jobs", body, version=OLDEST).status == 201
    made = call("GET", "/jobs/older-auto").document
    asked = made["poolInfo"]["autoPoolSpecification"]["pool"]
    assert (asked["taskSlotsPerNode"], asked["startTask"]["waitForSuccess"]) == (4, False)
    assert "maxTasksPerNode" not in asked
    real = call("GET", f"/pools/{made['executionInfo']['poolId']}").document
    assert (real["taskSlotsPerNode"], real["startTask"]["waitForSuccess"]) == (4, False)
    old = call("GET", "/jobs/older-auto", version=OLDEST).document
    assert old["poolInfo"]["autoPoolSpecification"]["pool"]["maxTasksPerNode"] == 4
    hourly = {"schedule": {"recurrenceInterval": "PT1H"}, "jobSpecification": {"poolInfo": body["poolInfo"]}}
    assert call("POST", "/jobschedules", {**hourly, "id": "older-sch"}, version=OLDEST).status == 201
    kept = call("GET", "/jobschedules/older-sch").document["jobSpecification"]["poolInfo"]
    assert kept["autoPoolSpecification"]["pool"]["startTask"]["waitForSuccess"] is False


def test_the_jobs_of_schedules_are_shown_as_each_version_knows_jobs(call: Caller) -> None:
    pool = {name: value for name, value in POOL.items() if name != "id"}
    pool |= {"upgradePolicy": {"mode": "manual"}, "taskSlotsPerNode": 4}
    auto = {"autoPoolSpecification": {"poolLifetimeOption": "jobschedule", "pool": pool}}
    body = {
        "id": "shown",
        "schedule": {"doNotRunUntil": "2999-01-01T00:00:00Z"},
        "jobSpecification": {"poolInfo": auto, "maxParallelTasks": 3, "allowTaskPreemption": True},
    }
    assert call("POST", "/jobschedules", body).status == 201

    def shown(version: str) -> dict[str, Any]:
        document = call("GET", "/jobschedules/shown", version=version).document
        found: dict[str, Any] = document["jobSpecification"]
        return found

    new, old = shown("2025-06-01"), shown(OLDEST)
    assert (new["maxParallelTasks"], new["allowTaskPreemption"]) == (3, True)
    assert not {"maxParallelTasks", "allowTaskPreemption"} & old.keys()
    asked, older = (one["poolInfo"]["autoPoolSpecification"]["pool"] for one in (new, old))
    assert (asked["taskSlotsPerNode"], asked["upgradePolicy"]) == (4, {"mode": "manual"})
    assert "upgradePolicy" not in older
    assert (older["maxTasksPerNode"], older.get("taskSlotsPerNode")) == (4, None)


def test_what_only_cloud_services_had_is_refused_as_such(live: Live, call: Caller) -> None:
    assert call("POST", "/pools", {**POOL, "id": "no-cloud"}).status == 201
    node = live.add_node("no-cloud", 1)
    upgraded = call("POST", "/pools/no-cloud/upgradeos", {"targetOSVersion": "*"}, version=OLDEST)
    assert (upgraded.status, upgraded.code) == (409, "OperationNotValidOnPool")
    desktop = call("GET", f"/pools/no-cloud/nodes/{node.id}/rdp", version=OLDEST)
    assert (desktop.status, desktop.code) == (409, "OperationNotValidOnNode")
    assert call("GET", "/pools/nowhere/nodes/x/rdp", version=OLDEST).code == "PoolNotFound"


def test_old_tasks_keep_their_data_for_ever_by_default(live: Live, call: Caller) -> None:
    assert call("POST", "/jobs", {"id": "kept", "poolInfo": {"poolId": "p"}}).status == 201
    task = {"id": "a", "commandLine": "x"}
    assert call("POST", "/jobs/kept/tasks", task, version=OLDEST).status == 201
    named = {"id": "b", "commandLine": "x", "constraints": {"retentionTime": "PT1H"}}
    many = {"value": [named, {"id": "c", "commandLine": "x"}]}
    assert call("POST", "/jobs/kept/addtaskcollection", many, version=OLDEST).status == 200
    assert call("POST", "/jobs/kept/tasks", {"id": "d", "commandLine": "x"}).status == 201

    def kept(id: str) -> str:
        return str(call("GET", f"/jobs/kept/tasks/{id}").document["constraints"]["retentionTime"])

    assert [kept(id) for id in "abcd"] == [kept("a"), "PT1H", kept("a"), "P7D"]
    job = live.read(lambda tx: tx.jobs.get(ACCOUNT, "kept"))
    assert job is not None
    stored = live.read(lambda tx: tx.tasks.get(job.pk, "a"))
    assert stored is not None
    assert stored.spec.retention == FOREVER


def test_patching_grew_wide_in_2024(live: Live, call: Caller) -> None:
    body = {**POOL, "id": "patched", "targetDedicatedNodes": 0}
    assert call("POST", "/pools", body).status == 201
    change = {"taskSlotsPerNode": 2}
    refused = call("PATCH", "/pools/patched", change, version="2024-02-01.19.0")
    assert (refused.code, refused.values["PropertyName"]) == ("UnsupportedProperty", "taskSlotsPerNode")
    mode = {"targetNodeCommunicationMode": "simplified"}
    assert call("PATCH", "/pools/patched", mode, version="2022-01-01.15.0").code == "UnsupportedProperty"
    assert call("PATCH", "/pools/patched", mode, version="2022-10-01.16.0").status == 200
    assert call("PATCH", "/pools/patched", {"metadata": []}, version=OLDEST).status == 200
    assert call("PATCH", "/pools/patched", change, version=WIDE).status == 200
    assert call("GET", "/pools/patched").document["taskSlotsPerNode"] == 2


def test_images_are_listed_by_agent_in_2018(live: Live, call: Caller) -> None:
    listed = call("GET", "/nodeagentskus", version=OLDEST).document["value"]
    skus = {entry["id"]: entry for entry in listed}
    debian = skus[str(MACHINE["nodeAgentSKUId"])]
    assert debian["osType"] == "linux"
    assert {"publisher": "debian", "offer": "debian-12", "sku": "12", "version": "latest"} in (
        debian["verifiedImageReferences"]
    )
    windows = call("GET", "/nodeagentskus", query="$filter=osType%20eq%20'Windows'", version=OLDEST)
    assert [entry["id"] for entry in windows.document["value"]] == ["batch.node.windows amd64"]
    assert call("GET", "/nodeagentskus").code == "InvalidUri"
    assert call("GET", "/supportedimages", version=OLDEST).code == "InvalidUri"


def test_public_addresses_of_2019_are_understood_by_their_old_name(live: Live, call: Caller) -> None:
    body = {**POOL, "id": "addresses", "networkConfiguration": {"publicIPs": ["/ip"]}}
    old = call("POST", "/pools", body, version="2019-08-01.10.0")
    assert "publicIPs" not in old.values.get("PropertyName", ""), "the name itself is known"
    new = call("POST", "/pools", body)
    assert (new.code, new.values["PropertyName"]) == (
        "UnsupportedProperty",
        "networkConfiguration.publicIPs",
    )


def test_resource_files_of_2018_have_a_blob_source(live: Live, call: Caller) -> None:
    url = "http://127.0.0.1/box/x?sig=1"
    files = [{"blobSource": url, "filePath": "x"}]
    start = {"commandLine": "x", "resourceFiles": files}
    body = {**POOL, "id": "sources", "targetDedicatedNodes": 0, "startTask": start}
    assert call("POST", "/pools", body, version=OLDEST).status == 201
    gang = {"coordinationCommandLine": "x", "numberOfInstances": 1, "commonResourceFiles": files}
    task = {"id": "t", "commandLine": "x", "resourceFiles": files, "multiInstanceSettings": gang}
    assert call("POST", "/jobs", {"id": "sources", "poolInfo": {"poolId": "sources"}}).status == 201
    assert call("POST", "/jobs/sources/tasks", task, version=OLDEST).status == 201
    shown = call("GET", "/pools/sources").document["startTask"]
    assert shown["resourceFiles"] == [{"httpUrl": url, "filePath": "x"}]
    old, new = (call("GET", "/jobs/sources/tasks/t", version=v).document for v in (OLDEST, "2018-12-01.8.0"))
    for found, name in ((old, "blobSource"), (new, "httpUrl")):
        wanted = [{name: url, "filePath": "x"}]
        common = found["multiInstanceSettings"]["commonResourceFiles"]
        assert (found["resourceFiles"], common) == (wanted, wanted)
    refused = call("POST", "/jobs/sources/tasks", {**task, "id": "late"}, version="2018-12-01.8.0")
    assert refused.status == 400
    assert refused.values["PropertyName"] == "resourceFiles[0].blobSource"
    torn = call("POST", "/jobs/sources/tasks", "blobSource", version=OLDEST)
    assert torn.status == 400
