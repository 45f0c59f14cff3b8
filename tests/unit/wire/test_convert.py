"""Bodies to domain values and back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.api.batch.secrets import AccountSecrets
from poolwright.domain.clock import FOREVER, HOUR, MINUTE
from poolwright.domain.errors import ServiceError
from poolwright.domain.job import Job
from poolwright.domain.node import Failure, Node, NodeError, StartTaskInfo
from poolwright.domain.pool import ImageReference, Pool, Resize, ResizeError, UserIdentity
from poolwright.domain.states import (
    AllocationState,
    DeallocationOption,
    ExecutionResult,
    FillType,
    JobState,
    NodeState,
    PoolState,
    StartTaskState,
    TaskState,
)
from poolwright.domain.task import NewTask, Task
from poolwright.wire.convert import job as jobs
from poolwright.wire.convert import node as nodes
from poolwright.wire.convert import pool as pools
from poolwright.wire.convert import task as tasks
from poolwright.wire.errors import error_body
from poolwright.wire.links import Links

LINKS = Links("https://h")
SECRETS = AccountSecrets()
NOW = 1_769_552_710_901_390
IMAGE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i"


def body(**members: object) -> bytes:
    return json.dumps(members).encode()


def pool_body(**change: object) -> bytes:
    whole: dict[str, Any] = {
        "id": "P1",
        "vmSize": "Standard_D2s_v3",
        "virtualMachineConfiguration": {
            "imageReference": {"virtualMachineImageId": IMAGE},
            "nodeAgentSKUId": "batch.node.debian 12",
            "osDisk": {"caching": "ReadWrite", "managedDisk": {"storageAccountType": "PREMIUM_LRS"}},
            "nodePlacementConfiguration": {"policy": "Regional"},
        },
        "targetDedicatedNodes": 2,
        **change,
    }
    return body(**whole)


def stored_pool(new: pools.NewPool) -> Pool:
    return Pool(
        account="a",
        id=new.id,
        spec=new.spec,
        document=new.document,
        state=PoolState.ACTIVE,
        state_at=NOW,
        allocation=AllocationState.STEADY,
        allocation_at=NOW,
        created_at=NOW,
        modified_at=NOW,
        target_dedicated=new.target_dedicated or 0,
        target_low_priority=new.target_low_priority or 0,
        resize=Resize(NOW, new.spec.resize_timeout),
    )


def stored_job(new: jobs.NewJob) -> Job:
    return Job("a", new.id, new.spec, new.document, JobState.ACTIVE, NOW, NOW, NOW, NOW, pk=7)


def stored_task(new: NewTask) -> Task:
    return Task(1, 7, new.id, new.spec, new.document, TaskState.ACTIVE, NOW, NOW, NOW)


JOB = stored_job(jobs.read_job(body(id="j", poolInfo={"poolId": "P1"}), SECRETS))


def test_a_pool_from_a_custom_image() -> None:
    start = {
        "commandLine": "/bin/prepare",
        "environmentSettings": [{"name": "A", "value": "1"}, {"name": "B"}],
        "userIdentity": {"autoUser": {"elevationLevel": "Admin"}},
        "maxTaskRetryCount": "-1",
        "waitForSuccess": "false",
    }
    new = pools.read_pool(
        pool_body(startTask=start, taskSchedulingPolicy={"nodeFillType": "Pack"}, resizeTimeout="PT30M00S"),
        SECRETS,
    )
    spec = new.spec
    assert (new.id, new.target_dedicated, new.target_low_priority) == ("P1", 2, None)
    assert spec.image == ImageReference(image_id=IMAGE)
    assert spec.image.custom
    assert (spec.vm_size, spec.fill, spec.resize_timeout) == ("standard_d2s_v3", FillType.PACK, 30 * MINUTE)
    assert spec.start_task is not None
    assert spec.start_task.environment == (("A", "1"), ("B", ""))
    assert spec.start_task.user == UserIdentity("pool", "admin")
    assert (spec.start_task.max_retries, spec.start_task.wait_for_success) == (-1, False)

    shown = pools.show_pool(stored_pool(new), (1, 0), LINKS)
    machine = shown["virtualMachineConfiguration"]
    assert machine["imageReference"] == {"virtualMachineImageId": IMAGE}
    assert machine["osDisk"] == {"caching": "readwrite", "managedDisk": {"storageAccountType": "premium_lrs"}}
    assert machine["nodePlacementConfiguration"] == {"policy": "regional"}
    assert shown["startTask"] == {
        "commandLine": "/bin/prepare",
        "environmentSettings": [{"name": "A", "value": "1"}, {"name": "B"}],
        "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": "admin"}},
        "maxTaskRetryCount": -1,
        "waitForSuccess": False,
    }
    assert "resizeErrors" not in shown


def test_a_patch_replaces_whole_members_and_keeps_the_others() -> None:
    pool = stored_pool(
        pools.read_pool(
            pool_body(
                metadata=[{"name": "a", "value": "1"}],
                startTask={"commandLine": "old", "maxTaskRetryCount": 3},
                resizeTimeout="PT20M",
            ),
            SECRETS,
        )
    )
    spec, document = pools.read_pool_patch(
        body(startTask={"commandLine": "new"}, taskSlotsPerNode=4), SECRETS
    )(pool)
    changed = pools.show_pool(replace(pool, spec=spec, document=document), (0, 0), LINKS)
    assert changed["startTask"]["commandLine"] == "new"
    assert changed["startTask"]["maxTaskRetryCount"] == 0
    assert (changed["taskSlotsPerNode"], changed["metadata"]) == (4, [{"name": "a", "value": "1"}])
    assert spec.resize_timeout == 20 * MINUTE
    spec, document = pools.read_pool_properties(body(metadata=[], applicationPackageReferences=[]))(pool)
    assert spec.start_task is None
    assert "metadata" not in pools.show_pool(replace(pool, spec=spec, document=document), (0, 0), LINKS)


def test_resize_errors_show_in_steady_only() -> None:
    pool = stored_pool(pools.read_pool(pool_body(), SECRETS))
    failed = replace(pool, resize_errors=(ResizeError("AllocationTimedout", "no room", (("a", "b"),)),))
    assert pools.show_pool(failed, (0, 0), LINKS)["resizeErrors"] == [
        {"code": "AllocationTimedout", "message": "no room", "values": [{"name": "a", "value": "b"}]}
    ]
    again = replace(failed, allocation=AllocationState.RESIZING)
    assert "resizeErrors" not in pools.show_pool(again, (0, 0), LINKS)


def test_resize_and_remove_bodies() -> None:
    asked = pools.read_resize(body(targetLowPriorityNodes="3", nodeDeallocationOption="TaskCompletion"))
    assert asked == pools.ResizeRequest(None, 3, None, DeallocationOption.TASK_COMPLETION)
    removed = pools.read_remove_nodes(body(nodeList=["n1"], resizeTimeout="PT5M"))
    assert removed == pools.RemoveRequest(("n1",), 5 * MINUTE, None)
    assert nodes.read_reboot(b"") is None
    assert nodes.read_reboot(body(nodeRebootOption="terminate")) is DeallocationOption.TERMINATE


def test_a_job_patched_and_replaced() -> None:
    new = jobs.read_job(
        body(
            id="j",
            poolInfo={"poolId": "p"},
            priority="5",
            constraints={"maxWallClockTime": "PT1H", "maxTaskRetryCount": 3},
            commonEnvironmentSettings=[{"name": "E", "value": "v"}],
            metadata=[{"name": "m", "value": "v"}],
        ),
        SECRETS,
    )
    job = stored_job(new)
    assert (new.spec.priority, new.spec.max_task_retries, new.spec.environment) == (5, 3, (("E", "v"),))
    spec, document = jobs.read_job_patch(body(constraints={"maxWallClockTime": "PT2H"}))(job)
    assert (spec.max_wall_clock, spec.max_task_retries, spec.priority) == (2 * HOUR, 0, 5)
    assert jobs.show_job(replace(job, spec=spec, document=document), LINKS)["metadata"]
    spec, document = jobs.read_job_replacement(
        body(poolInfo={"poolId": "q"}, onAllTasksComplete="TerminateJob")
    )(job)
    assert (spec.pool, spec.priority, spec.max_wall_clock, spec.max_task_retries) == ("q", 0, FOREVER, 0)
    assert spec.on_all_tasks_complete == "terminatejob"
    shown = jobs.show_job(replace(job, spec=spec, document=document), LINKS)
    assert "metadata" not in shown
    assert shown["commonEnvironmentSettings"] == [{"name": "E", "value": "v"}]


def test_a_job_as_answered_can_be_sent_back() -> None:
    shown = {"odata.metadata": "x", **jobs.show_job(JOB, LINKS)}
    spec, _ = jobs.read_job_replacement(body(**shown))(JOB)
    assert spec == JOB.spec
    task = tasks.show_task(stored_task(tasks.read_task(body(id="t", commandLine="x"))), JOB, LINKS)
    assert tasks.read_task_change(body(**task))[1:] == (FOREVER, 7 * 24 * HOUR)


def test_a_finished_task() -> None:
    job = stored_job(
        jobs.read_job(body(id="j", poolInfo={"poolId": "P1"}, constraints={"maxTaskRetryCount": 4}), SECRETS)
    )
    task = replace(
        stored_task(tasks.read_task(body(id="t", commandLine="x", affinityInfo={"affinityId": "TVM:n"}))),
        state=TaskState.COMPLETED,
        previous_state=TaskState.RUNNING,
        previous_at=NOW,
        node="n",
        pool="P1",
        started_at=NOW,
        ended_at=NOW,
        exit_code=3,
        result=ExecutionResult.FAILURE,
        failure=Failure("usererror", "FailureExitCode", "exit 3", (("Code", "3"),)),
        retry_count=1,
        last_retry_at=NOW,
        requeue_count=2,
        last_requeue_at=NOW,
    )
    shown = tasks.show_task(task, job, LINKS)
    at = "2026-01-27T22:25:10.90139Z"
    assert shown["previousState"] == "running"
    assert shown["constraints"]["maxTaskRetryCount"] == 4
    assert shown["affinityInfo"] == {"affinityId": "TVM:n"}
    assert shown["executionInfo"] == {
        "startTime": at,
        "endTime": at,
        "exitCode": 3,
        "failureInfo": {
            "category": "usererror",
            "code": "FailureExitCode",
            "message": "exit 3",
            "details": [{"name": "Code", "value": "3"}],
        },
        "retryCount": 1,
        "lastRetryTime": at,
        "requeueCount": 2,
        "lastRequeueTime": at,
        "result": "failure",
    }
    assert shown["nodeInfo"] == {
        "affinityId": "TVM:n",
        "nodeUrl": "https://h/pools/P1/nodes/n",
        "poolId": "P1",
        "nodeId": "n",
        "taskRootDirectory": "workitems/j/job-1/t",
        "taskRootDirectoryUrl": "https://h/pools/P1/nodes/n/files/workitems/j/job-1/t",
    }


def test_a_troubled_node() -> None:
    pool = stored_pool(pools.read_pool(pool_body(startTask={"commandLine": "x"}), SECRETS))
    node = Node("a", "P1", "n", "m", False, NodeState.START_TASK_FAILED, NOW, NOW, 1)
    failure = Failure("usererror", "FailureExitCode", "exit 1")
    info = StartTaskInfo(StartTaskState.COMPLETED, NOW, 2, NOW, 1, failure, ExecutionResult.FAILURE, 1, NOW)
    troubled = replace(node, start_task=info, errors=(NodeError("DiskFull", "full", (("free", "0"),)),))
    task = stored_task(tasks.read_task(body(id="t", commandLine="x")))
    shown = nodes.show_node(troubled, pool, (1, 2), [nodes.Recent("j", task)], LINKS)
    assert "ipAddress" not in shown
    assert "lastBootTime" not in shown
    assert (shown["isDedicated"], shown["runningTasksCount"], shown["runningTaskSlotsCount"]) == (False, 1, 2)
    assert shown["startTaskInfo"]["failureInfo"]["code"] == "FailureExitCode"
    # Clients of workflow engines iterate over the details unasked.
    assert shown["startTaskInfo"]["failureInfo"]["details"] == [{"name": "Message", "value": "exit 1"}]
    assert shown["startTaskInfo"]["result"] == "failure"
    assert shown["errors"] == [
        {"code": "DiskFull", "message": "full", "errorDetails": [{"name": "free", "value": "0"}]}
    ]
    assert shown["recentTasks"][0]["taskUrl"] == "https://h/jobs/j/tasks/t"
    counts = nodes.show_node_counts("P1", {(NodeState.IDLE, True): 2, (NodeState.PREEMPTED, False): 1})
    assert (counts["dedicated"]["idle"], counts["dedicated"]["total"]) == (2, 2)
    assert (counts["lowPriority"]["preempted"], counts["lowPriority"]["total"]) == (1, 1)


@pytest.mark.parametrize(
    "given",
    [
        {"resourceFiles": []},
        {"outputFiles": [], "applicationPackageReferences": []},
        {"resourceFiles": None},
        {"exitConditions": {"default": {"jobAction": "None"}}},
        {"dependsOn": {"taskIds": [], "taskIdRanges": []}},
    ],
)
def test_what_asks_for_nothing_is_accepted(given: dict[str, object]) -> None:
    assert tasks.read_task(body(id="t", commandLine="x", **given)).spec.command_line == "x"


def test_empty_lists_come_back() -> None:
    new = tasks.read_task(body(id="t", commandLine="x", resourceFiles=[], environmentSettings=[]))
    shown = tasks.show_task(stored_task(new), JOB, LINKS)
    assert (shown["resourceFiles"], shown["environmentSettings"]) == ([], [])


_NAMES = st.text(alphabet="abcXYZ_09", min_size=1, max_size=12)
_TASKS = st.fixed_dictionaries(
    {
        "id": st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
        "commandLine": st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
            str.strip
        ),
    },
    optional={
        "displayName": st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40),
        "requiredSlots": st.integers(1, 256),
        "environmentSettings": st.lists(st.fixed_dictionaries({"name": _NAMES, "value": _NAMES}), max_size=4),
        "constraints": st.fixed_dictionaries(
            {}, optional={"maxTaskRetryCount": st.integers(-1, 100), "maxWallClockTime": st.just("PT1H")}
        ),
        "userIdentity": st.fixed_dictionaries(
            {
                "autoUser": st.fixed_dictionaries(
                    {
                        "scope": st.sampled_from(["pool", "task"]),
                        "elevationLevel": st.sampled_from(["nonadmin", "admin"]),
                    }
                )
            }
        ),
        "affinityInfo": st.fixed_dictionaries({"affinityId": _NAMES}),
    },
)


@given(_TASKS)
def test_what_is_sent_comes_back_and_reads_the_same(sent: dict[str, Any]) -> None:
    new = tasks.read_task(body(**sent))
    shown = tasks.show_task(stored_task(new), JOB, LINKS)
    for name, value in sent.items():
        if name == "constraints":
            assert value.items() <= shown[name].items()
        else:
            assert shown[name] == value
    again = {name: shown[name] for name in {*sent, "constraints"}}
    reread = tasks.read_task(body(**again)).spec
    assert replace(reread, max_retries=new.spec.max_retries) == new.spec


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_any_json_is_a_task_or_a_client_error(value: object) -> None:
    for raw in (json.dumps(value).encode(), body(id="t", commandLine="x", constraints=value)):
        try:
            tasks.read_task(raw)
            status = 400
        except ServiceError as refused:
            status = refused.status
        assert status == 400


def test_an_error_body() -> None:
    text = error_body("https://h", "JobExists", "It exists.", [("Id", "j")], "r-1", NOW).decode()
    assert text == (
        '{"odata.metadata":"https://h/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element",'
        '"code":"JobExists","message":{"lang":"en-US","value":"It exists.\\nRequestId:r-1'
        '\\nTime:2026-01-27T22:25:10.90139Z"},"values":[{"key":"Id","value":"j"}]}'
    )
