"""A service that is ended and started again goes on where it was; one that is taken down leaves nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from azure.core.exceptions import HttpResponseError

from demo.leftovers import leftovers
from tests.e2e.service.live import UNTIL_LET_GO, Live
from tests.support.waiting import wait_until

pytestmark = pytest.mark.one_service


def test_a_task_runs_on_while_the_service_is_away(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task("t", f"{UNTIL_LET_GO}; echo survived")
    live.wait_task("t", "running")
    assert live.service.stop() == 0
    live.start()
    live.let_go()
    task = live.wait_task("t", "completed")
    assert task["executionInfo"]["exitCode"] == 0
    assert task["executionInfo"]["requeueCount"] == 0
    assert live.output("t") == "survived\n"


def test_down_ends_every_node(live: Live) -> None:
    live.idle_pool(dedicated=3)
    assert live.service.stop() == 0
    assert leftovers(live.data_dir), "nodes go on for a while after SIGTERM"
    live.service.down()
    wait_until(lambda: not leftovers(live.data_dir), 30, lambda: leftovers(live.data_dir))


def test_a_second_service_on_the_same_data_is_refused(live: Live) -> None:
    command = [sys.executable, "-m", "poolwright.cli", "up", "--port", "0", "--data-dir", str(live.data_dir)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert f"in use by process {live.ready.pid}" in second.stderr


def test_the_ready_file_goes_with_the_service(live: Live) -> None:
    ready = live.service.ready_file
    assert ready.exists()
    assert ready.stat().st_mode & 0o077 == 0, "it holds secrets"
    assert live.service.stop() == 0
    assert not ready.exists()


def test_credentials_stay_the_same_over_a_restart(live: Live) -> None:
    before = live.ready
    live.service.stop()
    live.start()
    assert live.ready._replace(pid=0) == before._replace(pid=0)
    with pytest.raises(HttpResponseError, match="JobNotFound"):
        live.by_key().get_job("nothing")
