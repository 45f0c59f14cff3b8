"""Rules of tasks with their real effects, through the official client: tries, exits, dependencies, places, files."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.e2e.service.live import Live
from tests.support.waiting import wait_until


def ended(live: Live, task: str, job: str = "job") -> Any:
    """Wait for the task's end; returns how it went."""
    return live.wait_task(task, "completed", job)["executionInfo"]


def code_of(refused: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str]:
    assert refused.value.error is not None
    return refused.value.status_code, str(refused.value.error.code)


def options(dependency: str) -> batch.ExitOptions:
    return batch.ExitOptions(dependency_action=dependency)


def after(*ids: str) -> batch.BatchTaskDependencies:
    return batch.BatchTaskDependencies(task_ids=list(ids))


def test_a_task_without_limit_of_retries_is_tried_until_it_succeeds(live: Live) -> None:
    live.job()
    files = "$AZ_BATCH_NODE_SHARED_DIR/endless"
    tries = f"echo x >>{files}-$AZ_BATCH_NODE_ID; [ $(cat {files}-* | wc -l) -ge 4 ]"
    live.task("t", tries, constraints=batch.BatchTaskConstraints(max_task_retry_count=-1))
    info = ended(live, "t")
    assert (info["result"], info["requeueCount"]) == ("success", 0)
    assert info["retryCount"] >= 3
    assert "lastRetryTime" in info
    assert (
        len(live.ledger(name="shared/endless-" + live.batch.get_task("job", "t")["nodeInfo"]["nodeId"])) >= 1
    )


def test_a_task_that_ran_too_long_is_not_tried_again(live: Live) -> None:
    live.job()
    limits = batch.BatchTaskConstraints(max_task_retry_count=5, max_wall_clock_time=timedelta(seconds=1))
    live.task("t", "sleep 600", constraints=limits)
    info = ended(live, "t")
    assert (info["retryCount"], info["failureInfo"]["code"]) == (0, "TaskEnded")
    assert {"name": "Reason", "value": "MaxWallClockTime"} in info["failureInfo"]["details"]


def test_the_first_state_has_no_former_one(live: Live) -> None:
    live.job(pool="nowhere")
    live.task("t", "true")
    task = live.batch.get_task("job", "t")
    assert task["state"] == "active"
    assert "previousState" not in task
    assert "previousStateTransitionTime" not in task
    assert "nodeInfo" not in task
    info = task["executionInfo"]
    assert {"startTime", "endTime", "exitCode", "result", "failureInfo"}.isdisjoint(info)


def test_what_an_end_means_for_dependents(live: Live) -> None:
    live.job(uses_task_dependencies=True)
    conditions = batch.ExitConditions(
        exit_codes=[batch.ExitCodeMapping(code=5, exit_options=options("satisfy"))],
        exit_code_ranges=[batch.ExitCodeRangeMapping(start=5, end=9, exit_options=options("block"))],
        pre_processing_error=options("satisfy"),
        default=options("satisfy"),
    )
    live.task("listed", "exit 5", exit_conditions=conditions)
    live.task("ranged", "exit 9", exit_conditions=conditions)
    live.task("other", "exit 10", exit_conditions=conditions)
    live.task("plain", "exit 1")
    live.batch.create_task(
        "job",
        batch.BatchTaskCreateOptions(
            id="lacking", command_line="/no/such/program", exit_conditions=conditions
        ),
    )
    for parent in ("listed", "ranged", "other", "plain", "lacking"):
        live.task(f"after-{parent}", "true", depends_on=after(parent))
        ended(live, parent)
    for parent in ("listed", "other", "lacking"):
        assert ended(live, f"after-{parent}")["result"] == "success"
    for parent in ("ranged", "plain"):
        assert live.state(f"after-{parent}") == "active"
        assert f"{parent} failed" in live.why("jobs", "job", "tasks", f"after-{parent}")


