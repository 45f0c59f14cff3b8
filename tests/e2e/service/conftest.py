"""A live service for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service.live import Live


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """A running service; everything of it is gone afterwards."""
    if os.geteuid() != 0:
        pytest.skip("nodes are made of namespaces and mounts, which needs root")
    made = Live(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()
