"""The bytes of application packages: files below the data directory.

`uploads/<blob>` is what was uploaded, `uploads/<blob>.blocks/` what comes in blocks, and `content/<digest>` what nodes
get. A name comes from a row that was there first; a file takes its name only when all of it is on disk. Contents
are never written again: an activation links the upload to its digest, so that another upload cannot change what nodes
already have. What no row knows goes (`collect`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from poolwright.api.blobs.bytes import BlobFacts, BytesRefused
from poolwright.commands.applications import Upload
from poolwright.domain.clock import SECOND, Clock, Instant, Micros
from poolwright.domain.errors import ManagementError
from poolwright.domain.facts import DirtyKey
from poolwright.domain.limits import PACKAGE_BYTES_MAX, PACKAGE_UPLOADS_AT_ONCE
from poolwright.domain.package import Package
from poolwright.serve.parts import PART, PIECE, Part, Receiver, sync_directory
from poolwright.store.base import Store, Tx
from poolwright.transfer import archives
from poolwright.transfer.failures import TransferFailed

_BLOCKS = ".blocks"
_COLLECT_PERIOD: Micros = 600 * SECOND
ALL = DirtyKey("packages", "", "all")


class StoredPackages:
    """Implements api.blobs.bytes.PackageFiles and reconcile.packages.PackageContents."""

    def __init__(self, folder: Path, store: Store, clock: Clock) -> None:
        self._uploads, self._content = folder / "uploads", folder / "content"
        self._store = store
        self._clock = clock
        self._files = Receiver("packages", PACKAGE_UPLOADS_AT_ONCE)
        self._lock = asyncio.Lock()  # contents are made and collected one after the other
        self._collected_at: Instant = 0

    def open(self) -> None:
        """Make the directories; parts that an earlier end left behind go."""
        for folder in (self._uploads, self._content):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in folder.rglob(f"*{PART}"):
                part.unlink(missing_ok=True)

    def close(self) -> None:
        """Let the threads end."""
        self._files.close()

    def path(self, digest: str) -> str:
        """The file of a content."""
        return str((self._content / digest).absolute())

    async def put(self, blob: str, body: AsyncIterator[bytes], length: int) -> bytes:
        """See PackageFiles."""
        digest = await self._files.take(self._uploads / blob, body, length)
        await self._files.do(lambda: shutil.rmtree(self._blocks(blob), ignore_errors=True))
        return digest

    async def put_block(self, blob: str, block: bytes, body: AsyncIterator[bytes], length: int) -> bytes:
        """See PackageFiles."""
        folder = self._blocks(blob)

        def prepare() -> int:
            folder.mkdir(mode=0o700, exist_ok=True)
            return sum(entry.stat().st_size for entry in os.scandir(folder))

        if await self._files.do(prepare) + length > PACKAGE_BYTES_MAX:
            raise BytesRefused(f"A package has at most {PACKAGE_BYTES_MAX} bytes.", retry=False)
        return await self._files.take(folder / block.hex(), body, length)

    async def commit(self, blob: str, blocks: Sequence[bytes]) -> bool:
        """See PackageFiles."""
        folder = self._blocks(blob)
        files = [folder / block.hex() for block in blocks]

        def join() -> bool:
            if not all(file.is_file() for file in files):
                return False
            with Part(self._uploads / blob) as part:
                for file in files:
                    with file.open("rb") as source:
                        shutil.copyfileobj(source, part.stream, PIECE)
            shutil.rmtree(folder, ignore_errors=True)
            return True

        async with self._files.room:
            return await self._files.do(join)

    async def facts(self, blob: str) -> BlobFacts | None:
        """See PackageFiles."""
        try:
            status = await self._files.do((self._uploads / blob).stat)
        except BytesRefused:
            return None
        return BlobFacts(status.st_size, status.st_mtime_ns)

    async def read(self, blob: str, offset: int, length: int) -> bytes:
        """See PackageFiles."""

        def piece() -> bytes:
            with (self._uploads / blob).open("rb") as stream:
                stream.seek(offset)
                return stream.read(length)

        data = await self._files.do(piece)
        if len(data) != length:
            raise BytesRefused("The upload was replaced while it was read.", retry=True)
        return data

    @asynccontextmanager
    async def activation(self, package: Package) -> AsyncIterator[Upload]:
        """See PackageFiles."""
        async with self._lock:
            if await self.facts(package.blob) is None:
                if package.digest is None:
                    text = "Nothing was uploaded for the package: upload it to its storageUrl first."
                    raise ManagementError(409, "ApplicationPackageBlobNotFound", text)
                yield Upload(package.digest, package.size_bytes)  # activated before, not uploaded since
                return
            try:
                upload, file = await self._files.do(lambda: self._keep(package.blob))
            except TransferFailed as failure:
                text = f"The upload cannot be used: {failure}."
                raise ManagementError(409, "ApplicationPackageFormatInvalid", text) from None
            except BytesRefused as error:
                raise ManagementError(409, "ApplicationPackageBlobNotFound", str(error)) from None
            yield upload
            # Only now: a crash before the row is durable finds the upload still there.
            await self._files.do(lambda: self._let_go(package.blob, file))

    def _let_go(self, blob: str, file: int) -> None:
        """Remove the upload that was activated, unless another one took its place."""
        path = self._uploads / blob
        with suppress(FileNotFoundError):
            if path.stat().st_ino == file:
                path.unlink()

    def _keep(self, blob: str) -> tuple[Upload, int]:
        """The content, and the number of its file."""
        with (self._uploads / blob).open("rb") as stream:
            archives.entries(stream)
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            content = self._content / digest
            with suppress(FileExistsError):
                # By descriptor, since the name may belong to another upload by now. The link of /proc is followed only
                # by linkat(2), which Python calls when it is given a directory (an absolute path makes nothing of it).
                number = stream.fileno()
                os.link(f"/proc/self/fd/{number}", content, src_dir_fd=number)
            sync_directory(self._content)
            status = os.fstat(stream.fileno())
            return Upload(digest, status.st_size), status.st_ino

    def keys(self, _: Tx) -> list[DirtyKey]:
        """What the periodic pass adds."""
        due = self._clock.now() - self._collected_at >= _COLLECT_PERIOD
        return [ALL] if due else []

    async def collect(self, _: DirtyKey, /) -> Instant | None:
        """Remove files that no package has."""
        self._collected_at = self._clock.now()
        async with self._lock:
            uploads, contents = await self._files.do(lambda: (_names(self._uploads), _names(self._content)))
            # The rows are read after the files were listed: a file is made only when its row is there.
            blobs, digests = await self._store.read(lambda tx: tx.applications.files())
            gone = [self._content / name for name in contents if name not in digests]
            gone += [
                self._uploads / name
                for name in uploads
                if name.partition(".")[0] not in blobs and not name.endswith(PART)
            ]
            for path in gone:
                await self._files.do(partial(_remove, path))
        return None

    def _blocks(self, blob: str) -> Path:
        return self._uploads / f"{blob}{_BLOCKS}"


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