def test_the_exit_code_0_satisfies_even_where_the_default_blocks(live: Live) -> None:
    live.job(uses_task_dependencies=True)
    blocks = batch.ExitConditions(default=options("block"))
    refuses = batch.ExitConditions(exit_codes=[batch.ExitCodeMapping(code=0, exit_options=options("block"))])
    live.task("well", "true", exit_conditions=blocks)
    live.task("listed", "true", exit_conditions=refuses)
    live.task("after-well", "true", depends_on=after("well"))
    live.task("after-listed", "true", depends_on=after("listed"))
    ended(live, "after-well")
    ended(live, "listed")
    assert live.state("after-listed") == "active", "0 is listed"


def test_ranges_match_whole_numbers_whatever_their_zeros(live: Live) -> None:
    live.job(uses_task_dependencies=True)
    ranges = [batch.BatchTaskIdRange(start=3, end=5)]
    live.task("merge", "true", depends_on=batch.BatchTaskDependencies(task_id_ranges=ranges))
    for id in ("3", "004", "5flamingoes"):
        live.task(id, "true")
        ended(live, id)
    assert live.state("merge") == "active", "5flamingoes is no 5"
    live.task("5", "true")
    ended(live, "merge")


def test_of_tasks_with_the_same_number_the_first_to_complete_counts(live: Live) -> None:
    live.job(uses_task_dependencies=True)
    live.task("4", "sleep 600")
    live.task("04", "sleep 600")
    only = batch.BatchTaskDependencies(task_id_ranges=[batch.BatchTaskIdRange(start=4, end=4)])
    live.task("merge", "true", depends_on=only)
    live.wait_task("4", "running")
    live.task("004", "true")
    assert ended(live, "merge")["result"] == "success"
    assert live.state("4") == live.state("04") == "running"


def test_a_command_line_is_for_no_shell_and_what_killed_it_is_told(live: Live) -> None:
    live.job()
    plain = batch.BatchTaskCreateOptions(id="plain", command_line="/bin/echo $HOME; echo *")
    live.batch.create_task("job", plain)
    live.task("killed", "kill -9 $$")
    live.task("asked", "kill $$")
    ended(live, "plain")
    assert live.output("plain") == "$HOME; echo *\n"
    assert [ended(live, id)["exitCode"] for id in ("killed", "asked")] == [128 + 9, 128 + 15]


def test_a_parent_may_come_later_and_go_once_it_is_done(live: Live) -> None:
    live.job(uses_task_dependencies=True)
    live.task("early", "true", depends_on=after("late", "other"))
    assert "late does not exist" in live.why("jobs", "job", "tasks", "early")
    live.task("late", "true")
    ended(live, "late")
    live.batch.delete_task("job", "late")
    live.task("late", "exit 1")
    ended(live, "late")
    live.task("other", "true")
    assert ended(live, "early")["result"] == "success", "what was satisfied stays so"


def test_a_reactivated_task_begins_anew(live: Live) -> None:
    live.job(uses_task_dependencies=True)
    once = "[ -e $AZ_BATCH_NODE_SHARED_DIR/mended ] || { touch $AZ_BATCH_NODE_SHARED_DIR/mended; exit 3; }"
    node = next(iter(live.batch.list_nodes("pool")))["affinityId"]
    place = batch.BatchAffinityInfo(affinity_id=node)
    live.task("t", once, affinity_info=place)
    live.task("next", "true", depends_on=after("t"))
    assert ended(live, "t")["exitCode"] == 3
    live.batch.reactivate_task("job", "t")
    info = ended(live, "t")
    assert (info["exitCode"], info["retryCount"], info["result"]) == (0, 0, "success")
    assert "failureInfo" not in info
    ended(live, "next")
    with pytest.raises(HttpResponseError) as refused:
        live.batch.reactivate_task("job", "t")
    assert code_of(refused) == (409, "TaskSucceeded")


