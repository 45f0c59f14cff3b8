"""What every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import waiting
from tests.support.leaks import Watch

pytest_plugins = ("tests.support.loud",)

_SERIAL_AREAS = ("e2e",)
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """End-to-end tests start real services: they have the machine for themselves."""
    for item in items:
        if item.path.relative_to(_HERE).parts[0] in _SERIAL_AREAS:
            item.add_marker(pytest.mark.serial)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object], float, waiting.Describe], None]:
    """`wait_until(condition, deadline_s, describe)`: see tests.support.waiting."""
    return waiting.wait_until


@pytest.fixture
def leaves_nothing(tmp_path: Path) -> Iterator[Watch]:
    """Fails the one test that leaves a process, mount or loop device of its `tmp_path` behind."""
    watch = Watch(tmp_path, strict=False)
    yield watch
    left = watch.leaks().ours
    assert not left, "\n".join(f"left behind: {thing.kind} {thing.name}" for thing in left)
