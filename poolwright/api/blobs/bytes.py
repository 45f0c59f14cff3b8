"""What the blobs need of whoever keeps the bytes of disks and packages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from poolwright.commands.applications import Upload
from poolwright.domain.package import Package


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
