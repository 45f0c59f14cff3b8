"""The SSH server that nodes get whose image has none: brought in the background, once, when the first one needs it."""

from __future__ import annotations

import asyncio
import logging

from poolwright.engines.base import Rejected
from poolwright.images.base import ImagePlaneError
from poolwright.images.loginkit import LoginKit

_log = logging.getLogger(__name__)


class BroughtLoginServer:
    """See engines/sandbox/driver.py, LoginServer."""

    def __init__(self, kit: LoginKit) -> None:
        self._kit = kit
        self._work: asyncio.Task[None] | None = None

    def bring(self) -> bool:
        if self._kit.ready:
            return True
        work = self._work
        if work is None:
            self._work = asyncio.create_task(asyncio.to_thread(self._kit.bring))
            return False
        if not work.done():
            return False
        self._work = None  # who asks once more has another try
        if work.cancelled():
            return False
        failure = work.exception()
        if failure is None:
            return self._kit.ready
        _log.warning("no SSH server for nodes: %s", failure)
        why = str(failure) if isinstance(failure, ImagePlaneError | OSError) else type(failure).__name__
        raise Rejected(f"The image has no SSH server, and none could be brought: {why[:500]}")

    async def close(self) -> None:
        """End what is under way."""
        self._kit.close()
        if self._work is not None:
            await asyncio.gather(self._work, return_exceptions=True)
