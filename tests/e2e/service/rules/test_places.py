"""Rules of who gets a place and who keeps it: managers, preemption, preparation over reboots, blocked jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from azure.batch import models as batch

from tests.e2e.service.live import Live
from tests.e2e.service.rules.test_jobs import ended, job_state, terminate
from tests.support.waiting import wait_until

AT_ONCE: Any = {"nodeRebootOption": "terminate"}


def _boss(command: str, **more: Any) -> batch.BatchJobManagerTask:
    return batch.BatchJobManagerTask(id="boss", command_line=f"/bin/sh -c '{command}'", **more)


def test_a_manager_is_tried_again_and_its_end_is_the_jobs_also_when_it_fails(live: Live) -> None:
    retries = batch.BatchTaskConstraints(max_task_retry_count=2)
    live.job(job_manager_task=_boss("sleep 0.3; exit 1", constraints=retries, run_exclusive=False))
    live.task("other", "sleep 600")
    done = job_state(live, "completed")
    assert done["executionInfo"]["terminateReason"] == "JMComplete"
    boss = live.batch.get_task("job", "boss")["executionInfo"]
    assert (boss["exitCode"], boss["retryCount"]) == (1, 2)
    assert live.batch.get_task("job", "other")["executionInfo"]["result"] == "failure"


def test_the_node_of_a_manager_is_the_last_to_go(live: Live) -> None:
    live.idle_pool("shrinking", dedicated=2, slots=2)
    try:
        live.job(pool="shrinking", job_manager_task=_boss("sleep 600", run_exclusive=False))
        node = live.wait_task("boss", "running")["nodeInfo"]["nodeId"]
        live.batch.begin_resize_pool(
            "shrinking",
            batch.BatchPoolResizeOptions(target_dedicated_nodes=1, node_deallocation_option="requeue"),
        )
        live.wait_steady("shrinking")
        assert [str(found["id"]) for found in live.batch.list_nodes("shrinking")] == [node]
        assert live.batch.get_task("job", "boss")["executionInfo"]["requeueCount"] == 0
    finally:
        live.batch.begin_delete_pool("shrinking")


def test_a_job_that_allows_it_gives_way_to_a_higher_priority(live: Live) -> None:
    live.job("gives", allow_task_preemption=True, priority=0)
    live.job("keeps", priority=0)
    for number in range(2):
        live.task(f"t{number}", "sleep 600", "gives")
        live.task(f"t{number}", "sleep 600", "keeps")
    for number in range(2):
        live.wait_task(f"t{number}", "running", "gives")
        live.wait_task(f"t{number}", "running", "keeps")
    live.job("urgent", priority=100)
    live.task("t", "sleep 600", "urgent")
    live.wait_task("t", "running", "urgent")
    counts = {id: live.batch.get_job_task_counts(id)["taskCounts"]["running"] for id in ("gives", "keeps")}
    assert counts == {"gives": 1, "keeps": 2}
    (waiting,) = live.batch.list_tasks("gives", filter="state eq 'active'")
    assert waiting["executionInfo"]["retryCount"] == 0, "to give way is no retry"


def test_a_preparation_is_repeated_after_a_reboot_where_the_job_says_so(live: Live) -> None:
    live.idle_pool("restarts", dedicated=1, slots=1)
    try:
        for id, again in (("again", True), ("once", False)):
            live.job(
                id,
                "restarts",
                job_preparation_task=batch.BatchJobPreparationTask(
                    command_line=f"/bin/sh -c 'echo {id} >>$AZ_BATCH_NODE_SHARED_DIR/prepared'",
                    rerun_on_node_reboot_after_success=again,
                ),
            )
            live.task("first", "true", id)
            ended(live, "first", id)
        (node,) = live.batch.list_nodes("restarts")
        live.batch.begin_reboot_node("restarts", str(node["id"]), AT_ONCE, polling_interval=1).result()
        live.wait_nodes("restarts", {"idle": 1})
        for id in ("again", "once"):
            live.task("second", "true", id)
            ended(live, "second", id)
        assert sorted(live.ledger("restarts", "shared/prepared")) == ["again", "again", "once"]
    finally:
        live.batch.begin_delete_pool("restarts")


def test_a_blocked_task_keeps_its_job_unless_the_job_ends_when_idle(live: Live) -> None:
    for id in ("patient", "idle"):
        live.job(id, uses_task_dependencies=True)
        live.task("a", "exit 1", id)
        live.task("b", "true", id, depends_on=batch.BatchTaskDependencies(task_ids=["a"]))
        ended(live, "a", id)
    live.batch.update_job("patient", batch.BatchJobUpdateOptions(all_tasks_complete_mode="terminatejob"))
    live.batch.update_job("idle", batch.BatchJobUpdateOptions(all_tasks_complete_mode="terminatejobwhenidle"))
    job_state(live, "completed", "idle")
    assert live.batch.get_job("patient")["state"] == "active"
    assert live.state("b", "patient") == live.state("b", "idle") == "active"


def test_a_task_that_cannot_start_is_a_failure_of_its_own_kind(live: Live) -> None:
    live.job(task_failure_mode="performexitoptionsjobaction")
    spare = batch.ExitConditions(
        pre_processing_error=batch.ExitOptions(job_action="none"),
        default=batch.ExitOptions(job_action="terminate"),
    )
    retries = batch.BatchTaskConstraints(max_task_retry_count=3)
    for id, conditions in (("spared", spare), ("fatal", None)):
        live.batch.create_task(
            "job",
            batch.BatchTaskCreateOptions(
                id=id, command_line="/no/such/program", exit_conditions=conditions, constraints=retries
            ),
        )
        info = ended(live, id)
        assert (info["failureInfo"]["code"], info["retryCount"]) == ("CommandProgramNotFound", 0)
        if id == "spared":
            assert live.batch.get_job("job")["state"] == "active"
    assert job_state(live, "completed")["executionInfo"]["terminateReason"] == "TaskFailed"


def test_the_time_limit_is_of_each_run(live: Live) -> None:
    live.job()
    limits = batch.BatchTaskConstraints(max_task_retry_count=3, max_wall_clock_time=timedelta(seconds=3))
    live.task("t", "sleep 1; exit 1", constraints=limits)
    info = ended(live, "t")
    assert (info["failureInfo"]["code"], info["retryCount"]) == ("FailureExitCode", 3)


def test_a_completed_job_is_deleted_without_a_second_release(live: Live) -> None:
    live.job(
        job_preparation_task=batch.BatchJobPreparationTask(command_line="/bin/true"),
        job_release_task=batch.BatchJobReleaseTask(
            command_line="/bin/sh -c 'echo x >>$AZ_BATCH_NODE_SHARED_DIR/released-once'"
        ),
    )
    live.task("t", "true")
    ended(live, "t")
    terminate(live, "over")
    job_state(live, "completed")
    live.batch.begin_delete_job("job")
    wait_until(lambda: not list(live.batch.list_jobs()), 60, lambda: list(live.batch.list_jobs()))
    assert live.ledger(name="shared/released-once") == ["x"]


def test_who_the_tasks_of_a_job_are_and_what_they_know(live: Live) -> None:
    say = "echo $(id -un) $COMMON $AZ_BATCH_TASK_ID >$AZ_BATCH_NODE_SHARED_DIR/who-{}"
    live.job(
        common_environment_settings=[batch.EnvironmentSetting(name="COMMON", value="known")],
        job_preparation_task=batch.BatchJobPreparationTask(
            id="ready", command_line=f"/bin/sh -c '{say.format('ready')}'"
        ),
        job_release_task=batch.BatchJobReleaseTask(
            id="over", command_line=f"/bin/sh -c '{say.format('over')}'"
        ),
        job_manager_task=_boss(say.format("boss"), run_exclusive=False, kill_job_on_completion=False),
    )
    ended(live, "boss")
    terminate(live, "over")
    job_state(live, "completed")
    told = {name: live.ledger(name=f"shared/who-{name}") for name in ("ready", "boss", "over")}
    assert {name: words[1:] for name, words in told.items()} == {name: ["known", name] for name in told}
    assert told["ready"][0] == "_azbatch", "the account of the pool"
    assert told["boss"][0] == "_azbatch"
    assert told["over"][0].startswith("_azbatchtask"), "an account of its own"


def _long_on_each_node(live: Live) -> dict[str, str]:
    """A long task on each node of the pool, by the node's id."""
    live.job()
    places = {}
    for number, node in enumerate(live.batch.list_nodes("pool")):
        place = batch.BatchAffinityInfo(affinity_id=str(node["affinityId"]))
        live.task(f"t{number}", "sleep 600", affinity_info=place, required_slots=2)
        assert live.wait_task(f"t{number}", "running")["nodeInfo"]["nodeId"] == node["id"]
        places[str(node["id"])] = f"t{number}"
    return places


