"""Containers and block blobs of this service's own storage, and the index that knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from poolwright.domain.clock import Instant, Micros

BLOCKS_MAX = 50_000  # public limit of one blob
UNCOMMITTED_MAX = 100_000  # public limit of blocks that wait for their list
UNCOMMITTED_LIFE: Micros = 7 * 24 * 3600 * 1_000_000  # public: blocks nobody commits go after a week

Pairs = tuple[tuple[str, str], ...]


class BlobRefused(Exception):
    """The index cannot do it; `code` is one of the public storage service, `status` its HTTP status."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Container:
    """A container. `tag` is a number that grows with every change and is never used twice."""

    name: str
    tag: int
    modified_at: Instant
    metadata: Pairs = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A file that holds a part of a blob; `block` is the id it came with, empty for a blob put at once."""

    file: str
    size: int
    block: bytes = b""


@dataclass(frozen=True, slots=True)
class Blob:
    """A block blob. `settings` are its content headers by lower-case name; `md5` is None where nobody told it."""

    name: str
    size: int
    md5: bytes | None = None
    settings: Pairs = ()
    metadata: Pairs = ()
    tag: int = 0
    created_at: Instant = 0
    modified_at: Instant = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list in order of name. `prefixes` stand for all names that begin so. `after` is None at the end."""

    blobs: tuple[Blob, ...] = ()
    prefixes: tuple[str, ...] = ()
    after: str | None = None


@dataclass(frozen=True, slots=True)
class BlobKey:
    """Which blob: the storage account's room, the container, the blob's name."""

    room: str
    container: str
    name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list: names that begin with `prefix` behind `after`; with a delimiter what follows it is one entry."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 5000
    metadata: bool = field(default=False)


#: Judges a change by the blob as it is (None: there is none); raises to forbid it.
Judge = Callable[[Blob | None], None]


class BlobIndex(Protocol):
    """Rooms of storage accounts with their containers and blobs. Every change is whole and durable when it returns.
    All raise BlobRefused."""

    def containers(self, room: str, prefix: str, after: str, limit: int) -> list[Container]: ...
    def container(self, room: str, name: str) -> Container:
        """404 ContainerNotFound."""
        ...

    def create_container(self, room: str, name: str, metadata: Pairs, now: Instant) -> Container:
        """409 ContainerAlreadyExists."""
        ...

    def describe_container(self, room: str, name: str, metadata: Pairs, now: Instant) -> Container: ...
    def delete_container(self, room: str, name: str) -> None:
        """With all that is in it."""
        ...

    def blob(self, key: BlobKey) -> tuple[Blob, tuple[Piece, ...]]:
        """404 BlobNotFound or ContainerNotFound."""
        ...

    def put(self, key: BlobKey, blob: Blob, pieces: Sequence[Piece], judge: Judge, now: Instant) -> Blob:
        """In the place of what has the name; blocks that wait for a list go."""
        ...

    def describe(self, key: BlobKey, changed: Callable[[Blob], Blob], judge: Judge, now: Instant) -> Blob: ...
    def delete(self, key: BlobKey, judge: Judge) -> None: ...
    def put_block(self, key: BlobKey, piece: Piece, now: Instant) -> None: ...
    def blocks(self, key: BlobKey) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        """Those of the blob, and those that wait for a list."""
        ...

    def commit(
        self, key: BlobKey, blob: Blob, wanted: Sequence[tuple[str, bytes]], judge: Judge, now: Instant
    ) -> Blob:
        """Make the blob of blocks, each ("committed" | "uncommitted" | "latest", id). 400 InvalidBlockList."""
        ...

    def page(self, room: str, container: str, listing: Listing) -> Page: ...