def test_affinity_is_a_wish(live: Live) -> None:
    live.job()
    nodes = [(str(node["id"]), str(node["affinityId"])) for node in live.batch.list_nodes("pool")]
    for number, (_, affinity) in enumerate((nodes[1], nodes[1], nodes[1])):
        live.task(f"t{number}", "sleep 600", affinity_info=batch.BatchAffinityInfo(affinity_id=affinity))
        live.wait_task(f"t{number}", "running")
    places = [live.batch.get_task("job", f"t{n}")["nodeInfo"] for n in range(3)]
    assert [place["nodeId"] for place in places[:2]] == [nodes[1][0]] * 2
    assert places[2]["nodeId"] == nodes[0][0], "its node is full: it runs elsewhere rather than wait"
    live.task("gone", "true", affinity_info=batch.BatchAffinityInfo(affinity_id="TVM:no-such-node"))
    ended(live, "gone")


def test_slots_that_a_task_needs_are_its_own(live: Live) -> None:
    live.job()
    live.task("a", "sleep 600", required_slots=2)
    live.task("b", "sleep 600")
    live.task("c", "sleep 600")
    live.task("d", "true", required_slots=2)
    for id in "abc":
        live.wait_task(id, "running")
    node = {id: live.batch.get_task("job", id)["nodeInfo"]["nodeId"] for id in "abc"}
    assert node["b"] == node["c"] != node["a"]
    assert "2 slots" in live.why("jobs", "job", "tasks", "d")
    with pytest.raises(HttpResponseError):
        live.task("none", "true", required_slots=0)
    live.task("huge", "true", required_slots=3)
    assert "3 slots" in live.why("jobs", "job", "tasks", "huge")
    live.batch.terminate_task("job", "a")
    ended(live, "d")
    assert live.state("huge") == "active"


def test_a_multi_instance_task_waits_for_ever_where_it_cannot_run_and_others_have_no_subtasks(
    live: Live,
) -> None:
    live.job()
    gang = batch.MultiInstanceSettings(number_of_instances=2, coordination_command_line="/bin/true")
    live.task("gang", "true", multi_instance_settings=gang)
    live.task("plain", "true")
    ended(live, "plain")
    assert "enableInterNodeCommunication" in live.why("jobs", "job", "tasks", "gang")
    assert live.state("gang") == "active"
    for id in ("gang", "plain"):
        assert not list(live.batch.list_subtasks("job", id))


def test_the_limits_of_a_completed_task_can_be_changed_and_its_others_not(live: Live) -> None:
    live.job()
    live.task("t", "true")
    ended(live, "t")
    kept = batch.BatchTaskConstraints(retention_time=timedelta(hours=2))
    live.batch.replace_task("job", "t", batch.BatchTask(constraints=kept))
    found = live.batch.get_task("job", "t")["constraints"]
    assert (found["retentionTime"], found["maxTaskRetryCount"]) == ("PT2H", 0)
    live.batch.replace_task("job", "t", batch.BatchTask())
    assert live.batch.get_task("job", "t")["constraints"]["retentionTime"] == "P7D", "omitted is the default"


def test_where_files_of_a_task_cannot_be_had(live: Live) -> None:
    live.job()
    live.job("waits", pool="nowhere")
    live.task("t", "true", "waits")
    with pytest.raises(HttpResponseError) as refused:
        live.batch.get_task_file_properties("waits", "t", "stdout.txt")
    assert refused.value.status_code == 409
    with pytest.raises(HttpResponseError) as listed:
        list(live.batch.list_task_files("waits", "t"))
    assert code_of(listed) == (409, "TaskFilesUnavailable")
    with pytest.raises(ResourceNotFoundError) as missing:
        list(live.batch.list_task_files("job", "none"))
    assert code_of(missing) == (404, "TaskNotFound")
    live.task("t", "mkdir -p d; echo 123 >d/f")
    ended(live, "t")
    with pytest.raises(ResourceNotFoundError):
        live.batch.get_task_file_properties("job", "t", "wd/none")
    with pytest.raises(HttpResponseError) as outside:
        list(live.batch.download_task_file("job", "t", "wd/d/f", ocp_range="bytes=40-50"))
    assert outside.value.status_code == 416
    with pytest.raises(HttpResponseError) as full:
        live.batch.delete_task_file("job", "t", "wd/d")
    assert full.value.status_code == 409
    assert b"".join(live.batch.download_task_file("job", "t", "wd/d/f", ocp_range="bytes=1-")) == b"23\n"
    live.batch.delete_task_file("job", "t", "wd/d", recursive=True)
    names = {str(entry["name"]) for entry in live.batch.list_task_files("job", "t", recursive=True)}
    assert "wd/d" not in names
    only = {str(e["name"]) for e in live.batch.list_task_files("job", "t", filter="startswith(name,'std')")}
    assert only == {"stdout.txt", "stderr.txt"}


