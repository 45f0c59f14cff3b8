"""A schedule with a pool of its own on real nodes: jobs by the clock, files, a kill in between, and nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.e2e.service.live import POLL, Live
from tests.support.waiting import wait_until

pytestmark = pytest.mark.one_service


def specification(live: Live) -> batch.BatchPoolSpecification:
    images = live.batch.list_supported_images()
    image = next(image for image in images if image.verification_type == "verified")
    return batch.BatchPoolSpecification(
        vm_size="standard_d2s_v3",
        virtual_machine_configuration=batch.VirtualMachineConfiguration(
            image_reference=image.image_reference, node_agent_sku_id=str(image.node_agent_sku_id)
        ),
        target_dedicated_nodes=1,
    )


def auto(live: Live, lifetime: str) -> batch.BatchPoolInfo:
    made = batch.BatchAutoPoolSpecification(
        auto_pool_id_prefix="nightly", pool_lifetime_option=lifetime, pool=specification(live)
    )
    return batch.BatchPoolInfo(auto_pool_specification=made)


def pool_of(live: Live, job: str) -> str:
    return str(live.batch.get_job(job)["executionInfo"]["poolId"])


def gone(live: Live, pool: str) -> bool:
    try:
        live.batch.get_pool(pool)
    except ResourceNotFoundError:
        return True
    return False


def recent(live: Live, id: str) -> Any:
    return live.batch.get_job_schedule(id)["executionInfo"].get("recentJob", {}).get("id")


def test_a_schedule_with_its_pool_from_the_first_job_to_nothing_left(live: Live) -> None:
    """The second job comes by the real clock. Intervals have a minute at least: the next due time is brought near by
    changing the first one."""
    every = batch.BatchJobScheduleConfiguration(recurrence_interval=timedelta(minutes=1))
    job = batch.BatchJobSpecification(pool_info=auto(live, "jobschedule"))
    live.batch.create_job_schedule(
        batch.BatchJobScheduleCreateOptions(id="s", schedule=every, job_specification=job)
    )
    wait_until(lambda: recent(live, "s") == "s:job-1", 30, lambda: live.batch.get_job_schedule("s"))
    pool = pool_of(live, "s:job-1")
    assert pool.startswith("nightly_")

    live.task("t", "echo $AZ_BATCH_JOB_ID $AZ_BATCH_TASK_DIR", job="s:job-1")
    live.wait_task("t", "completed", job="s:job-1", deadline_s=90)
    where = "/mnt/batch/tasks/workitems/s/job-1/t"
    assert live.output("t", job="s:job-1").split() == ["s:job-1", where]
    node = live.batch.get_task("s:job-1", "t")["nodeInfo"]
    assert node["taskRootDirectory"] == "workitems/s/job-1/t"
    names = [str(file["name"]) for file in live.batch.list_node_files(pool, node["nodeId"], recursive=True)]
    assert "workitems/s/job-1/t/stdout.txt" in names

    live.kill_service()
    live.start()
    assert live.why("jobschedules", "s")
    assert _explained(live).returncode == 0
    with pytest.raises(HttpResponseError, match="OperationInvalidForCurrentState"):
        live.batch.begin_delete_pool(pool)
    reason: Any = {"terminateReason": "enough"}
    live.batch.begin_terminate_job("s:job-1", reason, **POLL).result()
    _a_job_with_its_pool(live)
    near = batch.BatchJobScheduleConfiguration(
        do_not_run_until=datetime.now(UTC) + timedelta(seconds=2), recurrence_interval=timedelta(minutes=1)
    )
    live.batch.update_job_schedule("s", batch.BatchJobScheduleUpdateOptions(schedule=near))
    wait_until(lambda: recent(live, "s") == "s:job-2", 120, lambda: live.batch.get_job_schedule("s"))
    assert pool_of(live, "s:job-2") == pool
    assert [str(job["state"]) for job in live.batch.list_jobs_from_schedule("s")] == ["completed", "active"]

    live.batch.begin_delete_job_schedule("s", **POLL).result()
    with pytest.raises(ResourceNotFoundError):
        live.batch.get_job("s:job-1")
    wait_until(lambda: gone(live, pool), 60, lambda: live.batch.get_pool(pool))


def _a_job_with_its_pool(live: Live) -> None:
    live.batch.create_job(
        batch.BatchJobCreateOptions(
            id="single", pool_info=auto(live, "job"), all_tasks_complete_mode="noaction"
        )
    )
    pool = pool_of(live, "single")
    live.task("t", "echo once", job="single")
    live.wait_task("t", "completed", job="single", deadline_s=90)
    assert live.output("t", job="single") == "once\n"
    live.batch.update_job("single", batch.BatchJobUpdateOptions(all_tasks_complete_mode="terminatejob"))
    wait_until(lambda: gone(live, pool), 60, lambda: live.batch.get_pool(pool))
    job = live.batch.get_job("single")
    assert (job["state"], job["executionInfo"]["terminateReason"]) == ("completed", "AllTasksComplete")


def _explained(live: Live) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "poolwright.cli", "explain", "schedule", "s"]
    return subprocess.run(
        [*command, "--data-dir", str(live.data_dir)],
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
