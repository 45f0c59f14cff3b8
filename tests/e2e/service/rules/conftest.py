"""One service and one pool for all tests of the rules: each test has jobs of its own, which are gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.service.live import Live, running
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A running service with two nodes of two slots."""
    with running(tmp_path_factory.mktemp("rules")) as made:
        made.idle_pool(dedicated=2, slots=2)
        yield made


@pytest.fixture
def live(shared: Live) -> Iterator[Live]:
    """The service without any job."""
    yield shared
    shared.delete_jobs()
    wait_until(lambda: shared.states() == {"idle": 2}, 60, shared.states)
