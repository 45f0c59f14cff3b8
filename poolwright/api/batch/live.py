"""Answers without an end: sent until the client goes, falls too far behind, or the stream ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: A client whose connection takes nothing for this long is dropped.
STALL_S = 20.0


async def pour(
    stream: AsyncGenerator[bytes, None], receive: Receive, send: Send, stall_s: float | None = None
) -> bool:
    """Send the stream as the body of an answer that has begun. False: the client did not take it, and is dropped."""
    pump = asyncio.ensure_future(_pump(stream, send, STALL_S if stall_s is None else stall_s))
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        return pump.result() if pump.done() else True
    finally:
        for task in (pump, gone):
            task.cancel()
        await asyncio.gather(pump, gone, return_exceptions=True)


async def _pump(stream: AsyncGenerator[bytes, None], send: Send, stall_s: float) -> bool:
    async with contextlib.aclosing(stream):
        async for piece in stream:
            try:
                async with asyncio.timeout(stall_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError:
                return False
    await send({"type": "http.response.body", "body": b""})
    return True


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
