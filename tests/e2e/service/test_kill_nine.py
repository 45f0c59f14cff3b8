"""kill -9 of service and agent in mid-job: nothing acknowledged is lost, no task runs twice, all end once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from azure.batch import models as batch
from azure.core.exceptions import AzureError

from tests.e2e.service.live import UNTIL_LET_GO, Live
from tests.support.waiting import wait_until

pytestmark = pytest.mark.one_service

TASKS = 24
#: Each task says in its node's ledger that it began, works a while, and says that it ended.
LEDGER = "$AZ_BATCH_NODE_SHARED_DIR/ledger"
WORK = f"echo b:$AZ_BATCH_TASK_ID >>{LEDGER}; sleep 0.4; echo e:$AZ_BATCH_TASK_ID >>{LEDGER}"


def _service(live: Live) -> None:
    live.kill_service()
    live.start()


def _agent(live: Live) -> None:
    before = live.agent_pid()
    live.kill_agent()
    wait_until(lambda: live.agent_pid() != before, 30, live.service.log_tail)


def _both(live: Live) -> None:
    live.kill_agent()
    live.kill_service()
    live.start()


@pytest.mark.parametrize("kill", [_service, _agent, _both])
def test_every_task_runs_once_whoever_is_killed(live: Live, kill: Callable[[Live], None]) -> None:
    live.idle_pool(dedicated=2, slots=2)
    live.job()
    for number in range(TASKS):
        live.task(f"t{number}", WORK)
    wait_until(lambda: len(live.ledger()) >= 6, 30, live.ledger)
    before = {str(node["id"]) for node in live.batch.list_nodes("pool")}

    kill(live)

    live.wait_completed(TASKS)
    counts = live.batch.get_job_task_counts("job")["taskCounts"]
    assert (counts["succeeded"], counts["failed"]) == (TASKS, 0)
    wanted = {f"{mark}:t{number}": 1 for number in range(TASKS) for mark in "be"}
    assert Counter(live.ledger()) == wanted
    assert all(task["executionInfo"]["requeueCount"] == 0 for task in live.batch.list_tasks("job"))
    assert {str(node["id"]) for node in live.batch.list_nodes("pool")} == before


def test_what_was_acknowledged_is_there_after_a_kill(live: Live) -> None:
    live.batch.create_job(
        batch.BatchJobCreateOptions(id="job", pool_info=batch.BatchPoolInfo(pool_id="nowhere"))
    )
    acknowledged: list[str] = []
    began = threading.Event()

    def submit() -> None:
        client = live.by_token()
        for number in range(100_000):
            try:
                client.create_task(
                    "job", batch.BatchTaskCreateOptions(id=f"t{number}", command_line="true"), retry_total=0
                )
            except AzureError:
                return
            acknowledged.append(f"t{number}")
            if number == 20:
                began.set()

    writer = threading.Thread(target=submit)
    writer.start()
    assert began.wait(30), "no task was acknowledged"
    live.kill_service()
    writer.join(60)
    assert not writer.is_alive(), "the writer did not notice that the service was killed"
    live.start()
    stored = {str(task["id"]) for task in live.batch.list_tasks("job", select=["id"])}
    assert stored.issuperset(acknowledged), f"lost: {sorted(set(acknowledged) - stored)[:5]}"
    assert len(stored) - len(acknowledged) <= 1, "at most the request under way may be there unacknowledged"


def test_a_node_whose_first_process_is_killed_comes_back_and_its_task_runs_again(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task("t", f"echo $AZ_BATCH_TASK_ID >>$AZ_BATCH_NODE_SHARED_DIR/ledger; {UNTIL_LET_GO}")
    live.wait_task("t", "running")
    before = _begun(live)
    wait_until(lambda: live.ledger() == ["t"], 20, live.ledger)

    live.kill_nodes()

    wait_until(lambda: _begun(live) not in (None, before), 60, live.service.log_tail)
    live.let_go()
    task = live.wait_task("t", "completed")
    assert task["executionInfo"]["result"] == "success"
    live.wait_nodes("pool", {"idle": 1})
    node = next(iter(live.batch.list_nodes("pool")))
    assert node.get("errors") in (None, [])


def _begun(live: Live) -> object:
    """When the run of the task began; None while there is none."""
    task = live.batch.get_task("job", "t")
    return task["executionInfo"]["startTime"] if task["state"] == "running" else None
