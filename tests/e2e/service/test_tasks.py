"""Tasks on real nodes: identity, environment, limits, endings, files."""

from __future__ import annotations

import datetime

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.e2e.service.live import Live
from tests.support.waiting import wait_until

pytestmark = pytest.mark.one_service


def _user(scope: str, elevation: str) -> batch.UserIdentity:
    return batch.UserIdentity(auto_user=batch.AutoUserSpecification(scope=scope, elevation_level=elevation))


def test_who_and_where_a_task_is(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=4)
    live.job(common_environment_settings=[batch.EnvironmentSetting(name="FROM_JOB", value="j")])
    live.task(
        "plain", "id -un; pwd; env | sort; cat /proc/1/comm; echo to-stderr >&2; touch made; cat /etc/shadow"
    )
    live.task("admin", "id -u; touch /etc/mine && echo wrote", user_identity=_user("pool", "admin"))
    live.task("own", "id -un", user_identity=_user("task", "nonadmin"))
    settings = [
        batch.EnvironmentSetting(name="FROM_JOB", value="t"),
        batch.EnvironmentSetting(name="MINE", value="a b"),
    ]
    live.task("settings", "echo $FROM_JOB $MINE", environment_settings=settings)
    live.wait_completed(4)

    lines = live.output("plain").splitlines()
    assert lines[0] == "_azbatch"
    root = "/mnt/batch/tasks"
    assert lines[1] == f"{root}/workitems/job/job-1/plain/wd"
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    node = next(iter(live.batch.list_nodes("pool")))
    assert variables["AZ_BATCH_TASK_ID"] == "plain"
    assert variables["AZ_BATCH_JOB_ID"] == "job"
    assert variables["AZ_BATCH_POOL_ID"] == "pool"
    assert variables["AZ_BATCH_NODE_ID"] == node["id"]
    assert variables["AZ_BATCH_NODE_IS_DEDICATED"] == "true"
    assert variables["AZ_BATCH_NODE_ROOT_DIR"] == root
    assert variables["AZ_BATCH_TASK_WORKING_DIR"] == lines[1]
    assert variables["AZ_BATCH_ACCOUNT_NAME"] == live.ready.account_name
    plain = live.batch.get_task("job", "plain")
    assert plain["executionInfo"]["exitCode"] == 1, "the password file is not for tasks"
    assert "to-stderr" in live.output("plain", name="stderr.txt")
    assert live.output("admin").split() == ["0", "wrote"]
    assert live.output("own").strip() not in ("_azbatch", "root")
    assert live.output("settings") == "t a b\n"


