"""What the page blobs need of whoever keeps the bytes of disks."""

from __future__ import annotations

from typing import Protocol


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
