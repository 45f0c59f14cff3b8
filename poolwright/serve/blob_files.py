"""This service's own blob storage: files below the data directory and their index.

`data/<xx>/<name>` are contents, each written once; `index.db` says which blob they belong to. A file is durable before
the index names it, so a kill leaves at most a file that nothing names: it is found at the next start. What the index
let go is removed once nobody reads it any more.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from poolwright.api.blobs.bytes import BytesRefused
from poolwright.domain.blobs import Blob, BlobIndex, BlobKey, Piece
from poolwright.domain.clock import SECOND, Clock, Ids, Instant, Micros
from poolwright.domain.facts import DirtyKey
from poolwright.serve.parts import PART, PIECE, Receiver
from poolwright.store.base import Store, Tx
from poolwright.store.blob_index import SqliteBlobIndex

T = TypeVar("T")
UPLOADS_AT_ONCE = 16  # bodies written at the same time; more wait
_COLLECT_PERIOD: Micros = 600 * SECOND
_WASTE_STEP = 500
ALL = DirtyKey("blobs", "", "all")


class BlobFiles:
    """Implements api.blobs.bytes.BlobKeeper."""

    def __init__(
        self, folder: Path, store: Store, clock: Clock, ids: Ids, refusal: Callable[[], str | None]
    ) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._store = store
        self._clock = clock
        self._ids = ids
        self._files = Receiver("blobs", UPLOADS_AT_ONCE, refusal)
        self._index: SqliteBlobIndex | None = None
        self._held: Counter[str] = Counter()  # files that answers are being made of
        self._opening = 0  # look-ups whose files are not held yet
        self._collected_at: Instant = 0

    def open(self) -> None:
        """Open the index; files that an earlier end left unnamed go."""
        for number in range(256):
            (self._data / f"{number:02x}").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._index = SqliteBlobIndex(self._folder / "index.db")
        for path in self._data.glob("??/*"):
            if path.name.endswith(PART) or not self._index.is_known(path.name):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give back the index."""
        self._files.close()
        if self._index is not None:
            self._index.close()

    async def ask(self, work: Callable[[BlobIndex], T]) -> T:
        """See BlobKeeper."""
        index = self._known()
        return await self._files.do(lambda: work(index))

    async def change(self, work: Callable[[BlobIndex], T]) -> T:
        """See BlobKeeper."""
        index = self._known()
        done = await self._files.do(lambda: work(index))
        await self._remove_waste(index)
        return done

    def _known(self) -> SqliteBlobIndex:
        if self._index is None:
            raise BytesRefused("The blob storage is not open.", retry=True)
        return self._index

    async def take(self, body: AsyncIterator[bytes], length: int) -> tuple[str, bytes]:
        """See BlobKeeper."""
        name = self._ids.uuid()
        return name, await self._files.take(self._path(name), body, length)

    async def drop(self, file: str) -> None:
        """See BlobKeeper."""
        await self._files.do(lambda: self._path(file).unlink(missing_ok=True))

    async def open_blob(self, key: BlobKey) -> tuple[Blob, Stream]:
        """See BlobKeeper."""
        index = self._known()
        self._opening += 1
        try:
            blob, pieces = await self._files.do(lambda: index.blob(key))
            return blob, Stream(self, pieces)
        finally:
            self._opening -= 1

    def hold(self, names: Sequence[str]) -> None:
        """Keep these files while they are read, also when the index lets them go."""
        self._held.update(names)

    def let_go(self, names: Sequence[str]) -> None:
        """They are read no more."""
        self._held.subtract(names)
        self._held += Counter()  # forgets those that nobody reads

    async def piece(self, file: str, offset: int, length: int) -> bytes:
        """At most so many bytes of a file. Raises BytesRefused."""
        data = await self._files.do(_reading(self._path(file), offset, length))
        if not data:
            raise BytesRefused("The blob's content is damaged.", retry=False)
        return data

    def keys(self, _: Tx) -> list[DirtyKey]:
        """What the periodic pass adds."""
        due = self._clock.now() - self._collected_at >= _COLLECT_PERIOD
        return [ALL] if due else []

    async def collect(self, _: DirtyKey, /) -> Instant | None:
        """Blobs of storage accounts that are no more go, and blocks that nobody committed."""
        self._collected_at = self._clock.now()
        known = {account.room for account in await self._store.read(lambda tx: tx.storage.all())}
        index = self._known()
        await self._files.do(lambda: index.keep_rooms(known))
        await self._files.do(lambda: index.expire(self._collected_at))
        await self._remove_waste(index)
        return None

    async def _remove_waste(self, index: SqliteBlobIndex) -> None:
        """What nobody reads any more goes. What is waste now is found by no look-up that begins after; while one is
        under way it waits for the next time."""
        listed = await self._files.do(lambda: index.waste(_WASTE_STEP))
        files = [] if self._opening else [file for file in listed if file not in self._held]

        def work() -> None:
            for file in files:
                self._path(file).unlink(missing_ok=True)
            index.removed(files)

        if files:
            await asyncio.shield(self._files.do(work))

    def _path(self, name: str) -> Path:
        return self._data / name[:2] / name


class Stream:
    """A blob's content while it is read: it stays although the blob is replaced or deleted."""

    def __init__(self, files: BlobFiles, pieces: Sequence[Piece]) -> None:
        self._files = files
        self._pieces = pieces
        self._names: Sequence[str] = [piece.file for piece in pieces]
        files.hold(self._names)

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """See BlobStream."""
        at = 0
        for piece in self._pieces:
            first, last = max(start - at, 0), min(end - at, piece.size)
            at += piece.size
            while first < last:
                data = await self._files.piece(piece.file, first, min(PIECE, last - first))
                yield data
                first += len(data)

    def __del__(self) -> None:
        # The last to have it is the answer, whether it was sent, broken off or never begun.
        self._files.let_go(self._names)


def _reading(path: Path, offset: int, length: int) -> Callable[[], bytes]:
    def work() -> bytes:
        with path.open("rb") as stream:
            return os.pread(stream.fileno(), length, offset)

    return work
