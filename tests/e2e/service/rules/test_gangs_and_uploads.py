"""Rules of multi-instance tasks, of output files and of failures to upload."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from azure.batch import models as batch

from tests.e2e.service.live import Live
from tests.e2e.service.rules.test_jobs import ended, job_state
from tests.e2e.service.test_transfers import output
from tests.support.storage import Storage
from tests.support.waiting import wait_until

SPARE = batch.ExitOptions(job_action="none", dependency_action="satisfy")
FATAL = batch.ExitOptions(job_action="terminate", dependency_action="block")


def _listed(*, code: batch.ExitOptions, upload: batch.ExitOptions) -> batch.ExitConditions:
    return batch.ExitConditions(
        exit_codes=[batch.ExitCodeMapping(code=5, exit_options=code)],
        file_upload_error=upload,
        default=FATAL,
    )


def test_what_a_failed_upload_means(live: Live, storage: Storage) -> None:
    nowhere = [output("../stdout.txt", storage.signed("no-such-container"))]
    live.job(task_failure_mode="performexitoptionsjobaction", uses_task_dependencies=True)
    parents = {
        # the conditions of the upload go before the default, those of a listed exit code before both
        "upload": (0, _listed(code=FATAL, upload=SPARE)),
        "code": (5, _listed(code=SPARE, upload=FATAL)),
        "other": (6, _listed(code=FATAL, upload=SPARE)),
    }
    for id, (code, conditions) in parents.items():
        live.task(id, f"exit {code}", exit_conditions=conditions, output_files=nowhere)
        after = batch.BatchTaskDependencies(task_ids=[id])
        live.task(f"after-{id}", "true", depends_on=after)
    for id, (code, _) in parents.items():
        info = ended(live, id)
        assert info["exitCode"] == code, "it stays what it was"
        failure: Any = info["failureInfo"]
        assert (info["result"], failure["code"], failure["category"]) == (
            "failure",
            "FileUploadContainerNotFound",
            "usererror",
        )
        assert ended(live, f"after-{id}")["result"] == "success"
    assert live.batch.get_job("job")["state"] == "active"
    live.task("plain", "exit 0", output_files=nowhere)
    assert job_state(live, "completed")["executionInfo"]["terminateReason"] == "TaskFailed", (
        "an upload that failed is a failure of the task"
    )


def test_only_the_last_attempt_uploads_and_only_a_failure_after_all_retries_counts(
    live: Live, storage: Storage
) -> None:
    kept = storage.container()
    live.job(task_failure_mode="performexitoptionsjobaction")
    node = next(iter(live.batch.list_nodes("pool")))
    live.task(
        "t",
        "echo x >>$AZ_BATCH_NODE_SHARED_DIR/uploads; [ $(wc -l <$AZ_BATCH_NODE_SHARED_DIR/uploads) -ge 2 ]",
        affinity_info=batch.BatchAffinityInfo(affinity_id=str(node["affinityId"])),
        constraints=batch.BatchTaskConstraints(max_task_retry_count=2),
        output_files=[
            output("../std*.txt", storage.signed(kept), "taskfailure", path="failure"),
            output("../stdout.txt", storage.signed(kept), "tasksuccess", path="success"),
        ],
    )
    info = ended(live, "t")
    assert (info["result"], info["retryCount"]) == ("success", 1)
    assert info["startTime"] >= info["lastRetryTime"], "of the newest run"
    assert set(storage.blobs(kept)) == {"success"}
    assert live.batch.get_job("job")["state"] == "active", "it did not fail for good"


def _gang(
    live: Live, id: str, coordination: str, command: str = "true", instances: int = 2, **more: Any
) -> None:
    line = f"/bin/sh -c '{coordination}'"
    settings = batch.MultiInstanceSettings(coordination_command_line=line, number_of_instances=instances)
    live.task(id, command, "gangs", multi_instance_settings=settings, **more)


def _subtasks(live: Live, task: str) -> list[tuple[Any, ...]]:
    rows = live.batch.list_subtasks("gangs", task)
    return [(row["id"], row["state"], row.get("exitCode"), row.get("result")) for row in rows]


def test_what_becomes_of_a_gang(live: Live, storage: Storage) -> None:
    live.idle_pool("mpi", dedicated=2, slots=1, enable_inter_node_communication=True)
    kept = storage.container()
    try:
        live.job("gangs", "mpi")
        _gang(live, "three", "true", instances=3)
        _gang(
            live, "fails", '[ "$AZ_BATCH_IS_CURRENT_NODE_MASTER" = true ] || exit 3', "sleep 600",
            constraints=batch.BatchTaskConstraints(max_task_retry_count=1),
        )  # fmt: skip
        info = ended(live, "fails", "gangs")
        assert (info["result"], info["retryCount"]) == ("failure", 1), (
            "a subtask that fails is the task's failure"
        )
        assert _subtasks(live, "fails") == [(1, "completed", 3, "failure")], "of the newest attempt"
        _gang(
            live,
            "slow",
            "sleep 600",
            constraints=batch.BatchTaskConstraints(max_wall_clock_time=timedelta(seconds=1)),
        )
        info = ended(live, "slow", "gangs")
        assert info["failureInfo"]["code"] == "TaskEnded", "the limits are those of all instances"
        _gang(live, "stopped", "sleep 600 & true", "sleep 600")
        live.wait_task("stopped", "running", "gangs")
        live.batch.terminate_task("gangs", "stopped")
        assert live.state("stopped", "gangs") == "completed", "the primary at once, the others follow"
        wait_until(
            lambda: [row[1] for row in _subtasks(live, "stopped")] == ["completed"],
            60,
            lambda: _subtasks(live, "stopped"),
        )
        _gang(
            live, "uploads", "echo $AZ_BATCH_IS_CURRENT_NODE_MASTER >$AZ_BATCH_TASK_WORKING_DIR/who", "true",
            output_files=[output("who", storage.signed(kept), path="who")],
        )  # fmt: skip
        assert ended(live, "uploads", "gangs")["result"] == "success"
        assert storage.blobs(kept) == {"who": b"true\n"}, "only the primary's"
        alone: Any = {"coordinationCommandLine": "/bin/true"}
        live.task("alone", "true", "gangs", multi_instance_settings=batch.MultiInstanceSettings(alone))
        assert ended(live, "alone", "gangs")["result"] == "success"
        assert not _subtasks(live, "alone"), "one instance is the default: the primary"
        assert live.state("three", "gangs") == "active", "it waits until three nodes are free at a time"
        assert live.why("jobs", "gangs", "tasks", "three")
    finally:
        live.batch.begin_delete_pool("mpi")