def _was(live: Live, task: str) -> tuple[Any, ...]:
    found = live.batch.get_task("job", task)
    info = found["executionInfo"]
    return found["state"], info["requeueCount"], info["retryCount"], info.get("failureInfo", {}).get("code")


def test_tasks_of_a_node_that_takes_no_more_go_the_way_that_was_asked_for(live: Live) -> None:
    places = _long_on_each_node(live)
    (first, requeued), (second, terminated) = places.items()
    for node, how in ((first, "requeue"), (second, "terminate")):
        asked: Any = {"nodeDisableSchedulingOption": how}
        live.batch.disable_node_scheduling("pool", node, asked)
    live.wait_nodes("pool", {"offline": 2})
    assert _was(live, requeued) == ("active", 1, 0, None)
    assert _was(live, terminated) == ("completed", 0, 0, "TaskEnded")
    for node in places:
        live.batch.enable_node_scheduling("pool", node)
    live.wait_task(requeued, "running")


def test_tasks_of_a_node_that_is_rebooted_go_the_way_that_was_asked_for(live: Live) -> None:
    places = _long_on_each_node(live)
    (first, requeued), (second, terminated) = places.items()
    for node, how in ((first, "requeue"), (second, "terminate")):
        asked: Any = {"nodeRebootOption": how}
        live.batch.begin_reboot_node("pool", node, asked, polling_interval=1).result()
    wait_until(lambda: "rebooting" not in live.states() and "starting" not in live.states(), 60, live.states)
    assert _was(live, requeued)[1:] == (1, 0, None)
    assert _was(live, terminated) == ("completed", 0, 0, "TaskEnded")
    live.wait_task(requeued, "running")


def test_a_removed_node_gives_its_tasks_back(live: Live) -> None:
    live.idle_pool("leaving", dedicated=1, slots=2)
    try:
        live.job(pool="leaving")
        for id in ("a", "b"):
            live.task(id, "sleep 600")
            node = str(live.wait_task(id, "running")["nodeInfo"]["nodeId"])
        gone = batch.BatchNodeRemoveOptions(node_ids=[node], node_deallocation_option="requeue")
        live.batch.begin_remove_nodes("leaving", gone)
        live.wait_nodes("leaving", {})
        live.wait_steady("leaving")
        assert [_was(live, id) for id in ("a", "b")] == [("active", 1, 0, None)] * 2
    finally:
        live.batch.begin_delete_pool("leaving")
