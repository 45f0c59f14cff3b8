"""A live service for each test, or one that a worker's tests use one after the other: starting and ending a service
takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service.live import Live, running


@pytest.fixture
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    """A running service without pools and jobs: of the test's own, or, where it is marked `one_service`, that of the
    worker. Pools and jobs that the test leaves in it are deleted."""
    if request.node.get_closest_marker("one_service") is None:
        yield request.getfixturevalue("own_service")
        return
    shared: Live = request.getfixturevalue("service_of_worker")
    shared.turn_to()
    yield shared
    shared.empty()


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Live]:
    """A service that nobody else uses."""
    with running(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def service_of_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service for all tests that need no other options and nothing but pools and jobs; they may kill it."""
    with running(tmp_path_factory.mktemp("service")) as made:
        yield made
