"""The index of this service's own blob storage: a database of its own beside the store.

Contents are files (serve/blob_files.py); a blob is a list of them. A file that nothing names any more is written down
as waste in the transaction that let it go, and is removed after it; a file that nothing ever named is found at a start.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from poolwright.domain.blobs import (
    UNCOMMITTED_LIFE,
    UNCOMMITTED_MAX,
    Blob,
    BlobKey,
    BlobRefused,
    Container,
    Judge,
    Listing,
    Page,
    Pairs,
    Piece,
)
from poolwright.domain.clock import Instant
from poolwright.store.connection import changing, connect

_SCHEMA = """
CREATE TABLE IF NOT EXISTS container (
  room TEXT NOT NULL, name TEXT NOT NULL, tag INTEGER NOT NULL, modified_at INTEGER NOT NULL, metadata TEXT NOT NULL,
  PRIMARY KEY (room, name)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blob (
  room TEXT NOT NULL, container TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, md5 BLOB,
  settings TEXT NOT NULL, metadata TEXT NOT NULL, tag INTEGER NOT NULL, created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL, PRIMARY KEY (room, container, name),
  FOREIGN KEY (room, container) REFERENCES container (room, name) ON DELETE CASCADE) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS piece (
  room TEXT NOT NULL, container TEXT NOT NULL, blob TEXT NOT NULL, place INTEGER NOT NULL, file TEXT NOT NULL,
  size INTEGER NOT NULL, block BLOB NOT NULL, PRIMARY KEY (room, container, blob, place)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
  room TEXT NOT NULL, container TEXT NOT NULL, blob TEXT NOT NULL, block BLOB NOT NULL, file TEXT NOT NULL,
  size INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (room, container, blob, block)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waste (file TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS piece_file ON piece (file);
CREATE INDEX IF NOT EXISTS waiting_file ON waiting (file);
CREATE INDEX IF NOT EXISTS waiting_at ON waiting (at);
INSERT OR IGNORE INTO tag VALUES (1, 0);
"""
_LAST = "\U0010ffff"  # behind every character that names are made of
#: What lets go of files, by how much of a room goes.
_EMPTY = {
    "room": (
        "DELETE FROM piece WHERE room = ? RETURNING file",
        "DELETE FROM waiting WHERE room = ? RETURNING file",
    ),
    "container": (
        "DELETE FROM piece WHERE room = ? AND container = ? RETURNING file",
        "DELETE FROM waiting WHERE room = ? AND container = ? RETURNING file",
    ),
    "blob": (
        "DELETE FROM piece WHERE room = ? AND container = ? AND blob = ? RETURNING file",
        "DELETE FROM waiting WHERE room = ? AND container = ? AND blob = ? RETURNING file",
    ),
}
_Key = tuple[str, str, str]


class SqliteBlobIndex:
    """See domain/blobs.py, BlobIndex. Safe to use from several threads; a call may wait for the disk. Raises
    sqlite3.Error beside what the contract says."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = connect(path)
        self._db.executescript(_SCHEMA)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give back the file."""
        with self._lock:
            self._db.close()

    def containers(self, room: str, prefix: str, after: str, limit: int) -> list[Container]:
        query = """SELECT name, tag, modified_at, metadata FROM container
            WHERE room = ? AND name > ? AND name >= ? AND name < ? ORDER BY name LIMIT ?"""
        with self._lock:
            rows = self._db.execute(query, (room, after, prefix, prefix + _LAST, limit)).fetchall()
        return [_container(row) for row in rows]

    def container(self, room: str, name: str) -> Container:
        with self._lock:
            return self._container(room, name)

    def create_container(self, room: str, name: str, metadata: Pairs, now: Instant) -> Container:
        with changing(self._db, self._lock) as db:
            made = Container(name, self._tag(), now, metadata)
            query = "INSERT OR IGNORE INTO container VALUES (?, ?, ?, ?, ?)"
            if not db.execute(query, (room, name, made.tag, now, json.dumps(metadata))).rowcount:
                raise BlobRefused(409, "ContainerAlreadyExists", "The specified container already exists.")
        return made

    def describe_container(self, room: str, name: str, metadata: Pairs, now: Instant) -> Container:
        with changing(self._db, self._lock) as db:
            self._container(room, name)
            changed = Container(name, self._tag(), now, metadata)
            query = "UPDATE container SET tag = ?, modified_at = ?, metadata = ? WHERE room = ? AND name = ?"
            db.execute(query, (changed.tag, now, json.dumps(metadata), room, name))
        return changed

    def delete_container(self, room: str, name: str) -> None:
        with changing(self._db, self._lock) as db:
            self._container(room, name)
            self._empty("container", (room, name))
            db.execute("DELETE FROM container WHERE room = ? AND name = ?", (room, name))

    def keep_rooms(self, rooms: Iterable[str]) -> None:
        """What belongs to no storage account any more goes."""
        known = json.dumps(list(rooms))
        with changing(self._db, self._lock) as db:
            query = "SELECT DISTINCT room FROM container WHERE room NOT IN (SELECT value FROM json_each(?))"
            for (room,) in db.execute(query, (known,)).fetchall():
                self._empty("room", (room,))
                db.execute("DELETE FROM container WHERE room = ?", (room,))

    def blob(self, key: BlobKey) -> tuple[Blob, tuple[Piece, ...]]:
        with self._lock:
            found = self._blob(key)
            if found is None:
                raise BlobRefused(404, "BlobNotFound", "The specified blob does not exist.")
            return found, self._pieces(key)

    def put(self, key: BlobKey, blob: Blob, pieces: Sequence[Piece], judge: Judge, now: Instant) -> Blob:
        with changing(self._db, self._lock):
            return self._put(key, blob, pieces, judge, now)

    def describe(self, key: BlobKey, changed: Callable[[Blob], Blob], judge: Judge, now: Instant) -> Blob:
        with changing(self._db, self._lock):
            existing = self._blob(key)
            if existing is None:
                raise BlobRefused(404, "BlobNotFound", "The specified blob does not exist.")
            judge(existing)
            written = replace(changed(existing), tag=self._tag(), modified_at=now)
            self._write(key, written)
            return written

    def delete(self, key: BlobKey, judge: Judge) -> None:
        with changing(self._db, self._lock) as db:
            existing = self._blob(key)
            if existing is None:
                raise BlobRefused(404, "BlobNotFound", "The specified blob does not exist.")
            judge(existing)
            self._empty("blob", _key(key))
            db.execute("DELETE FROM blob WHERE room = ? AND container = ? AND name = ?", _key(key))

    def put_block(self, key: BlobKey, piece: Piece, now: Instant) -> None:
        with changing(self._db, self._lock) as db:
            self._container(key.room, key.container)
            query = "SELECT count(*) FROM waiting WHERE room = ? AND container = ? AND blob = ?"
            many = db.execute(query, _key(key)).fetchone()[0]
            if many >= UNCOMMITTED_MAX:
                text = f"The blob has {UNCOMMITTED_MAX} uncommitted blocks already."
                raise BlobRefused(409, "BlockCountExceedsLimit", text)
            where = (*_key(key), piece.block)
            query = "SELECT file FROM waiting WHERE room = ? AND container = ? AND blob = ? AND block = ?"
            former = db.execute(query, where).fetchone()
            query = "INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?)"
            db.execute(query, (*_key(key), piece.block, piece.file, piece.size, now))
            self._waste([former[0]] if former else [])

    def blocks(self, key: BlobKey) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        with self._lock:
            self._container(key.room, key.container)
            return self._pieces(key), tuple(self._waiting(key).values())

    def commit(
        self, key: BlobKey, blob: Blob, wanted: Sequence[tuple[str, bytes]], judge: Judge, now: Instant
    ) -> Blob:
        with changing(self._db, self._lock):
            self._container(key.room, key.container)
            waiting = self._waiting(key)
            committed = {piece.block: piece for piece in self._pieces(key)}
            sources = {
                "uncommitted": (waiting,),
                "committed": (committed,),
                "latest": (waiting, committed),
            }
            pieces = []
            for kind, block in wanted:
                found = next((known[block] for known in sources[kind] if block in known), None)
                if found is None:
                    raise BlobRefused(400, "InvalidBlockList", "The specified block list is invalid.")
                pieces.append(found)
            whole = replace(blob, size=sum(piece.size for piece in pieces))
            return self._put(key, whole, pieces, judge, now)

    def page(self, room: str, container: str, listing: Listing) -> Page:
        blobs: list[Blob] = []
        prefixes: list[str] = []
        after, prefix = listing.after, listing.prefix
        query = """SELECT name, size, md5, settings, metadata, tag, created_at, modified_at FROM blob
            WHERE room = ? AND container = ? AND name > ? AND name >= ? AND name < ?
            ORDER BY name LIMIT ?"""
        with self._lock:
            self._container(room, container)
            while True:
                room_left = listing.limit - len(blobs) - len(prefixes)
                # One more than fits tells whether there is more.
                where = (room, container, after, prefix, prefix + _LAST, room_left + 1)
                rows = self._db.execute(query, where).fetchall()
                skipped = False
                for row in rows:
                    if len(blobs) + len(prefixes) == listing.limit:
                        return Page(tuple(blobs), tuple(prefixes), after)
                    name = str(row[0])
                    cut = name.find(listing.delimiter, len(prefix)) if listing.delimiter else -1
                    if cut >= 0:
                        prefixes.append(name[: cut + len(listing.delimiter)])
                        after, skipped = prefixes[-1] + _LAST, True
                        break
                    blobs.append(_read(row))
                    after = name
                if not skipped:
                    return Page(tuple(blobs), tuple(prefixes), None)

    def expire(self, now: Instant) -> None:
        """Blocks that nobody committed in time go."""
        with changing(self._db, self._lock) as db:
            query = "DELETE FROM waiting WHERE at < ? RETURNING file"
            self._waste(row[0] for row in db.execute(query, (now - UNCOMMITTED_LIFE,)).fetchall())

    def waste(self, limit: int) -> list[str]:
        """Files to remove."""
        with self._lock:
            return [row[0] for row in self._db.execute("SELECT file FROM waste LIMIT ?", (limit,))]

    def removed(self, files: Sequence[str]) -> None:
        """These are no more."""
        with changing(self._db, self._lock) as db:
            db.execute(
                "DELETE FROM waste WHERE file IN (SELECT value FROM json_each(?))", (json.dumps(list(files)),)
            )

    def is_known(self, file: str) -> bool:
        """Whether a blob or a block has this file."""
        with self._lock:
            return self._is_used(file)

    def _put(self, key: BlobKey, blob: Blob, pieces: Sequence[Piece], judge: Judge, now: Instant) -> Blob:
        self._container(key.room, key.container)
        existing = self._blob(key)
        judge(existing)
        created = now if existing is None else existing.created_at
        written = replace(blob, tag=self._tag(), created_at=created, modified_at=now)
        self._empty("blob", _key(key), keep={piece.file for piece in pieces})
        rows = [(*_key(key), place, one.file, one.size, one.block) for place, one in enumerate(pieces)]
        self._db.executemany("INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._write(key, written)
        return written

    def _write(self, key: BlobKey, blob: Blob) -> None:
        texts = (json.dumps(blob.settings), json.dumps(blob.metadata))
        row = (blob.size, blob.md5, *texts, blob.tag, blob.created_at, blob.modified_at)
        self._db.execute(
            "INSERT OR REPLACE INTO blob VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*_key(key), *row)
        )

    def _empty(self, what: str, values: tuple[str, ...], keep: set[str] | None = None) -> None:
        """Files of blobs and blocks are theirs no more."""
        gone: set[str] = set()
        for statement in _EMPTY[what]:
            gone.update(row[0] for row in self._db.execute(statement, values).fetchall())
        self._waste(gone - (keep or set()))

    def _waste(self, files: Iterable[str]) -> None:
        rows = [(file,) for file in files if not self._is_used(file)]
        self._db.executemany("INSERT OR IGNORE INTO waste VALUES (?)", rows)

    def _is_used(self, file: str) -> bool:
        query = "SELECT 1 FROM piece WHERE file = ? UNION ALL SELECT 1 FROM waiting WHERE file = ? LIMIT 1"
        return self._db.execute(query, (file, file)).fetchone() is not None

    def _container(self, room: str, name: str) -> Container:
        query = "SELECT name, tag, modified_at, metadata FROM container WHERE room = ? AND name = ?"
        row = self._db.execute(query, (room, name)).fetchone()
        if row is None:
            raise BlobRefused(404, "ContainerNotFound", "The specified container does not exist.")
        return _container(row)

    def _blob(self, key: BlobKey) -> Blob | None:
        query = """SELECT name, size, md5, settings, metadata, tag, created_at, modified_at FROM blob
            WHERE room = ? AND container = ? AND name = ?"""
        row = self._db.execute(query, _key(key)).fetchone()
        if row is None:
            self._container(key.room, key.container)
        return None if row is None else _read(row)

    def _pieces(self, key: BlobKey) -> tuple[Piece, ...]:
        query = """SELECT file, size, block FROM piece WHERE room = ? AND container = ? AND blob = ?
            ORDER BY place"""
        return tuple(Piece(*row) for row in self._db.execute(query, _key(key)))

    def _waiting(self, key: BlobKey) -> dict[bytes, Piece]:
        query = """SELECT file, size, block FROM waiting WHERE room = ? AND container = ? AND blob = ?
            ORDER BY block"""
        return {row[2]: Piece(*row) for row in self._db.execute(query, _key(key))}

    def _tag(self) -> int:
        return int(self._db.execute("UPDATE tag SET last = last + 1 RETURNING last").fetchone()[0])


def _key(key: BlobKey) -> _Key:
    return key.room, key.container, key.name


def _pairs(text: str) -> Pairs:
    return tuple((str(name), str(value)) for name, value in json.loads(text))


def _container(row: tuple[str, int, int, str]) -> Container:
    return Container(row[0], row[1], row[2], _pairs(row[3]))


def _read(row: tuple[str, int, bytes | None, str, str, int, int, int]) -> Blob:
    name, size, md5, settings, metadata, tag, created_at, modified_at = row
    return Blob(name, size, md5, _pairs(settings), _pairs(metadata), tag, created_at, modified_at)