def test_what_tasks_used(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    write = "dd if=/dev/zero of=f bs=1M count=4 conv=fsync"
    live.task(
        "twice", f"{write}; {spin}; exit 1", constraints=batch.BatchTaskConstraints(max_task_retry_count=1)
    )
    live.task("little", "true")
    live.wait_completed(2)
    with live.by_token() as client:
        twice = client.get_task("job", "twice", expand=["stats"])
        little = client.get_task("job", "little", expand=["stats"]).task_statistics
        whole = client.get_job("job", expand=["stats"]).job_statistics
    told = twice.execution_info
    assert told is not None
    assert told.start_time is not None
    assert told.end_time is not None
    assert told.retry_count == 1
    used = twice.task_statistics
    assert used is not None
    assert little is not None
    assert whole is not None
    assert used.user_cpu_time + used.kernel_cpu_time > datetime.timedelta(milliseconds=50)
    assert used.write_io_gib >= 8 / 1024, "both runs count"
    assert used.write_iops >= 8
    assert little.write_io_gib < 1 / 1024, "what another task used is not this one's"
    assert used.wall_clock_time > told.end_time - told.start_time
    assert whole.user_cpu_time == used.user_cpu_time + little.user_cpu_time
    assert whole.write_io_gib == used.write_io_gib + little.write_io_gib
    assert whole.wall_clock_time == used.wall_clock_time + little.wall_clock_time


def test_how_tasks_end(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=4)
    live.job()
    live.task("seven", "exit 7")
    live.task(
        "again",
        "echo x >>$AZ_BATCH_NODE_SHARED_DIR/tries; test $(wc -l <$AZ_BATCH_NODE_SHARED_DIR/tries) = 3",
        constraints=batch.BatchTaskConstraints(max_task_retry_count=3),
    )
    live.task(
        "slow",
        "sleep 600 & sleep 600",
        constraints=batch.BatchTaskConstraints(max_wall_clock_time=datetime.timedelta(seconds=1)),
    )
    live.batch.create_task("job", batch.BatchTaskCreateOptions(id="none", command_line="/no/such/program"))
    live.wait_completed(4)

    seven = live.batch.get_task("job", "seven")["executionInfo"]
    assert (seven["exitCode"], seven["result"], seven["failureInfo"]["code"]) == (
        7,
        "failure",
        "FailureExitCode",
    )
    again = live.batch.get_task("job", "again")["executionInfo"]
    assert (again["exitCode"], again["retryCount"], again["result"]) == (0, 2, "success")
    slow = live.batch.get_task("job", "slow")["executionInfo"]
    assert slow["failureInfo"]["code"] == "TaskEnded"
    none = live.batch.get_task("job", "none")["executionInfo"]
    assert none["failureInfo"]["code"] == "CommandProgramNotFound"
    assert "exitCode" not in none


def test_a_terminated_task_is_dead_and_its_slot_free(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task("endless", "(setsid sleep 601 &); sleep 600")
    live.wait_task("endless", "running")
    live.batch.terminate_task("job", "endless")
    assert live.state("endless") == "completed"
    live.task("next", "pgrep -x sleep || echo none")
    live.wait_task("next", "completed")
    assert live.output("next") == "none\n"
    with pytest.raises(HttpResponseError, match="TaskCompleted"):
        live.batch.terminate_task("job", "endless")


def test_files_of_a_task_and_of_its_node(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task(
        "t",
        "mkdir -p a/b; printf 0123456789 >a/b/digits; ln -s /etc/passwd link; ln -s ../../../../../../../../../etc up",
    )
    live.wait_task("t", "completed")
    names = {str(entry["name"]) for entry in live.batch.list_task_files("job", "t", recursive=True)}
    assert {"stdout.txt", "stderr.txt", "wd", "wd/a", "wd/a/b", "wd/a/b/digits"} <= names
    part = b"".join(live.batch.download_task_file("job", "t", "wd/a/b/digits", ocp_range="bytes=2-4"))
    assert part == b"234"
    properties = live.batch.get_task_file_properties("job", "t", "wd/a/b/digits")
    assert properties.content_length == 10
    for escape in ("wd/link", "wd/up/passwd", "../../../../etc/passwd", "wd/../../../../../../../etc/passwd"):
        with pytest.raises(HttpResponseError) as refused:
            list(live.batch.download_task_file("job", "t", escape))
        assert refused.value.status_code in (400, 404), escape
    node = str(next(iter(live.batch.list_nodes("pool")))["id"])
    top = {str(entry["name"]) for entry in live.batch.list_node_files("pool", node)}
    assert {"startup", "shared", "workitems"} <= top
    live.batch.delete_task_file("job", "t", "wd/a", recursive=True)
    with pytest.raises(ResourceNotFoundError):
        list(live.batch.download_task_file("job", "t", "wd/a/b/digits"))


def test_a_waiting_task_says_why(live: Live) -> None:
    live.job(pool="absent")
    live.task("t", "true")
    assert "absent" in live.why("jobs", "job", "tasks", "t")
    live.pool(id="absent", dedicated=0)
    wait_until(
        lambda: live.batch.get_pool("absent")["allocationState"] == "steady", 30, "the empty pool steady"
    )
    assert "no node" in live.why("jobs", "job", "tasks", "t").lower()
    live.batch.begin_resize_pool("absent", batch.BatchPoolResizeOptions(target_dedicated_nodes=1))
    live.wait_task("t", "completed")
