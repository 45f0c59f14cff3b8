"""A real pool that grows and shrinks by formulas."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from tests.e2e.service.live import UNTIL_LET_GO, Live
from tests.support.waiting import wait_until

pytestmark = pytest.mark.one_service

#: Grows an empty pool to two nodes; says what it would do with a pool that has them.
FORMULA = """
// two nodes, or none when there are some
$some = $CurrentDedicatedNodes > 0;
$TargetDedicatedNodes = $some ? 0 : 2;
$NodeDeallocationOption = taskcompletion;
"""


def test_a_formula_grows_and_shrinks_a_pool(live: Live, tmp_path: Path) -> None:
    live.pool(dedicated=0)
    live.wait_steady()
    enable = batch.BatchPoolEnableAutoScaleOptions(auto_scale_formula=FORMULA)
    live.batch.enable_pool_auto_scale("pool", enable)
    live.wait_nodes("pool", {"idle": 2})
    live.wait_steady("pool")
    grown = live.batch.get_pool("pool")
    assert grown["autoScaleRun"]["results"] == (
        "$TargetDedicatedNodes=2;$TargetLowPriorityNodes=0;$NodeDeallocationOption=taskcompletion;$some=0"
    )
    with pytest.raises(HttpResponseError, match="OperationInvalidForCurrentState"):
        live.batch.begin_resize_pool("pool", batch.BatchPoolResizeOptions(target_dedicated_nodes=1))

    live.job()
    live.task("t", UNTIL_LET_GO)
    node = str(live.wait_task("t", "running")["nodeInfo"]["nodeId"])
    account = f"https://{live.ready.account_endpoint}"
    address = f"{account}/pools/pool/evaluateautoscale?api-version=2025-06-01&apply=true"
    applied = live.batch.send_request(HttpRequest("POST", address, json={"autoScaleFormula": FORMULA}))
    applied.raise_for_status()
    live.wait_draining(node)
    live.let_go()
    wait_until(lambda: live.states() == {}, 60, live.states)
    live.wait_steady("pool")
    task = live.batch.get_task("job", "t")
    assert (task["state"], task["executionInfo"]["exitCode"]) == ("completed", 0)
    assert live.batch.get_pool("pool")["targetDedicatedNodes"] == 0

    live.kill_service()
    live.start()
    kept = live.batch.get_pool("pool")
    assert (kept["enableAutoScale"], kept["autoScaleFormula"]) == (True, FORMULA)
    live.batch.disable_pool_auto_scale("pool")
    assert not live.batch.get_pool("pool")["enableAutoScale"]

    formula = tmp_path / "formula.txt"
    formula.write_text("$TargetDedicatedNodes = $CurrentDedicatedNodes + 1;")
    shown = _simulate(live, formula)
    wait_until(lambda: "pending" in _simulate(live, formula).stdout, 60, lambda: shown.stdout)
    shown = _simulate(live, formula)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "dedicated" in shown.stdout


def _simulate(live: Live, formula: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "poolwright.cli", "autoscale", "simulate", "pool"]
    options = ["--formula", str(formula), "--hours", "1", "--data-dir", str(live.data_dir)]
    return subprocess.run(
        [*command, *options],
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
