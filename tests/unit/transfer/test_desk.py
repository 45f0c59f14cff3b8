"""What the half of a job that speaks with servers may ask of the half that has the files."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolwright.transfer.desk import Desk, FarHands
from poolwright.transfer.failures import TransferFailed
from poolwright.transfer.hands import OwnHands
from poolwright.transfer.patterns import Pattern

TASK = "workitems/j/job-1/t"


class Pair:
    """A desk in a thread, and the other end of its socket."""

    def __init__(self, root: Path, kind: str) -> None:
        order = {"kind": kind, "root": str(root), "dir": TASK, "fresh": True}
        self._own = OwnHands(order)
        ours, self.socket = socket.socketpair()
        self.far = FarHands(self.socket, TASK)
        self.outcome: dict[str, object] | None = {}
        self._desk = Desk(ours, self._own, TASK)
        self._ours = ours
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        self.outcome = self._desk.serve(60)
        self._ours.close()

    def end(self) -> None:
        self.socket.close()
        self._thread.join(30)
        self._own.__exit__()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "node"
    (made / ".trash").mkdir(parents=True)
    return made


@pytest.fixture
def fetching(root: Path) -> Iterator[Pair]:
    made = Pair(root, "fetch")
    yield made
    made.end()


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../b", "", ".", "a\0b"])
def test_no_path_leads_out(fetching: Pair, root: Path, path: str) -> None:
    with pytest.raises(TransferFailed), fetching.far.file(path, 0o600):
        raise AssertionError("a file came")
    with pytest.raises(TransferFailed):
        fetching.far.directory(path)
    with pytest.raises(TransferFailed):
        fetching.far.link(path, "x")
    assert [p.name for p in root.rglob("*") if p.is_file()] == []


def test_no_link_leads_out(fetching: Pair) -> None:
    for text in ("/etc/passwd", "../../x", "a/../../../b", ""):
        with pytest.raises(TransferFailed):
            fetching.far.link("one", text)


def test_a_file_takes_its_name_when_it_is_whole(fetching: Pair, root: Path) -> None:
    wd = root / TASK / "wd"
    with fetching.far.file("in/one", 0o640) as stream:
        stream.write(b"data")
        assert not (wd / "in" / "one").exists()
    assert ((wd / "in" / "one").read_bytes(), (wd / "in" / "one").stat().st_mode & 0o777) == (b"data", 0o640)
    with pytest.raises(ZeroDivisionError), fetching.far.file("two", 0o640):
        raise ZeroDivisionError
    with fetching.far.file("three", 0o777 | 0o4000) as stream:
        stream.write(b"x")
    assert (wd / "three").stat().st_mode & 0o7777 == 0o777
    assert sorted(path.name for path in wd.iterdir()) == ["in", "three"]


def test_an_end_in_between_leaves_nothing(fetching: Pair, root: Path) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"), fetching.far.file("one", 0o600):
        fetching.end()
    assert fetching.outcome is None
    assert list((root / TASK / "wd").iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [struct.pack("!I", 2**31), struct.pack("!I", 2) + b"{]", struct.pack("!I", 13) + b'{"op":"steal"}'[:13]],
)
def test_what_is_no_question_ends_it(fetching: Pair, data: bytes) -> None:
    fetching.socket.sendall(data)
    fetching._thread.join(30)
    assert fetching.outcome is None


def test_only_what_the_task_may_read_and_two_texts(root: Path) -> None:
    wd = root / TASK / "wd"
    wd.mkdir(parents=True)
    (wd / "out").write_bytes(b"result")
    (wd / "link").symlink_to("/etc/passwd")
    pair = Pair(root, "deliver")
    far = pair.far
    assert [one.name for one in far.find(Pattern(f"{TASK}/wd", ("*",), True))] == ["link", "out"]
    with far.open(f"{TASK}/wd/out") as stream:
        assert stream.read() == b"result"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(stream.fileno(), b"no")
    for path in ("../../etc/passwd", "/etc/passwd", f"{TASK}/wd/link", TASK):
        with pytest.raises(OSError, match=r"."):
            far.open(path)
    far.write(f"{TASK}/fileuploadout.txt", "said")
    assert (root / TASK / "fileuploadout.txt").read_text() == "said"
    for name in ("stdout.txt", "..", "x"):
        with pytest.raises(OSError, match="no such text"):
            far.write(f"{TASK}/{name}", "no")
    pair.end()
