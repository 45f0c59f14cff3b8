"""What the tests of transfers share: a node's directory, and a server that misbehaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faulty import Faulty


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A node's root directory."""
    made = tmp_path / "node"
    (made / ".trash").mkdir(parents=True)
    return made


@pytest.fixture
def server() -> Iterator[Faulty]:
    made = Faulty()
    yield made
    made.close()
