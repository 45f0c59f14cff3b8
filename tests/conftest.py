"""What every test may use."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import waiting
from tests.support.leaks import Watch
from tests.support.storage import Storage
from tools.azurite import Unavailable

pytest_plugins = ("tests.support.loud",)

# How long one example takes is the machine's affair: no wall clock decides about a test.
settings.register_profile("poolwright", deadline=None)
settings.load_profile("poolwright")

_HERE = Path(__file__).parent
_SERVICES = _HERE / "e2e"
#: The official clients leave a connection to the garbage collector where a streamed answer is refused or a service is
#: killed under them. The service is another process here, so these sockets can only be theirs.
_CLIENTS_SOCKETS = (
    "ignore:unclosed <ssl.SSLSocket:ResourceWarning",
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """End-to-end tests start real services, each in a directory of its own: a pass of their own runs them."""
    for item in items:
        if item.path.is_relative_to(_SERVICES):
            item.add_marker(pytest.mark.services)
            for unclosed in _CLIENTS_SOCKETS:
                item.add_marker(pytest.mark.filterwarnings(unclosed))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Sockets that the clients of the last tests left behind are collected here, where the same holds for them."""
    if session.items and all(item.path.is_relative_to(_SERVICES) for item in session.items):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object], float, waiting.Describe], None]:
    """`wait_until(condition, deadline_s, describe)`: see tests.support.waiting."""
    return waiting.wait_until


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """Blob storage, shared by the tests of one process; each makes its own containers."""
    try:
        made = Storage(tmp_path_factory.mktemp("azurite"))
    except Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def leaves_nothing(tmp_path: Path) -> Iterator[Watch]:
    """Fails the one test that leaves a process, mount or loop device of its `tmp_path` behind."""
    watch = Watch(tmp_path, strict=False)
    yield watch
    left = watch.leaks().ours
    assert not left, "\n".join(f"left behind: {thing.kind} {thing.name}" for thing in left)
