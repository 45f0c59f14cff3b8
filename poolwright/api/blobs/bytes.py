"""What the blobs need of whoever keeps the bytes of disks and packages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from poolwright.commands.applications import Upload
from poolwright.domain.blobs import Blob, BlobIndex, BlobKey
from poolwright.domain.package import Package

T = TypeVar("T")


class BytesRefused(Exception):
    """The bytes cannot be read or written; the text is fit for the caller. `retry` tells whether a repeat may help."""

    def __init__(self, text: str, *, retry: bool) -> None:
        super().__init__(text)
        self.retry = retry


class DiskBytes(Protocol):
    """Bytes of disks by the name their file has. Offsets and lengths in bytes. All raise BytesRefused."""

    async def read(self, file: str, offset: int, length: int) -> bytes:
        """`length` bytes."""
        ...

    async def write(self, file: str, offset: int, data: bytes) -> None:
        """Durable when it returns."""
        ...

    async def clear(self, file: str, offset: int, length: int) -> None:
        """Zeros; durable when it returns."""
        ...

    def footer(self, size_bytes: int, unique_id: str, created_s: int) -> bytes:
        """The footer of a fixed VHD of a disk."""
        ...


@dataclass(frozen=True, slots=True)
class BlobFacts:
    """An upload as it lies there. `modified_ns` is nanoseconds since 1970, of its last commit."""

    size: int
    modified_ns: int


class PackageFiles(Protocol):
    """Uploads of packages by the name of their blob, and the contents made of them. All raise BytesRefused."""

    async def put(self, blob: str, body: AsyncIterator[bytes], length: int) -> bytes:
        """Take the whole upload; it is durable, and in the place of an earlier one, when its MD5 is returned."""
        ...

    async def put_block(self, blob: str, block: bytes, body: AsyncIterator[bytes], length: int) -> bytes:
        """Keep a block for `commit`; returns its MD5."""
        ...

    async def commit(self, blob: str, blocks: Sequence[bytes]) -> bool:
        """Make the upload of these blocks, in order; durable when it returns. False when one is unknown."""
        ...

    async def facts(self, blob: str) -> BlobFacts | None:
        """None when nothing was uploaded."""
        ...

    async def read(self, blob: str, offset: int, length: int) -> bytes:
        """`length` bytes."""
        ...

    def activation(self, package: Package) -> AbstractAsyncContextManager[Upload]:
        """Judge the upload and keep it as a content; record the digest inside the block, or the content may go again.
        Raises ManagementError 409 when there is no upload, or none that can be unpacked."""
        ...


class BlobStream(Protocol):
    """A blob's content: it stays readable while this object is kept, whatever becomes of the blob."""

    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`."""
        ...


class BlobKeeper(Protocol):
    """This service's own blob storage: the index, and files with the contents. All raise BytesRefused."""

    async def ask(self, work: Callable[[BlobIndex], T]) -> T:
        """Have something looked up in the index, in a thread. Raises what `work` raises."""
        ...

    async def change(self, work: Callable[[BlobIndex], T]) -> T:
        """As `ask`, for what changes something."""
        ...

    async def open_blob(self, key: BlobKey) -> tuple[Blob, BlobStream]:
        """A blob and its content. Raises BlobRefused (404)."""
        ...

    async def take(self, body: AsyncIterator[bytes], length: int) -> tuple[str, bytes]:
        """Take a body of this many bytes into a new file: its name and MD5. It is durable, and belongs to nobody until
        the index names it."""
        ...

    async def drop(self, file: str) -> None:
        """A file that was taken in vain goes."""
        ...
