"""Order of timers, work at the end of a turn, callbacks of descriptors that were forgotten meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from poolwright.agent.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_timers_run_in_order_and_can_be_cancelled(loop: Loop) -> None:
    seen: list[str] = []
    loop.later(0.02, lambda: seen.append("second"))
    loop.later(0.01, lambda: seen.append("first"))
    loop.later(0.015, lambda: seen.append("never")).cancel()
    loop.later(0.03, loop.stop)
    loop.run()
    assert seen == ["first", "second"]


def test_work_at_the_end_of_a_turn_comes_after_its_events(loop: Loop) -> None:
    seen: list[str] = []

    def event() -> None:
        loop.at_turn_end(lambda: seen.append("end"))
        loop.at_turn_end(loop.stop)
        seen.append("event")

    loop.later(0.0, event)
    loop.run()
    assert seen == ["event", "end"]


def test_a_forgotten_descriptor_is_not_called_in_the_same_turn(loop: Loop) -> None:
    seen: list[int] = []
    pipes = [os.pipe() for _ in range(2)]
    for number, (read, write) in enumerate(pipes):
        os.write(write, b"x")
        other = pipes[1 - number][0]

        def ready(read: int = read, other: int = other) -> None:
            seen.append(read)
            loop.forget(other)
            loop.forget(read)
            loop.later(0.0, loop.stop)

        loop.read(read, ready)
    loop.run()
    assert len(seen) == 1
    for pair in pipes:
        for fd in pair:
            os.close(fd)


def test_ended_children_are_told_once(loop: Loop) -> None:
    seen: list[int] = []
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})

    def ended(status: int) -> None:
        seen.append(os.waitstatus_to_exitcode(status))
        loop.stop()

    def look() -> None:
        loop.reap()
        loop.later(0.005, look)

    loop.child(pid, ended)
    loop.later(0.0, look)
    loop.run()
    assert seen == [3]
