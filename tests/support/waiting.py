"""Waiting for a condition with a deadline: the only way for a test to let time pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

INTERVAL_S = 0.02
"""Between two looks at a condition: short beside any wait, long beside the look."""

Describe = Callable[[], object] | str


def wait_until(condition: Callable[[], object], deadline_s: float, describe: Describe) -> None:
    """Return once `condition()` is true; after `deadline_s` seconds fail with the state that `describe` tells.

    The condition is looked at once more after the deadline, so that a machine that slept does not fail the test.
    """
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= end:
            if condition():
                return
            raise AssertionError(_late(deadline_s, describe))
        time.sleep(INTERVAL_S)


async def wait_until_async(
    condition: Callable[[], Awaitable[object]], deadline_s: float, describe: Describe
) -> None:
    """As `wait_until`, for a condition that is a coroutine function."""
    end = time.monotonic() + deadline_s
    while not await condition():
        if time.monotonic() >= end:
            if await condition():
                return
            raise AssertionError(_late(deadline_s, describe))
        await asyncio.sleep(INTERVAL_S)


def _late(deadline_s: float, describe: Describe) -> str:
    state = describe if isinstance(describe, str) else describe()
    return f"not within {deadline_s:g} s: {state}"
