"""Files that come over the network: written aside, synced, and only then in place."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from poolwright.api.blobs.bytes import BytesRefused
from poolwright.domain.errors import disk_full

T = TypeVar("T")
PART = ".part"
PIECE = 1024 * 1024
_THREADS = 4
_ASKED_EVERY = 64 * 1024 * 1024  # bytes of one body between two looks at the disk's room


class Part:
    """A file under way: takes its place when it is finished, and leaves nothing behind when it is not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")

    def __enter__(self) -> Part:
        fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.stream: BinaryIO = os.fdopen(fd, "w+b")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.close()

    def finish(self) -> None:
        """Durable, and in place."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        os.rename(self._part, self._path)
        sync_directory(self._path.parent)

    def close(self) -> None:
        """Let go; what was not finished is removed."""
        self.stream.close()
        self._part.unlink(missing_ok=True)


def sync_directory(folder: Path) -> None:
    """Names in a directory are durable when it returns."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Receiver:
    """Takes files from bodies of requests, some at a time, with the disk's work in threads of its own.

    `refusal`: why nothing more is taken in now; asked again while a long body comes.
    """

    def __init__(self, name: str, at_once: int, refusal: Callable[[], str | None] = lambda: None) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)
        self.room = asyncio.Semaphore(at_once)
        self._refusal = refusal

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def do(self, work: Callable[[], T]) -> T:
        """Work on files in a thread. Raises BytesRefused for what the disk refuses."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise BytesRefused(error.strerror or "the file cannot be used", retry=False) from error

    async def take(self, path: Path, body: AsyncIterator[bytes], length: int) -> bytes:
        """Write a body of this length into a new file, which takes its name when all of it is durable. Returns its
        MD5. Raises BytesRefused."""
        digest = hashlib.md5(usedforsecurity=False)
        async with self.room:
            part = await self.do(lambda: Part(path).__enter__())
            size = asked = 0
            try:
                gathered = bytearray()
                async for piece in body:
                    gathered += piece
                    size += len(piece)
                    if size > length:
                        break
                    if size - asked > _ASKED_EVERY:
                        asked = size
                        self._check_room()
                    if len(gathered) >= PIECE:
                        data, gathered = gathered, bytearray()
                        await self.do(partial(_write, part.stream, data, digest.update))
                await self.do(partial(_write, part.stream, gathered, digest.update))
                if size != length:
                    raise BytesRefused(f"{size} bytes came of {length}.", retry=False)
                await self.do(part.finish)
            finally:
                await asyncio.shield(self.do(part.close))
        return digest.digest()

    def _check_room(self) -> None:
        cause = self._refusal()
        if cause is not None:
            raise BytesRefused(disk_full(cause).message, retry=False)


def _write(stream: BinaryIO, data: bytearray, update: Callable[[bytearray], None]) -> None:
    stream.write(data)
    update(data)
