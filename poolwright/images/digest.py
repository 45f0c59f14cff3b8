"""The content digest of a disk: one value for equal bytes, however they are stored.

Canonical form, version 1. The disk is cut into chunks of 1 MiB, the last one possibly shorter. Chunks of zeros only
are left out, so a hole, written zeros, a reflink and a sparse copy give one digest. The digest is

    sha256( "poolwright-disk-1\\n" | size | for each remaining chunk in order: index | sha256(chunk) )

with size and index as 8 bytes big-endian. Chunks have digests of their own so that parts of a disk can be verified,
and computed side by side, without the whole.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from poolwright.images.sparse import data_extents

CHUNK_BYTES = 1024**2
_HEADER = b"poolwright-disk-1\n"
_ZEROS = bytes(CHUNK_BYTES)


class DiskDigest:
    """Fed with chunks in ascending order; chunks that are zeros may be left out."""

    def __init__(self, size_bytes: int) -> None:
        self._outer = hashlib.sha256(_HEADER + size_bytes.to_bytes(8, "big"))
        self._next = 0

    def update(self, index: int, chunk: bytes | memoryview) -> None:
        if index < self._next:
            raise ValueError(f"chunk {index} came after chunk {self._next - 1}")
        self._next = index + 1
        if chunk != _ZEROS[: len(chunk)]:
            self._outer.update(index.to_bytes(8, "big") + hashlib.sha256(chunk).digest())

    def value(self) -> str:
        return "sha256:" + self._outer.hexdigest()


def digest_file(path: Path) -> str:
    """The digest of a raw disk file; holes are not read."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest, done = DiskDigest(size), -1
        for start, end in data_extents(file.fileno(), size):
            for index in range(max(start // CHUNK_BYTES, done + 1), -(-end // CHUNK_BYTES)):
                length = min(CHUNK_BYTES, size - index * CHUNK_BYTES)
                _read_exactly(file.fileno(), buffer[:length], index * CHUNK_BYTES)
                digest.update(index, buffer[:length])
                done = index
    return digest.value()


def _read_exactly(fd: int, view: memoryview, offset: int) -> None:
    while view:
        got = os.preadv(fd, [view], offset)
        if got == 0:
            raise EOFError("the disk became shorter while its digest was taken")
        view, offset = view[got:], offset + got
