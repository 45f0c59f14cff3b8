"""Frames survive any cut of the stream, and nothing else is taken for one."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.agent import frames
from poolwright.agent.loop import Loop

KEYS = st.text(max_size=5)
VALUES = st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=5), st.integers(1, 7))
def test_any_cut_of_the_stream_gives_the_same_messages(messages: list[dict[str, Any]], step: int) -> None:
    stream = b"".join(map(frames.encode, messages)) + frames.encode_binary(7, b"data")
    buffer, found = bytearray(), []
    for start in range(0, len(stream), step):
        buffer += stream[start : start + step]
        found += frames.split(buffer)
    assert [frames.decode(body) for _, body in found[:-1]] == messages
    assert found[-1] == (ord("B"), (7).to_bytes(8, "big") + b"data")
    assert not buffer


@pytest.mark.parametrize("head", [b"\0\0\0\0J", b"\xff\xff\xff\xffJ"])
def test_impossible_lengths_are_refused(head: bytes) -> None:
    with pytest.raises(frames.FrameError, match="frame of"):
        frames.split(bytearray(head))


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff\xfe{}"])
def test_only_json_objects_are_messages(body: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.decode(body)


def test_a_large_message_passes_a_small_socket() -> None:
    loop = Loop()
    left, right = socket.socketpair()
    got: list[dict[str, Any]] = []
    closed: list[str] = []

    def take(message: dict[str, Any]) -> None:
        got.append(message)
        loop.stop()

    sender = frames.Connection(loop, left, got.append, lambda: closed.append("left"))
    receiver = frames.Connection(loop, right, take, lambda: closed.append("right"))
    text = "x" * 3_000_000
    sender.send({"text": text})
    assert sender.unsent > 0
    loop.run()
    assert got == [{"text": text}]
    sender.close()
    receiver.close()
    sender.send({"late": True})
    loop.later(0.0, loop.stop)
    loop.run()
    assert closed == ["left", "right"]
    loop.close()
