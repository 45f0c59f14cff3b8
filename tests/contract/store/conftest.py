"""One suite for every store: a store joins by one more entry in OPENERS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from poolwright.store.base import Store, Tx
from poolwright.store.sqlite import SqliteStore
from poolwright.store.sync import SyncStore

T = TypeVar("T")
Opener = Callable[[Path], Store]
Run = Callable[[Callable[[Tx], T]], Awaitable[T]]


def _one_thread(directory: Path) -> Store:
    return SyncStore(directory / "one-thread.db")


OPENERS: dict[str, Opener] = {"sqlite": SqliteStore, "sqlite-one-thread": _one_thread}


@pytest.fixture(params=sorted(OPENERS))
def opener(request: pytest.FixtureRequest) -> Opener:
    return OPENERS[request.param]


@pytest_asyncio.fixture
async def store(opener: Opener, tmp_path: Path) -> AsyncIterator[Store]:
    opened = opener(tmp_path)
    yield opened
    await opened.close()
