"""Programs that nodes are lent: each kit is brought in the background, once, when the first node needs it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from poolwright.agent import layout
from poolwright.agent.layout import LOGIN_KIT
from poolwright.engines.base import Rejected
from poolwright.images.base import ImagePlaneError
from poolwright.images.kits import LOGIN, RUNTIME, Kit, Recipe

_log = logging.getLogger(__name__)
_TEXT_MAX = 500


class _Bringer:
    """One bringing of a kit at a time, for all who ask."""

    def __init__(self, recipe: Recipe, data_dir: Path, cache: Path, place: str) -> None:
        self._kit = Kit(recipe, cache, data_dir / "run" / Path(place).name, f"/{place}")
        self._work: asyncio.Task[None] | None = None

    def _begin(self) -> asyncio.Task[None]:
        if self._work is None:
            self._work = asyncio.create_task(asyncio.to_thread(self._kit.bring))
        return self._work

    def _problem(self, work: asyncio.Task[None], what: str) -> str | None:
        """What came of it, in words where it failed; who asks once more has another try."""
        if self._work is work:
            self._work = None
        failure = work.exception()
        if failure is None:
            return None
        _log.warning("no %s for nodes: %s", what, failure)
        told = isinstance(failure, ImagePlaneError | OSError)
        return (str(failure) if told else type(failure).__name__)[:_TEXT_MAX]

    async def close(self) -> None:
        """End what is under way."""
        self._kit.close()
        if self._work is not None:
            await asyncio.gather(self._work, return_exceptions=True)


class BroughtLoginServer(_Bringer):
    """See engines/sandbox/driver.py, LoginServer."""

    def __init__(self, data_dir: Path, cache: Path) -> None:
        super().__init__(LOGIN, data_dir, cache, LOGIN_KIT)

    def bring(self) -> bool:
        if self._kit.ready:
            return True
        work = self._begin()
        if not work.done():
            return False
        if work.cancelled():
            self._work = None
            return False
        problem = self._problem(work, "SSH server")
        if problem is None:
            return self._kit.ready
        raise Rejected(f"The image has no SSH server, and none could be brought: {problem}")


class BroughtRuntime(_Bringer):
    """See reconcile/containers.py, ContainerRuntime."""

    def __init__(self, data_dir: Path, cache: Path) -> None:
        super().__init__(RUNTIME, data_dir, cache, layout.RUNTIME)

    async def bring(self) -> str | None:
        if self._kit.ready:
            return None
        work = self._begin()
        await asyncio.wait({work})
        return "the service is ending" if work.cancelled() else self._problem(work, "container runtime")
