"""One job with everything: a manager, preparation and release on each node, tasks that wait for others."""

from __future__ import annotations

import pytest
from azure.batch import models as batch

from tests.e2e.service.live import Live
from tests.support.waiting import wait_until

pytestmark = pytest.mark.one_service


def _shell(command: str) -> str:
    return f"/bin/sh -c '{command}'"


def test_manager_preparation_dependencies_and_release(live: Live) -> None:
    live.idle_pool(dedicated=2, slots=2)
    live.batch.create_job(
        batch.BatchJobCreateOptions(
            id="job",
            pool_info=batch.BatchPoolInfo(pool_id="pool"),
            uses_task_dependencies=True,
            job_preparation_task=batch.BatchJobPreparationTask(
                command_line=_shell("echo prepared >made; date +%s%N >>$AZ_BATCH_NODE_SHARED_DIR/prepared")
            ),
            job_release_task=batch.BatchJobReleaseTask(
                command_line=_shell("echo released >$AZ_BATCH_NODE_SHARED_DIR/released")
            ),
            job_manager_task=batch.BatchJobManagerTask(
                id="boss",
                command_line=_shell("cat $AZ_BATCH_JOB_PREP_WORKING_DIR/made; sleep 600"),
                run_exclusive=False,
            ),
        )
    )
    bad = batch.ExitConditions(
        exit_codes=[
            batch.ExitCodeMapping(code=3, exit_options=batch.ExitOptions(dependency_action="satisfy"))
        ]
    )
    live.task("1", "exit 3", exit_conditions=bad)
    live.task("02", "cat $AZ_BATCH_JOB_PREP_WORKING_DIR/made")
    ranges = [batch.BatchTaskIdRange(start=1, end=2)]
    live.task("merge", "echo merged", depends_on=batch.BatchTaskDependencies(task_id_ranges=ranges))
    live.task("never", "echo never", depends_on=batch.BatchTaskDependencies(task_ids=["ghost"]))
    live.wait_completed(3)
    assert live.output("02") == "prepared\n"
    assert live.output("merge") == "merged\n"
    assert "ghost does not exist" in live.why("jobs", "job", "tasks", "never")
    boss = live.batch.get_task("job", "boss")
    assert (boss["state"], live.output("boss")) == ("running", "prepared\n")

    status = {row["nodeId"]: row for row in live.batch.list_job_preparation_and_release_task_status("job")}
    assert {row["jobPreparationTaskExecutionInfo"]["result"] for row in status.values()} == {"success"}

    live.batch.terminate_task("job", "boss")
    wait_until(
        lambda: live.batch.get_job("job")["state"] == "completed",
        60,
        lambda: f"the job has not completed: {live.batch.get_job('job')}",
    )
    assert live.batch.get_job("job")["executionInfo"]["terminateReason"] == "JMComplete"
    assert live.batch.get_task("job", "never")["state"] == "active"
    for row in live.batch.list_job_preparation_and_release_task_status("job"):
        assert row["jobReleaseTaskExecutionInfo"]["result"] == "success"
        said = b"".join(live.batch.download_node_file("pool", row["nodeId"], "shared/released"))
        assert said == b"released\n"
