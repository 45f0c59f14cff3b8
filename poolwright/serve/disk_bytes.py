"""The bytes of disks for the page blobs: the image plane, in threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from poolwright.api.blobs import BytesRefused
from poolwright.images.base import DiskBusy, ImagePlane, ImagePlaneError
from poolwright.images.vhd import fixed_footer

T = TypeVar("T")
_THREADS = 4  # as many as upload at once by default in the official client


class PlaneBytes:
    """Implements `api.blobs.DiskBytes`."""

    def __init__(self, images: ImagePlane) -> None:
        self._images = images
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="pages")

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def read(self, file: str, offset: int, length: int) -> bytes:
        return await self._do(lambda: self._images.read(file, offset, length))

    async def write(self, file: str, offset: int, data: bytes) -> None:
        await self._do(lambda: self._images.write(file, offset, data))

    async def clear(self, file: str, offset: int, length: int) -> None:
        await self._do(lambda: self._images.clear(file, offset, length))

    def footer(self, size_bytes: int, unique_id: str, created_s: int) -> bytes:
        return fixed_footer(size_bytes, UUID(unique_id), created_s)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except DiskBusy as error:
            raise BytesRefused(str(error), retry=True) from error
        except (ImagePlaneError, OSError) as error:
            raise BytesRefused(str(error), retry=False) from error
