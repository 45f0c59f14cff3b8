"""The demo itself: the whole story through the official clients, in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.service.live import BASE_CACHE
from tests.support.waiting import wait_until


def test_the_demo_plays_to_its_end_and_leaves_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the demo needs root")
    command = [sys.executable, "-m", "demo", "--out", str(tmp_path), "--base-cache", str(BASE_CACHE)]
    played = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert played.returncode == 0, played.stdout[-6000:] + played.stderr[-2000:]
    assert "FAIL" not in played.stdout
    with Image.open(tmp_path / "contact-sheet.png") as sheet:
        assert sheet.size[0] > 2000
        assert len(sheet.getcolors(1_000_000) or ()) > 1000, "sixty rendered frames have many colours"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    if os.geteuid() != 0:
        pytest.skip("the demo needs root")
    told = tmp_path / "told"
    data_dir = tmp_path / "data"
    # A shell's background job ignores SIGINT, and so would all that it starts.
    heeding = ["env", "--default-signal=INT", sys.executable]
    command = [*heeding, "-m", "demo", "--out", str(tmp_path / "out"), "--base-cache", str(BASE_CACHE)]
    with told.open("w") as file:
        demo = subprocess.Popen([*command, "--data-dir", str(data_dir)], stdout=file, stderr=file)
    try:
        wait_until(lambda: "Start the service" in told.read_text(), 120, told.read_text)
        demo.send_signal(number)
        assert demo.wait(180) == 130, told.read_text()
    finally:
        if demo.poll() is None:
            demo.kill()
            demo.wait()
            subprocess.run(
                [sys.executable, "-m", "poolwright.cli", "down", "--data-dir", str(data_dir)], check=False
            )
    said = told.read_text()
    assert "Interrupted: cleaning up" in said
    assert "Traceback" not in said
    assert "FAIL" not in said, "the demo looks for leftovers itself"
    assert not [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(data_dir) in line
    ]
    assert poolwright_processes(data_dir) == []


def poolwright_processes(data_dir: Path) -> list[str]:
    """Command lines of living processes that name the data directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if str(data_dir) in line:
            found.append(line)
    return found
