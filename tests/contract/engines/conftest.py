"""Fixtures of engine and agent tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.engines.rig import Rig, make_image

NEEDED = ("mke2fs", "nft", "ip")


def why_not() -> str | None:
    """Why machines cannot be made here."""
    if os.geteuid() != 0:
        return "machines need root: namespaces, mounts and loop devices"
    missing = [program for program in NEEDED if shutil.which(program) is None]
    return f"missing programs: {', '.join(missing)}" if missing else None


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small test image; `data.raw` lies beside it."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    return make_image(tmp_path_factory.mktemp("image"))


@pytest.fixture
async def rig(tmp_path: Path, image: Path) -> AsyncIterator[Rig]:
    """A host agent of its own with hub and engine; everything ends with the test."""
    made = Rig(tmp_path / "data")
    try:
        await made.start()
        yield made
    finally:
        await made.close()
