from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.unit.resources.house import House, open_house


@pytest_asyncio.fixture
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    made = open_house(tmp_path, getattr(request, "param", "fake"))
    await made.group()
    yield made
    await made.close()
