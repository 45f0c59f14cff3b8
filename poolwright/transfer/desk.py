"""How the half of a job that may touch no files asks the half that may: open files are handed over one socket.

A request and an answer are each four bytes of length and JSON; an answer may bring a file descriptor. The asking half
speaks with servers and reads what users wrote, so nothing it asks is believed: paths are judged here again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from poolwright.transfer import archives
from poolwright.transfer.failures import TransferFailed
from poolwright.transfer.hands import Hands
from poolwright.transfer.patterns import Pattern
from poolwright.transfer.trees import Found, split

Json = dict[str, Any]
_LENGTH = struct.Struct("!I")
_MESSAGE_MAX = 8 * 1024 * 1024
_TEXT_MAX = 4 * 1024 * 1024  # of the two texts that an upload leaves in a task's directory
_OPEN_MAX = 64  # files that are written at the same time
_FOUND_STEP = 200  # names of one answer
_TEXTS = ("fileuploadout.txt", "fileuploaderr.txt")


class Gone(Exception):
    """The other half ended."""


def _send(sock: socket.socket, message: Json, fd: int | None = None) -> None:
    data = json.dumps(message).encode()
    head = _LENGTH.pack(len(data))
    try:
        if fd is None:
            sock.sendall(head)
        else:
            socket.send_fds(sock, [head], [fd])
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        raise Gone from None


def _receive(sock: socket.socket) -> tuple[Json, int | None]:
    """A message and the descriptor that came with it. Raises Gone, TimeoutError."""
    try:
        head, fds, _, _ = socket.recv_fds(sock, _LENGTH.size, 1, socket.MSG_WAITALL)
        if len(head) < _LENGTH.size:
            raise Gone
        (length,) = _LENGTH.unpack(head)
        if length > _MESSAGE_MAX:
            raise Gone
        data = bytearray()
        while len(data) < length:
            piece = sock.recv(length - len(data))
            if not piece:
                raise Gone
            data += piece
    except ConnectionResetError:
        raise Gone from None
    return dict(json.loads(data)), fds[0] if fds else None


class Desk:
    """The half with the files: answers until the other is done. `directory` is the task's, below the node's root."""

    def __init__(self, sock: socket.socket, hands: Hands, directory: str) -> None:
        self._sock = sock
        self._hands = hands
        self._directory = directory
        self._open: dict[int, AbstractContextManager[BinaryIO]] = {}
        self._found: list[Found] = []
        self._number = 0
        self._answers: dict[str, Callable[[Json], tuple[Json, int | None]]] = {
            "file": self._file,
            "close": self._close,
            "directory": self._make,
            "link": self._link,
            "archive": lambda _: ({}, self._hands.archive.fileno()),
            "find": self._find,
            "found": self._more,
            "open": self._read,
            "write": self._write,
        }

    def serve(self, seconds: float) -> Json | None:
        """Answer until the other half tells its outcome, for at most so long (TimeoutError). None: it ended before."""
        until = time.monotonic() + seconds
        try:
            while True:
                self._sock.settimeout(max(0.001, until - time.monotonic()))
                asked, fd = _receive(self._sock)
                if fd is not None:
                    os.close(fd)
                if asked.get("op") == "done":
                    return dict(asked["outcome"])
                self._answer(asked)
        except (Gone, ValueError, KeyError, TypeError):
            return None
        finally:
            for number in list(self._open):
                self._drop(number)

    def _answer(self, asked: Json) -> None:
        fd = None
        try:
            answer, fd = self._answers[str(asked["op"])](asked)
        except TransferFailed as failure:
            answer = {"failed": [failure.code, str(failure), [list(pair) for pair in failure.details]]}
        except OSError as error:
            answer = {"errno": error.errno or 0, "text": error.strerror or str(error)}
        _send(self._sock, answer, fd)

    def _file(self, asked: Json) -> tuple[Json, int | None]:
        if len(self._open) >= _OPEN_MAX:
            raise OSError(24, "too many files are open")
        manager = self._hands.target.file(_inside(asked["path"]), int(asked["mode"]))
        stream = manager.__enter__()
        self._number += 1
        self._open[self._number] = manager
        return {"number": self._number}, stream.fileno()

    def _close(self, asked: Json) -> tuple[Json, int | None]:
        number = int(asked["number"])
        if asked["good"]:
            self._open.pop(number).__exit__(None, None, None)
        else:
            self._drop(number)
        return {}, None

    def _drop(self, number: int) -> None:
        manager, broken = self._open.pop(number), Gone()
        with contextlib.suppress(Gone):
            manager.__exit__(Gone, broken, None)

    def _make(self, asked: Json) -> tuple[Json, int | None]:
        self._hands.target.directory(_inside(asked["path"]))
        return {}, None

    def _link(self, asked: Json) -> tuple[Json, int | None]:
        path, text = _inside(asked["path"]), str(asked["text"])
        archives.check_link(path, text)
        self._hands.target.link(path, text)
        return {}, None

    def _find(self, asked: Json) -> tuple[Json, int | None]:
        parts = tuple(str(part) for part in asked["parts"])
        self._found = self._hands.origin.find(Pattern(str(asked["base"]), parts, bool(asked["wild"])))
        return {"many": len(self._found)}, None

    def _more(self, asked: Json) -> tuple[Json, int | None]:
        start = max(0, int(asked["start"]))
        step = self._found[start : start + _FOUND_STEP]
        return {"found": [[_shown(one.path), _shown(one.name)] for one in step]}, None

    def _read(self, asked: Json) -> tuple[Json, int | None]:
        with self._hands.origin.open(_meant(str(asked["path"]))) as stream:
            return {}, os.dup(stream.fileno())

    def _write(self, asked: Json) -> tuple[Json, int | None]:
        name = str(asked["name"])
        if name not in _TEXTS:
            raise OSError(1, "no such text")
        self._hands.origin.write(f"{self._directory}/{name}", str(asked["text"])[:_TEXT_MAX])
        return {}, None


def _inside(path: object) -> str:
    """A path of a file or directory, judged. Raises TransferFailed."""
    parts = split(str(path))
    if not parts:
        raise TransferFailed("ResourceFileCreateFailed", "a file has a name")
    return "/".join(parts)


def _shown(path: str) -> str:
    """Names are bytes to the kernel; JSON wants text."""
    return path.encode("utf-8", "surrogateescape").decode("latin-1")


def _meant(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


class FarHands:
    """Hands of the half that may touch no files: everything is asked for. Safe to use from several threads."""

    def __init__(self, sock: socket.socket, directory: str) -> None:
        self._sock = sock
        self._directory = directory
        self._lock = threading.Lock()

    @property
    def target(self) -> FarHands:
        return self

    @property
    def origin(self) -> FarHands:
        return self

    @property
    def archive(self) -> BinaryIO:
        _, fd = self._ask({"op": "archive"})
        return _opened(fd, "rb")

    @contextlib.contextmanager
    def file(self, path: str, mode: int) -> Iterator[BinaryIO]:
        """See TargetFiles."""
        told, fd = self._ask({"op": "file", "path": path, "mode": mode})
        good = False
        try:
            with os.fdopen(_known(fd), "w+b", buffering=0) as stream:
                yield stream
            good = True
        finally:
            self._ask({"op": "close", "number": told["number"], "good": good})

    def directory(self, path: str) -> None:
        """See TargetFiles."""
        self._ask({"op": "directory", "path": path})

    def link(self, path: str, text: str) -> None:
        """See TargetFiles."""
        self._ask({"op": "link", "path": path, "text": text})

    def find(self, pattern: Pattern) -> list[Found]:
        """See OriginFiles."""
        asked = {"op": "find", "base": pattern.base, "parts": list(pattern.parts), "wild": pattern.wild}
        many = int(self._ask(asked)[0]["many"])
        found: list[Found] = []
        while len(found) < many:
            step = self._ask({"op": "found", "start": len(found)})[0]["found"]
            found += [Found(_meant(path), _meant(name)) for path, name in step]
        return found

    def open(self, path: str) -> BinaryIO:
        """See OriginFiles."""
        _, fd = self._ask({"op": "open", "path": _shown(path)})
        return _opened(fd, "rb")

    def write(self, path: str, text: str) -> None:
        """See OriginFiles."""
        self._ask({"op": "write", "name": path.rpartition("/")[2], "text": text})

    def done(self, outcome: Mapping[str, Any]) -> None:
        """The job is over."""
        with self._lock:
            _send(self._sock, {"op": "done", "outcome": dict(outcome)})

    def _ask(self, message: Json) -> tuple[Json, int | None]:
        with self._lock:
            _send(self._sock, message)
            answer, fd = _receive(self._sock)
        if "failed" in answer:
            code, text, details = answer["failed"]
            raise TransferFailed(code, text, tuple((str(name), str(value)) for name, value in details))
        if "errno" in answer:
            raise OSError(int(answer["errno"]), str(answer["text"]))
        return answer, fd


def _known(fd: int | None) -> int:
    if fd is None:
        raise OSError(9, "no file came")
    return fd


def _opened(fd: int | None, mode: str) -> BinaryIO:
    stream: Any = os.fdopen(_known(fd), mode)
    return stream  # type: ignore[no-any-return]
