"""A live service for each test, or one that a worker's tests use one after the other: starting and ending a service
takes longer than most tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service.live import Live


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
    yield from _running(tmp_path)


@pytest.fixture(scope="session")
def service_of_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service for all tests that need no other options and nothing but pools and jobs; they may kill it."""
    yield from _running(tmp_path_factory.mktemp("service"))


def _running(directory: Path) -> Iterator[Live]:
    if os.geteuid() != 0:
        pytest.skip("nodes are made of namespaces and mounts, which needs root")
    made = Live(directory)
    try:
        made.start()
        yield made
    finally:
        made.close()
