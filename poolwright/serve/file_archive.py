"""The archive of files between the rooms that fill it and the data plane that reads from it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from poolwright.api.batch.services import DirectoryNotEmpty, FileInfo, FileMissing, FileNotKept
from poolwright.decide.room import MIB
from poolwright.domain.kept_files import KeptFile
from poolwright.store.file_archive import FileArchive

_PIECE = 256 * 1024


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"the archive of files: {error}") from None


def open_archive(data_dir: Path, mib: int) -> ThreadedArchive | None:
    """The archive of a data directory, of at most so many MiB; None where the operator wants none (0)."""
    return ThreadedArchive(data_dir / "files" / "archive.db", mib * MIB) if mib else None


class ThreadedArchive:
    """See reconcile/kept_files.py, Archive: each call in a thread, since it waits for the disk."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self.archive = FileArchive(path, bytes_max)

    async def put(self, files: Mapping[str, Sequence[KeptFile]]) -> None:
        """Keep these, by execution. Raises OSError."""

        def work() -> None:
            for execution, found in files.items():
                self.archive.put(execution, found)

        with _disk_errors():
            await asyncio.to_thread(work)

    async def known(self, executions: Sequence[str]) -> set[str]:
        """Those of which something is kept. Raises OSError."""
        with _disk_errors():
            return await asyncio.to_thread(self.archive.known, executions)

    async def page(self, after: str, limit: int) -> Sequence[str]:
        """Names of executions of which something is kept, in order. Raises OSError."""
        with _disk_errors():
            return await asyncio.to_thread(self.archive.page, after, limit)

    async def forget(self, executions: Sequence[str]) -> None:
        """Keep nothing of these. Raises OSError."""
        with _disk_errors():
            await asyncio.to_thread(self.archive.forget, executions)

    def close(self) -> None:
        """Give back the file."""
        self.archive.close()


class KeptFiles:
    """See api/batch/services.py, KeptFiles: a "machine" is the name of an execution, its root the task's directory."""

    def __init__(self, archive: FileArchive) -> None:
        self._archive = archive

    async def has(self, execution: str) -> bool:
        """Whether something is kept of it."""
        return bool(await asyncio.to_thread(self._archive.known, [execution]))

    async def list(
        self, machine: str, directory: str, *, recursive: bool, prefix: str, after: str
    ) -> Sequence[FileInfo]:
        """See api/batch/services.py, Files. All at once: fewer are kept of one execution than are listed at a time."""
        below = f"{directory}/" if directory else ""
        found = await asyncio.to_thread(self._archive.list, machine)
        named = [(file.name.removeprefix(below), file) for file in found if file.name.startswith(below)]
        wanted = [
            _info(name, file)
            for name, file in named
            if name.startswith(prefix) and (recursive or "/" not in name)
        ]
        behind = after.split("/") if after else []
        return sorted((info for info in wanted if _parts(info) > behind), key=_parts)

    async def stat(self, machine: str, path: str) -> FileInfo:
        """See api/batch/services.py, Files."""
        return _info(path, await self._get(machine, path))

    async def read(self, machine: str, path: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """See api/batch/services.py, Files."""
        file = await self._get(machine, path)
        if file.data is None:
            raise FileNotKept("The node has gone, and the file was too large to be kept.")
        wanted = file.data[offset : offset + length]
        for start in range(0, len(wanted), _PIECE):
            yield wanted[start : start + _PIECE]

    async def delete(self, machine: str, path: str, *, recursive: bool) -> None:
        """See api/batch/services.py, Files."""
        file = await self._get(machine, path)
        others = [] if recursive else await asyncio.to_thread(self._archive.list, machine)
        if file.directory and any(other.name.startswith(f"{path}/") for other in others):
            raise DirectoryNotEmpty(path)
        await asyncio.to_thread(self._archive.remove, machine, path)

    async def _get(self, execution: str, path: str) -> KeptFile:
        found = await asyncio.to_thread(self._archive.get, execution, path)
        if found is None:
            raise FileMissing
        return found


def _parts(info: FileInfo) -> list[str]:
    return info.name.split("/")


def _info(name: str, file: KeptFile) -> FileInfo:
    return FileInfo(name, file.directory, file.size, file.modified_at, file.mode)
