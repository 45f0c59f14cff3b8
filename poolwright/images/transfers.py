"""How bytes come into the raw image plane and go out of it: imports, and reading and writing ranges of a disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from poolwright.images.base import (
    BASE_PREFIX,
    DiskExists,
    DiskFrozen,
    DiskInfo,
    DiskName,
    check_name,
    check_new_name,
    check_range,
)
from poolwright.images.bases import BaseBuilder
from poolwright.images.formats import fill_from
from poolwright.images.layout import RAW, DiskDirectory, remove_tree
from poolwright.images.places import Places
from poolwright.images.programs import full_disk_errors
from poolwright.images.sparse import punch, sync_file, write_all
from poolwright.images.undo import Undo

StepHook = Callable[[str], None]


class Transfers:
    """The part of the raw image plane (raw.py) that moves bytes; what both parts stand on is here."""

    def __init__(self, places: Places, bases: BaseBuilder, on_step: StepHook) -> None:
        self._places = places
        self.storage: str | None = None
        self._bases = bases
        self._step = on_step

    def get(self, name: DiskName) -> DiskInfo:
        return self._home(check_name(name)).info(name)

    def import_file(self, name: DiskName, source: Path, length: int | None = None) -> DiskInfo:
        check_new_name(name)
        return self._make(name, f"importing {source.name}", partial(_fill_imported, source, length))

    def import_disk(self, name: DiskName, source: DiskName, length: int) -> DiskInfo:
        check_name(source, "source")
        home = self._home(source)
        with home.lock(source):  # writers hold it shared: none is half way through
            return self.import_file(name, home.raw(source), length)

    def read(self, name: DiskName, offset: int, length: int) -> bytes:
        with open(self.get(name).path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), length, offset)

    def write(self, name: DiskName, offset: int, data: bytes) -> None:
        with self._writing(name, offset, len(data)) as fd:
            write_all(fd, data, offset)

    def clear(self, name: DiskName, offset: int, length: int) -> None:
        with self._writing(name, offset, length) as fd:
            punch(fd, offset, length)

    @contextmanager
    def _writing(self, name: DiskName, offset: int, length: int) -> Iterator[int]:
        with self._home(check_name(name)).lock(name, shared=True):
            info = self._writable(name, "write")
            check_range(info.size_bytes, offset, length)
            with full_disk_errors(f"writing disk {name}", info.path):
                fd = os.open(info.path, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    yield fd
                    os.fdatasync(fd)
                finally:
                    os.close(fd)

    def _home(self, name: DiskName) -> DiskDirectory:
        """The tree a disk lives in: base disks may be in a shared cache."""
        return self._bases.directory if name.startswith(BASE_PREFIX) else self._places.home(name)

    def _writable(self, name: DiskName, wanted: str) -> DiskInfo:
        info = self._home(name).info(name)
        if info.frozen:
            raise DiskFrozen(name, wanted)
        return info

    def _make(self, name: DiskName, doing: str, fill: Callable[[Path], None]) -> DiskInfo:
        """``fill`` writes the raw file, and what belongs beside it, into a directory that appears whole."""
        home = self._places.target(self.storage)
        if any(tree.exists(name) for tree in self._places.present()):
            raise DiskExists(name)
        with Undo() as undo, full_disk_errors(doing, home.root):
            temp = home.make_temp(name)
            undo.push("remove the half-made disk", partial(remove_tree, temp))
            self._step("make:begun")
            fill(temp / RAW)
            self._step("make:filled")
            home.publish(temp, name)
            undo.commit()
            self._step("make:published")
        return home.info(name)


def _fill_imported(source: Path, length: int | None, target: Path) -> None:
    size = source.stat().st_size
    fill_from(source, target, size if length is None else min(length, size))
    sync_file(target)