def test_environment_of_the_task_goes_before_the_jobs_and_the_services_before_both(live: Live) -> None:
    given = [
        batch.EnvironmentSetting(name="AZ_BATCH_TASK_ID", value="mine"),
        batch.EnvironmentSetting(name="A", value="job"),
    ]
    live.job(common_environment_settings=[*given, batch.EnvironmentSetting(name="B", value="job")])
    live.task(
        "t",
        "echo $A $B $AZ_BATCH_TASK_ID",
        environment_settings=[batch.EnvironmentSetting(name="A", value="task")],
    )
    ended(live, "t")
    assert live.output("t").split() == ["task", "job", "t"]


def test_ids_are_unique_whatever_their_case_and_results_of_collections_are_told_each(live: Live) -> None:
    live.job(pool="nowhere")
    live.task("One", "true")
    with pytest.raises(HttpResponseError) as refused:
        live.task("oNE", "true")
    assert code_of(refused) == (409, "TaskExists")
    group = [batch.BatchTaskCreateOptions(id=id, command_line="/bin/true") for id in ("ONE", "two", "bad/id")]
    added = live.batch.create_task_collection("job", batch.BatchTaskGroup(task_values=group))
    told = {item.task_id: (item.status, item.error and item.error.code) for item in added.result_values or ()}
    assert told.pop("two") == ("success", None)
    assert told == {"ONE": ("clienterror", "TaskExists"), "bad/id": ("clienterror", "InvalidPropertyValue")}
    assert Counter(str(task["id"]) for task in live.batch.list_tasks("job")) == {"One": 1, "two": 1}


def test_deleting_a_task_takes_its_process_and_its_directory_along(live: Live) -> None:
    live.job()
    live.task("t", "sleep 612")
    node = str(live.wait_task("t", "running")["nodeInfo"]["nodeId"])
    live.batch.delete_task("job", "t")
    with pytest.raises(ResourceNotFoundError):
        live.batch.get_task("job", "t")
    place = batch.BatchAffinityInfo(affinity_id=f"TVM:{node}")
    live.task("look", "while pgrep -f [s]leep.612; do sleep 0.1; done", affinity_info=place)
    ended(live, "look")

    def left() -> list[str]:
        names = live.batch.list_node_files(
            "pool", node, recursive=True, filter="startswith(name,'workitems/job/')"
        )
        return [str(entry["name"]) for entry in names if "/t/" in str(entry["name"])]

    wait_until(lambda: not left(), 60, left)


def test_who_started_stays_when_the_parent_is_reactivated(live: Live) -> None:
    live.job(uses_task_dependencies=True)
    satisfies = batch.ExitConditions(default=options("satisfy"))
    live.task("parent", "exit 1", exit_conditions=satisfies)
    live.task("child", "sleep 600", depends_on=after("parent"))
    live.wait_task("child", "running")
    live.batch.reactivate_task("job", "parent")
    ended(live, "parent")
    child = live.batch.get_task("job", "child")
    assert (child["state"], child["executionInfo"]["requeueCount"]) == ("running", 0)
