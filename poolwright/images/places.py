"""The directories that disks lie in: the service's own, and one for each storage class that the operator maps.

    <root>/places.json                         every directory that may hold disks, with its mark: path and mark of each
    <directory>/poolwright-<tag>/place.json    the mark; without it the file system that was here is not mounted
    <directory>/poolwright-<tag>/{disks,content,tmp}   as in the service's own tree (layout.py)
    <directory>/poolwright-<tag>/nodes                 disks of nodes, which the host agent makes and removes

A disk is looked for in all of them, so a mapping that changes later leaves it where it is. A directory stays recorded
as long as it holds anything. The mark is what tells an unmounted file system from an empty one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from poolwright.images.base import DiskAway, DiskName, PlaceAway, PlaceUnusable
from poolwright.images.layout import DiskDirectory
from poolwright.images.sparse import sync_directory

RECORD = "places.json"
MARK = "place.json"
NODES = "nodes"


@dataclass(frozen=True, slots=True)
class Place:
    """One directory besides the service's own. `home` is the part of it that is ours."""

    tree: DiskDirectory
    mark: str

    @property
    def home(self) -> Path:
        return self.tree.root

    @property
    def shown(self) -> str:
        """The directory as the operator named it."""
        return str(self.home.parent)

    def there(self) -> bool:
        """Whether its file system is mounted; read anew each time."""
        return _mark(self.home) == self.mark


class Places:
    """Where disks are, and where new ones of a class go."""

    def __init__(self, main: DiskDirectory, others: Iterable[Place], classes: Mapping[str, Place]) -> None:
        self.main = main
        self.others = tuple(others)
        self._classes = dict(classes)

    def home(self, name: DiskName) -> DiskDirectory:
        """The tree that has the disk, the service's own when none has. Raises DiskAway while one is not there."""
        if self.main.exists(name):
            return self.main
        away = None
        for place in self.others:
            if not place.there():
                away = place
            elif place.tree.exists(name):
                return place.tree
        if away is not None:
            raise DiskAway(name, away.shown)
        return self.main

    def target(self, storage: str | None) -> DiskDirectory:
        """The tree for new disks of a class. Raises PlaceAway."""
        place = self._classes.get(storage or "")
        if place is None:
            return self.main
        if not place.there():
            raise PlaceAway(place.shown)
        return place.tree

    def nodes(self, storage: str) -> Path:
        """The directory for disks of nodes of a mapped class; the image plane leaves what is in it alone."""
        return self._classes[storage].home / NODES

    def present(self) -> list[DiskDirectory]:
        """Every tree that is there now."""
        return [self.main, *(place.tree for place in self.others if place.there())]

    def all(self) -> list[DiskDirectory]:
        """Every tree. Raises PlaceAway when one is not there."""
        for place in self.others:
            if not place.there():
                raise PlaceAway(place.shown)
        return [self.main, *(place.tree for place in self.others)]


def open_places(main: DiskDirectory, classes: Mapping[str, Path], lock_timeout_s: float) -> Places:
    """Take the mapped directories into use, and know those of earlier mappings. Raises PlaceUnusable."""
    known = _read(main.root / RECORD)
    mapped: dict[str, Path] = {}
    for name, directory in classes.items():
        home = next((path for path in known if path.parent == directory), None)
        mapped[name] = home or directory / f"poolwright-{_tag(main.root)}"
        _check(name, directory)
        if mapped[name] not in known:
            known[mapped[name]] = _begin(mapped[name])
            _write(main.root / RECORD, known)
        elif _mark(mapped[name]) != known[mapped[name]]:
            reason = (
                f"it does not hold the disks that were kept in {mapped[name]}: is its file system mounted?"
            )
            raise PlaceUnusable(name, directory, reason)
    places = {}
    for home, mark in list(known.items()):
        place = Place(DiskDirectory(home, lock_timeout_s=lock_timeout_s, make=_mark(home) == mark), mark)
        if home not in mapped.values() and place.there() and _empty(home):
            del known[home]
            _write(main.root / RECORD, known)
            _give_up(home)
            continue
        places[home] = place
    for home in mapped.values():
        (home / NODES).mkdir(mode=0o700, exist_ok=True)
    return Places(main, places.values(), {name: places[home] for name, home in mapped.items()})


def _tag(root: Path) -> str:
    return hashlib.sha256(str(root).encode()).hexdigest()[:8]


def _check(name: str, directory: Path) -> None:
    try:
        if not directory.is_dir():
            raise PlaceUnusable(name, directory, "there is no such directory")
        with tempfile.TemporaryFile(
            dir=directory
        ):  # what permissions say is not all: it may be mounted read-only
            pass
    except OSError as error:
        raise PlaceUnusable(name, directory, f"it cannot be written: {error.strerror}") from error


def _begin(home: Path) -> str:
    """Mark a directory as ours, before it is recorded; one that a killed start marked keeps its mark."""
    home.mkdir(mode=0o700, exist_ok=True)
    mark = _mark(home)
    if mark is None:
        mark = secrets.token_hex(16)
        _replace(home / MARK, {"mark": mark})
        sync_directory(home.parent)
    return mark


def _empty(home: Path) -> bool:
    return not any(
        entry.name != MARK and (not entry.is_dir() or any(entry.iterdir())) for entry in home.iterdir()
    )


def _give_up(home: Path) -> None:
    """Leave a directory that nothing maps and that holds nothing any more; what a kill leaves of it is empty."""
    for entry in home.iterdir():
        if entry.name != MARK:
            entry.rmdir()
    (home / MARK).unlink()
    home.rmdir()


def _mark(home: Path) -> str | None:
    try:
        return str(json.loads((home / MARK).read_text())["mark"])
    except (OSError, ValueError, KeyError):
        return None


def _read(record: Path) -> dict[Path, str]:
    try:
        found = json.loads(record.read_text())
    except FileNotFoundError:
        return {}
    return {Path(entry["path"]): str(entry["mark"]) for entry in found}


def _write(record: Path, known: Mapping[Path, str]) -> None:
    _replace(record, [{"path": str(path), "mark": mark} for path, mark in known.items()])


def _replace(path: Path, value: object) -> None:
    """Write a JSON file so that it is there whole or as it was, after power is lost too."""
    temp = path.with_name(path.name + ".new")
    with open(temp, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temp, path)
    sync_directory(path.parent)
