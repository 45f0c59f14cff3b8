from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

import pytest

from poolwright.domain.facts import DirtyKey
from poolwright.reconcile.loop import Loop
from tests.unit.reconcile.world import HandClock

A, B = DirtyKey("pool", "acct", "a"), DirtyKey("pool", "acct", "b")
DEADLINE_S = 20.0


class Bench:
    """A loop whose handler is scripted; keys come by `loop.add`."""

    def __init__(
        self, handle: Callable[[DirtyKey], Awaitable[int | None]], due: list[DirtyKey] | None = None
    ) -> None:
        self._keys = due or []
        self._ended = asyncio.Event()
        self.loop = Loop(handle, self._due, self._wakeups, HandClock(), Random(1), period_s=3600)
        self.running = asyncio.create_task(self.loop.run())

    async def _due(self) -> list[DirtyKey]:
        return self._keys

    async def _wakeups(self) -> AsyncIterator[DirtyKey]:
        await self._ended.wait()
        for _ in ():
            yield A

    async def end(self) -> None:
        self.loop.stop()
        await asyncio.wait_for(self.running, DEADLINE_S)


async def test_a_key_is_never_served_by_two_workers_and_never_forgotten() -> None:
    inside, most, served = 0, 0, 0
    begun, gate, twice = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(key: DirtyKey) -> None:
        nonlocal inside, most, served
        inside += 1
        most = max(most, inside)
        begun.set()
        await gate.wait()
        inside -= 1
        served += 1
        if served == 2:
            twice.set()

    bench = Bench(handle)
    for _ in range(5):
        bench.loop.add(A)
    await asyncio.wait_for(begun.wait(), DEADLINE_S)
    for _ in range(5):
        bench.loop.add(A)  # dirty while being served: once more, not five times
    gate.set()
    await asyncio.wait_for(twice.wait(), DEADLINE_S)
    await bench.end()
    assert (most, served) == (1, 2)


async def test_other_keys_go_on_while_one_waits() -> None:
    gate, passed = asyncio.Event(), asyncio.Event()

    async def handle(key: DirtyKey) -> None:
        if key == A:
            await gate.wait()
        else:
            passed.set()

    bench = Bench(handle, [A, B])
    await asyncio.wait_for(passed.wait(), DEADLINE_S)
    gate.set()
    await bench.end()


async def test_a_failing_key_is_tried_again_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0
    done = asyncio.Event()

    async def handle(key: DirtyKey) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RuntimeError("not yet")
        done.set()

    bench = Bench(handle)
    with caplog.at_level(logging.ERROR):
        bench.loop.add(A)
        await asyncio.wait_for(done.wait(), DEADLINE_S)
    await bench.end()
    assert tries == 3
    assert "2 in a row" in caplog.text


async def test_a_wake_up_time_is_kept() -> None:
    times = 0
    done = asyncio.Event()

    async def handle(key: DirtyKey) -> int | None:
        nonlocal times
        times += 1
        if times == 1:
            return HandClock().now() + 1000
        done.set()
        return None

    bench = Bench(handle)
    bench.loop.add(A)
    await asyncio.wait_for(done.wait(), DEADLINE_S)
    await bench.end()


async def test_stop_finishes_what_is_being_served_and_takes_nothing_new() -> None:
    gate, served = asyncio.Event(), []
    begun = asyncio.Event()

    async def handle(key: DirtyKey) -> None:
        begun.set()
        await gate.wait()
        served.append(key)

    bench = Bench(handle)
    bench.loop.add(A)
    await asyncio.wait_for(begun.wait(), DEADLINE_S)
    bench.loop.stop()
    bench.loop.add(B)
    gate.set()
    await asyncio.wait_for(bench.running, DEADLINE_S)
    assert served == [A]
