"""The demo itself: the whole story through the official clients, in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.service.live import BASE_CACHE


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
