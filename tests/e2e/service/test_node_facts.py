"""What a node tells of itself, and tasks are told on it: every documented variable, directory and figure."""

from __future__ import annotations

import re

import pytest
from azure.batch import models as batch
from azure.batch.models._models import (
    BatchJobTerminateOptions as Terminate,
)  # not exported by its own package
from azure.core.exceptions import HttpResponseError

from tests.e2e.service.live import POLL, Live

pytestmark = pytest.mark.one_service

ROOT = "/mnt/batch/tasks"
CERTS = "/mnt/batch/certs"
SHELL = "/bin/sh -c '{}'"
SETTINGS = [batch.EnvironmentSetting(name=name, value="mine") for name in ("AZ_BATCH_POOL_ID", "OWN")]


def variables(text: str) -> dict[str, str]:
    """The documented variables in the output of `env`."""
    lines = [line.partition("=") for line in text.splitlines()]
    return {name: value for name, _, value in lines if name.startswith("AZ_BATCH") or name == "OWN"}


def of_node(live: Live, node: str) -> dict[str, str]:
    """What everything that runs on a low-priority node is told."""
    return {
        "AZ_BATCH_ACCOUNT_NAME": live.ready.account_name,
        "AZ_BATCH_ACCOUNT_URL": live.ready.endpoint.replace("localhost", "service.poolwright.internal"),
        "AZ_BATCH_POOL_ID": "pool",
        "AZ_BATCH_NODE_ID": node,
        "AZ_BATCH_NODE_IS_DEDICATED": "false",
        "AZ_BATCH_NODE_ROOT_DIR": ROOT,
        "AZ_BATCH_NODE_SHARED_DIR": f"{ROOT}/shared",
        "AZ_BATCH_NODE_STARTUP_DIR": f"{ROOT}/startup",
        "AZ_BATCH_NODE_STARTUP_WORKING_DIR": f"{ROOT}/startup/wd",
        "AZ_BATCH_NODE_MOUNTS_DIR": f"{ROOT}/fsmounts",
        "AZ_BATCH_TASK_RESERVED_EPHEMERAL_DISK_SPACE_BYTES": "1000000",
        "AZ_BATCH_RESERVED_DISK_SPACE_BYTES": "1000000",
        "OWN": "mine",
    }


def of_task(everywhere: dict[str, str], name: str, own: str = "mine") -> dict[str, str]:
    """What a task of the job is told."""
    directory = f"{ROOT}/workitems/job/job-1"
    return {
        **everywhere,
        "AZ_BATCH_CERTIFICATES_DIR": f"{CERTS}/task",
        "AZ_BATCH_JOB_ID": "job",
        "AZ_BATCH_TASK_ID": name,
        "AZ_BATCH_TASK_DIR": f"{directory}/{name}",
        "AZ_BATCH_TASK_WORKING_DIR": f"{directory}/{name}/wd",
        "AZ_BATCH_JOB_PREP_DIR": f"{directory}/prep",
        "AZ_BATCH_JOB_PREP_WORKING_DIR": f"{directory}/prep/wd",
        "OWN": own,
    }


def a_job_of_every_kind_of_task(live: Live) -> None:
    """On one node; `bad` fails."""
    dump = SHELL.format("env >$AZ_BATCH_NODE_SHARED_DIR/release")
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(
            id="prep", command_line=SHELL.format("env"), environment_settings=SETTINGS
        ),
        job_release_task=batch.BatchJobReleaseTask(id="rel", command_line=dump),
        job_manager_task=batch.BatchJobManagerTask(
            id="manager", command_line="/bin/true", kill_job_on_completion=False
        ),
        common_environment_settings=[batch.EnvironmentSetting(name="OWN", value="the job's")],
    )
    live.task("t", "env; ls -d $AZ_BATCH_CERTIFICATES_DIR", environment_settings=SETTINGS)
    live.task("bare", "env")
    live.task("bad", "exit 3")
    live.wait_completed(4)
    live.wait_nodes("pool", {"idle": 1})


def test_every_variable_directory_and_figure_of_a_node(live: Live) -> None:
    start = batch.BatchStartTask(command_line=SHELL.format("env"), environment_settings=SETTINGS)
    live.idle_pool(dedicated=0, low=1, slots=1, start_task=start)
    a_job_of_every_kind_of_task(live)
    (node,) = live.batch.list_nodes("pool")
    id = str(node["id"])

    def read(path: str) -> str:
        return b"".join(live.batch.download_node_file("pool", id, path)).decode()

    everywhere = of_node(live, id)
    assert variables(read("startup/stdout.txt")) == {
        **everywhere,
        "AZ_BATCH_CERTIFICATES_DIR": f"{CERTS}/starttask",
        "AZ_BATCH_TASK_DIR": f"{ROOT}/startup",
        "AZ_BATCH_TASK_WORKING_DIR": f"{ROOT}/startup/wd",
    }
    prepared = of_task(everywhere, "prep")
    del prepared["AZ_BATCH_JOB_PREP_DIR"], prepared["AZ_BATCH_JOB_PREP_WORKING_DIR"]
    assert variables(read("workitems/job/job-1/prep/stdout.txt")) == prepared
    assert variables(live.output("t")) == of_task(everywhere, "t")
    assert live.output("t").splitlines()[-1] == f"{CERTS}/task", "the directory is there"
    assert variables(live.output("bare")) == of_task(everywhere, "bare", "the job's")

    top = {str(entry["name"]) for entry in live.batch.list_node_files("pool", id)}
    assert {"startup", "shared", "applications", "fsmounts", "volatile", "workitems"} <= top
    assert not any("cert" in name for name in top)
    for path in ("../certs", "shared/../../certs"):
        with pytest.raises(HttpResponseError) as refused:
            list(live.batch.download_node_file("pool", id, path))
        assert refused.value.status_code in (400, 404)

    assert re.fullmatch(r"tvm-\d+_1-\d{8}t\d{6}z(-p)?", id), id
    node = live.batch.get_node("pool", id)
    assert (node["totalTasksRun"], node["totalTasksSucceeded"]) == (4, 3), "no start, no preparation"
    recent = {str(task["taskId"]): task["executionInfo"].get("exitCode") for task in node["recentTasks"]}
    assert recent == {"manager": 0, "t": 0, "bare": 0, "bad": 3}
    assert (node["runningTasksCount"], node["runningTaskSlotsCount"]) == (0, 0)

    live.batch.begin_terminate_job("job", Terminate(termination_reason="enough"), **POLL).result()
    assert variables(read("shared/release")) == of_task(everywhere, "rel", "the job's")
