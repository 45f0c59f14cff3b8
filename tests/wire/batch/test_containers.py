"""Containers as answers show them: without passwords, and in the shapes of each api-version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.bad_bodies import JOB, MACHINE, POOL
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller

SECRET = "hush-hush-9000"
REGISTRY = {"username": "ann", "password": SECRET, "registryServer": "lab.example"}
SHOWN = {"username": "ann", "registryServer": "lab.example"}
SETTINGS: dict[str, Any] = {
    "imageName": "lab.example/tool",
    "containerRunOptions": "--rm",
    "registry": REGISTRY,
    "workingDirectory": "taskWorkingDirectory",
    "containerHostBatchBindMounts": [{"source": "Task", "isReadOnly": True}],
}
CONFIGURATION = {
    "type": "dockerCompatible",
    "containerImageNames": ["lab.example/tool:1"],
    "containerRegistries": [REGISTRY],
}
TASK = {"commandLine": "", "containerSettings": SETTINGS}


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    """A pool, a job with all its tasks, a task, and a schedule with an auto pool, all of them with containers."""
    caller = Caller(live)
    machine = {**MACHINE, "containerConfiguration": CONFIGURATION}
    pool = {**POOL, "id": "c", "virtualMachineConfiguration": machine, "startTask": TASK}
    assert caller("POST", "/pools", pool).status == 201
    job = {
        **JOB,
        "poolInfo": {"poolId": "c"},
        "id": "c",
        "jobManagerTask": {"id": "m", **TASK},
        "jobPreparationTask": TASK,
        "jobReleaseTask": TASK,
    }
    assert caller("POST", "/jobs", job).status == 201
    assert caller("POST", "/jobs/c/tasks", {"id": "t", **TASK}).status == 201
    specification = {key: value for key, value in pool.items() if key != "id"}
    auto = {"autoPoolSpecification": {"poolLifetimeOption": "job", "pool": specification}}
    schedule = {
        "id": "s",
        "schedule": {"doNotRunUntil": "2999-01-01T00:00:00Z"},
        "jobSpecification": {**{k: v for k, v in job.items() if k != "id"}, "poolInfo": auto},
    }
    assert caller("POST", "/jobschedules", schedule).status == 201
    return caller


def secrets(value: Any) -> list[Any]:
    """What is beneath every `registry` and `containerRegistries` of an answer."""
    if isinstance(value, list):
        return [found for one in value for found in secrets(one)]
    if not isinstance(value, dict):
        return []
    own: list[Any] = [value["registry"]] if "registry" in value else []
    own += value.get("containerRegistries", [])
    return own + [found for one in value.values() for found in secrets(one)]


@pytest.mark.parametrize(
    ("path", "registries"),
    [
        ("/pools/c", 2),
        ("/pools", 2),
        ("/jobs/c", 3),
        ("/jobs", 3),
        ("/jobs/c/tasks/t", 1),
        ("/jobs/c/tasks", 2),
        ("/jobschedules/s", 5),
        ("/jobschedules", 5),
    ],
)
def test_no_answer_holds_a_password(call: Caller, path: str, registries: int) -> None:
    reply = call("GET", path)
    assert reply.status == 200
    assert SECRET.encode() not in reply.body
    assert secrets(reply.document) == [SHOWN] * registries


def test_changes_keep_what_answers_do_not_show(live: Live, call: Caller) -> None:
    assert call("PATCH", "/pools/c", {"metadata": [{"name": "a", "value": "b"}]}).status == 200
    pool = live.read(lambda tx: tx.pools.get(ACCOUNT, "c"))
    assert pool is not None
    assert pool.spec.containers is not None
    assert [one.password for one in pool.spec.containers.registries] == [SECRET]
    assert pool.spec.start_task is not None
    assert pool.spec.start_task.container is not None
    assert pool.spec.start_task.container.registry is not None
    assert pool.spec.start_task.container.registry.password == SECRET


@pytest.mark.parametrize(
    ("version", "missing"),
    [
        ("2018-12-01.8.0", {"workingDirectory", "containerHostBatchBindMounts"}),
        ("2024-02-01.19.0", {"containerHostBatchBindMounts"}),
        ("2024-07-01.20.0", set()),
    ],
)
def test_versions_know_the_members_they_had(call: Caller, version: str, missing: set[str]) -> None:
    wanted = set(SETTINGS) - missing
    task = call("GET", "/jobs/c/tasks/t", version=version).document
    assert set(task["containerSettings"]) == wanted
    pool = call("GET", "/pools/c", version=version).document
    assert set(pool["startTask"]["containerSettings"]) == wanted
    job = call("GET", "/jobs/c", version=version).document
    schedule = call("GET", "/jobschedules/s", version=version).document
    (listed,) = call("GET", "/jobschedules", version=version).document["value"]
    specified = schedule["jobSpecification"]
    assert listed["jobSpecification"] == specified
    for one in (job, specified):
        for name in ("jobManagerTask", "jobPreparationTask", "jobReleaseTask"):
            assert set(one[name]["containerSettings"]) == wanted, json.dumps(one)
    auto = specified["poolInfo"]["autoPoolSpecification"]["pool"]
    assert set(auto["startTask"]["containerSettings"]) == wanted
