"""The files of one job: what is got ready before it moves anything, what it may do with them, and what is done after.

`OwnHands` works on the node's directories itself, with the rights of this process. `parting.py` keeps it in one process
and has the network spoken with in another, which reaches files only through `desk.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any, BinaryIO, Protocol

from poolwright.transfer import packages, trees
from poolwright.transfer.patterns import Pattern
from poolwright.transfer.trees import Found

Json = dict[str, Any]


class TargetFiles(Protocol):
    """A directory that files are written to. All raise TransferFailed."""

    def file(self, path: str, mode: int) -> AbstractContextManager[BinaryIO]:
        """A new file, which takes its name when the block ends well."""
        ...

    def directory(self, path: str) -> None:
        """A directory, made with its parents where missing."""
        ...

    def link(self, path: str, text: str) -> None:
        """A symbolic link; what is there already must not be."""
        ...


class OriginFiles(Protocol):
    """What a task may read of its node. All raise OSError."""

    def find(self, pattern: Pattern) -> list[Found]:
        """Regular files that fit, in order of name."""
        ...

    def open(self, path: str) -> BinaryIO:
        """A regular file for reading."""
        ...

    def write(self, path: str, text: str) -> None:
        """A small file of ours in the task's directory."""
        ...


class Hands(Protocol):
    """What a job has of files, by its kind."""

    @property
    def target(self) -> TargetFiles: ...
    @property
    def origin(self) -> OriginFiles: ...
    @property
    def archive(self) -> BinaryIO: ...


class OwnHands:
    """Hands that work on the node's directories themselves. `outcome` is set where nothing is left to do."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        """Gets ready what the job needs. Raises TransferFailed, OSError."""
        self.outcome: Json | None = None
        self._closing = ExitStack()
        self._target: trees.Target | None = None
        self._origin: trees.Origin | None = None
        self._installation: packages.Installation | None = None
        kind = order.get("kind")
        with ExitStack() as undo:
            undo.callback(self._closing.close)
            if kind == "fetch":
                fresh, shared = bool(order["fresh"]), bool(order.get("shared"))
                self._target = trees.prepare(
                    str(order["root"]), str(order["dir"]), fresh=fresh, shared=shared
                )
                self._closing.callback(self._target.close)
            elif kind == "deliver":
                self._origin = trees.Origin(str(order["root"]), str(order["dir"]))
                self._closing.callback(self._origin.close)
            elif kind == "install":
                self._installation = packages.Installation(order)
                self._closing.callback(self._installation.close)
                self.outcome = self._installation.begin()
            undo.pop_all()

    def __enter__(self) -> OwnHands:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def target(self) -> TargetFiles:
        if self._installation is not None:
            return self._installation.target
        assert self._target is not None
        return self._target

    @property
    def origin(self) -> OriginFiles:
        assert self._origin is not None
        return self._origin

    @property
    def archive(self) -> BinaryIO:
        assert self._installation is not None
        return self._installation.stream

    def finish(self, outcome: Json) -> Json:
        """What is left to do when the job has moved everything, or failed. Raises TransferFailed."""
        return outcome if self._installation is None else self._installation.finish(outcome)
