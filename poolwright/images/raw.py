"""The image plane on raw sparse files."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from poolwright.domain.compute import Finding
from poolwright.images.base import (
    CatalogueEntry,
    DiskBusy,
    DiskFrozen,
    DiskInfo,
    DiskName,
    DiskNotEmpty,
    DiskNotFound,
    Inspection,
    InvalidDiskArgument,
    MarketplaceImage,
    Progress,
    Recovery,
    Usage,
    check_label,
    check_name,
    check_new_name,
    check_size,
)
from poolwright.images.bases import BaseBuilder, HostBases
from poolwright.images.correct import correct
from poolwright.images.digest import digest_file
from poolwright.images.filesystem import grow_ext, make_ext4
from poolwright.images.inspect import EXT, inspect_disk
from poolwright.images.layout import RAW, SECTOR_BYTES, DiskDirectory, remove_tree, write_record
from poolwright.images.lint import lint
from poolwright.images.places import open_places
from poolwright.images.programs import full_disk_errors
from poolwright.images.sparse import (
    copy_disk,
    grow,
    is_zero,
    link_file,
    make_empty,
    supports_reflinks,
    sync_directory,
    sync_file,
)
from poolwright.images.transfers import StepHook, Transfers
from poolwright.images.undo import Undo

BASE_CACHE_VARIABLE = "POOLWRIGHT_BASE_CACHE"
"""Environment variable with the default of ``base_cache``."""


class RawImagePlane(Transfers):
    """Implements ``base.ImagePlane`` in the directory ``root``.

    ``base_cache`` may be shared by several planes and processes (default: ``root/bases``). ``bases`` replaces what
    builds base disks. ``classes`` maps storage classes to directories of their own (places.py). ``on_step`` is called
    with the name of each step of an operation just after it; tests kill the process there. Raises PlaceUnusable.
    """

    def __init__(
        self,
        root: Path,
        *,
        base_cache: Path | None = None,
        bases: BaseBuilder | None = None,
        classes: Mapping[str, Path] | None = None,
        on_step: StepHook = lambda _: None,
        lock_timeout_s: float = 30.0,
    ) -> None:
        directory = DiskDirectory(root.absolute(), lock_timeout_s=lock_timeout_s)
        cache = base_cache or Path(os.environ.get(BASE_CACHE_VARIABLE) or root / "bases")
        builder = bases or BaseBuilder(
            DiskDirectory(cache.absolute(), lock_timeout_s=lock_timeout_s), HostBases(), on_step
        )
        super().__init__(open_places(directory, classes or {}, lock_timeout_s), builder, on_step)
        self._content_lock = threading.Lock()

    def at(self, storage: str | None) -> RawImagePlane:
        view = copy.copy(self)
        view.storage = storage
        return view

    def node_place(self, storage: str) -> Path:
        """Where disks of nodes go that have a mapped storage class."""
        return self._places.nodes(storage)

    def close(self) -> None:
        self._bases.close()

    def catalogue(self) -> tuple[CatalogueEntry, ...]:
        return self._bases.catalogue()

    def ensure_base(self, image: MarketplaceImage, progress: Progress) -> DiskInfo:
        return self._bases.ensure(image, progress)

    def create_empty(self, name: DiskName, size_bytes: int) -> DiskInfo:
        check_new_name(name)
        check_size(size_bytes)
        return self._make(name, f"creating disk {name}", partial(make_empty, size_bytes=size_bytes))

    def clone(self, source: DiskName, name: DiskName) -> DiskInfo:
        check_name(source, "source")
        check_new_name(name)
        home = self._home(source)
        with home.lock(source, shared=True):
            return self._make(name, f"cloning disk {source}", partial(self._fill_copy, home.raw(source)))

    def snapshot(self, source: DiskName, name: DiskName) -> DiskInfo:
        check_name(source, "source")
        check_new_name(name)
        home = self._home(source)
        with home.lock(source, shared=True):
            known = home.digest(source)
            info = self._make(
                name,
                f"taking a snapshot of disk {source}",
                partial(self._fill_frozen, home, source, known),
            )
        self._share_content(name)
        return self.get(info.name)

    def correct(self, source: DiskName, name: DiskName) -> DiskInfo:
        check_name(source, "source")
        check_new_name(name)
        home = self._home(source)
        with home.lock(source, shared=True):
            return self._make(
                name, f"correcting a copy of disk {source}", partial(self._fill_corrected, home.raw(source))
            )

    def resize(self, name: DiskName, size_bytes: int, *, grow_filesystem: bool = False) -> DiskInfo:
        check_name(name)
        check_size(size_bytes)
        home = self._home(name)
        with home.lock(name):
            info = self._writable(name, "resize")
            if size_bytes < info.size_bytes:
                raise InvalidDiskArgument(
                    "size_bytes", size_bytes, f"the disk has {info.size_bytes} bytes and only grows"
                )
            if grow_filesystem:
                home.refuse_attached(name)
            if grow_filesystem and _fills_disk_with_ext(info.path):
                fill = partial(self._fill_grown, info.path, size_bytes)
                self._rewrite(home, info, f"resizing disk {name}", fill)
            else:
                grow(info.path, size_bytes)
            return home.info(name)

    def format_empty(self, name: DiskName, label: str) -> DiskInfo:
        check_name(name)
        check_label(label)
        home = self._home(name)
        with home.lock(name):
            info = self._writable(name, "format")
            home.refuse_attached(name)
            if not is_zero(info.path):
                raise DiskNotEmpty(name)
            fill = partial(self._fill_formatted, info.size_bytes, label)
            self._rewrite(home, info, f"formatting disk {name}", fill)
            return home.info(name)

    def freeze(self, name: DiskName) -> str:
        check_name(name)
        home = self._home(name)
        with home.lock(name), Undo() as undo:
            digest = home.digest(name)
            if digest is not None:
                return digest
            path = home.raw(name)
            home.refuse_attached(name, writable_only=True)
            undo.push("make the disk writable again", partial(path.chmod, 0o600))
            with full_disk_errors(f"freezing disk {name}", path):
                digest = _seal(path)
                self._step("freeze:sealed")
                write_record(path.parent, {"digest": digest, "format": 1})
            undo.commit()
            self._step("freeze:recorded")
        self._share_content(name)
        return digest

    def inspect(self, name: DiskName) -> Inspection:
        check_name(name)
        home = self._home(name)
        with home.lock(name, shared=True):
            return inspect_disk(home.raw(name))

    def lint(self, name: DiskName) -> tuple[Finding, ...]:
        check_name(name)
        home = self._home(name)
        with home.lock(name, shared=True):
            return lint(home.raw(name), inspect_disk(home.raw(name)))

    def delete(self, name: DiskName, *, missing_ok: bool = False) -> bool:
        check_name(name)
        try:
            home = self._home(name)
            with home.lock(name):
                home.refuse_attached(name)
                digest = home.digest(name)
                rubbish = home.retract(name)
        except DiskNotFound:
            if missing_ok:
                return False
            raise
        self._step("delete:retracted")
        remove_tree(rubbish)
        if digest is not None:
            self._drop_unused_content(home)
        self._step("delete:removed")
        return True

    def list(self) -> tuple[DiskInfo, ...]:
        found = []
        for tree in self._places.all():
            for name in tree.names():
                with suppress(DiskNotFound):  # deleted since the names were read
                    found.append(tree.info(name))
        return tuple(sorted(found, key=lambda info: info.name))

    def path(self, name: DiskName, *, writable: bool = False) -> Path:
        info = self.get(name)
        if writable and info.frozen:
            raise DiskFrozen(name, "open it for writing")
        return info.path

    def usage(self) -> Usage:
        files: dict[tuple[int, int], int] = {}
        disks = self.list()
        for info in disks:
            with suppress(FileNotFoundError):
                status = info.path.stat()
                files[status.st_dev, status.st_ino] = status.st_blocks * SECTOR_BYTES
        room = os.statvfs(self._places.main.root)
        return Usage(
            disks=len(disks),
            size_bytes=sum(info.size_bytes for info in disks),
            allocated_bytes=sum(files.values()),
            free_bytes=room.f_bavail * room.f_frsize,
            total_bytes=room.f_blocks * room.f_frsize,
            reflinks=supports_reflinks(self._places.main.tmp),
        )

    def recover(self) -> Recovery:
        removed = []
        thawed = []
        for tree in self._places.present():
            for entry in sorted(tree.tmp.iterdir()):
                remove_tree(entry)
                removed.append(f"tmp/{entry.name}")
            thawed += [name for name in tree.names() if _thaw_unrecorded(tree, name)]
            removed += self._drop_unused_content(tree)
        removed += self._bases.recover()
        return Recovery(tuple(removed), tuple(thawed))

    def _rewrite(self, home: DiskDirectory, info: DiskInfo, doing: str, fill: Callable[[Path], None]) -> None:
        """Put what ``fill`` writes in the place of a disk's raw file, in one rename; the caller holds the disk."""
        with Undo() as undo, full_disk_errors(doing, info.path):
            temp = home.make_temp(info.name)
            undo.push("remove the temporary file", partial(remove_tree, temp))
            fill(temp / RAW)
            sync_file(temp / RAW)
            self._step("rewrite:made")
            (temp / RAW).rename(info.path)
            sync_directory(info.path.parent)
        self._step("rewrite:published")

    def _fill_formatted(self, size_bytes: int, label: str, target: Path) -> None:
        make_empty(target, size_bytes=size_bytes)
        make_ext4(target, label=label)

    def _fill_grown(self, source: Path, size_bytes: int, target: Path) -> None:
        copy_disk(source, target)
        grow(target, size_bytes)
        grow_ext(target)

    def _fill_copy(self, source: Path, target: Path) -> None:
        copy_disk(source, target)
        self._step("copy:synced")

    def _fill_frozen(
        self, home: DiskDirectory, source: DiskName, known_digest: str | None, target: Path
    ) -> None:
        # Names of one content are counted tree by tree, so files are linked within a tree only.
        linked = known_digest is not None and target.is_relative_to(home.root)
        if not linked or not link_file(home.raw(source), target):
            self._fill_copy(home.raw(source), target)
            digest = _seal(target)
        else:  # frozen content is never written, so another name for it is as good as a copy
            digest = str(known_digest)
        self._step("copy:sealed")
        write_record(target.parent, {"digest": digest, "format": 1})

    def _fill_corrected(self, source: Path, target: Path) -> None:
        self._fill_copy(source, target)
        correct(target)
        digest = _seal(target)
        self._step("copy:sealed")
        write_record(target.parent, {"digest": digest, "format": 1})

    def _share_content(self, name: DiskName) -> None:
        """Let frozen disks of equal content be one file. Only saves space: a kill in between loses nothing."""
        home = self._home(name)
        digest = home.digest(name)
        if digest is None:
            return
        path, shared = home.raw(name), home.content / digest.removeprefix("sha256:")
        with self._content_lock, suppress(DiskNotFound, DiskBusy), home.lock(name, timeout_s=0):
            if not shared.exists():
                os.link(path, shared)
            elif not os.path.samefile(path, shared):
                temp = home.make_temp(name)
                os.link(shared, temp / RAW)
                self._step("share:linked")
                os.rename(temp / RAW, path)
                temp.rmdir()
                sync_directory(path.parent)
        self._step("share:done")

    def _drop_unused_content(self, home: DiskDirectory) -> tuple[str, ...]:
        dropped = []
        with self._content_lock:
            for path in home.content.iterdir():
                if path.lstat().st_nlink == 1:
                    path.unlink()
                    dropped.append(f"content/{path.name}")
        return tuple(dropped)


def _thaw_unrecorded(home: DiskDirectory, name: DiskName) -> bool:
    """A disk sealed without a record was killed half way through freezing: it is still the caller's to write."""
    path = home.raw(name)
    if home.digest(name) is not None or not path.exists() or path.stat().st_mode & 0o200:
        return False
    path.chmod(0o600)
    return True


def _seal(path: Path) -> str:
    """Make the file read-only, sync it and compute its digest."""
    path.chmod(0o444)
    sync_file(path)
    return digest_file(path)


def _fills_disk_with_ext(path: Path) -> bool:
    seen = inspect_disk(path)
    return seen.partition_table is None and seen.filesystem in EXT
