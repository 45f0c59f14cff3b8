"""The footer of a VHD ("Virtual Hard Disk Image Format Specification", Microsoft, 2006, "Hard Disk Footer Format").

A fixed VHD is the raw bytes of the disk and then this footer; dynamic ones begin with a copy of it. All numbers are
big-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

FOOTER_BYTES = 512
COOKIE = b"conectix"
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
_LAYOUT = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427x")
_CHECKSUM_AT = 64
_RESERVED_FEATURE = 2
_VERSION_1 = 0x0001_0000
_NO_OFFSET = 2**64 - 1
_EPOCH_S = 946_684_800  # 2000-01-01 00:00:00 UTC in Unix time
# Of this creator, readers take the exact size; of those they do not know they compute one from the geometry.
_CREATOR, _CREATOR_OS = b"win ", b"Wi2k"
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Footer:
    """What matters of a footer: kind of disk and its size in bytes."""

    kind: int
    size_bytes: int


def fixed_footer(size_bytes: int, unique_id: UUID, created_s: int) -> bytes:
    """The footer of a fixed disk. `size_bytes` is a multiple of 512, `created_s` Unix time."""
    cylinders, heads, sectors = _geometry(size_bytes // _SECTOR)

    def packed(checksum: int) -> bytes:
        return _LAYOUT.pack(
            COOKIE, _RESERVED_FEATURE, _VERSION_1, _NO_OFFSET, max(0, created_s - _EPOCH_S), _CREATOR, _VERSION_1,
            _CREATOR_OS, size_bytes, size_bytes, cylinders, heads, sectors, FIXED, checksum, unique_id.bytes, 0,
        )  # fmt: skip

    return packed(_checksum(packed(0)))


def parse_footer(data: bytes) -> Footer | None:
    """The footer in 512 bytes; None when they are none, or their checksum is wrong."""
    if len(data) != FOOTER_BYTES or not data.startswith(COOKIE):
        return None
    fields = _LAYOUT.unpack(data)
    bare = data[:_CHECKSUM_AT] + bytes(4) + data[_CHECKSUM_AT + 4 :]
    if fields[14] != _checksum(bare):
        return None
    return Footer(kind=fields[13], size_bytes=fields[9])


def _checksum(footer: bytes) -> int:
    return ~sum(footer) & 0xFFFF_FFFF


def _geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track, as the specification's appendix "CHS Calculation" has them."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        return sectors // 255 // 16, 16, 255
    per_track = 17
    tracks = sectors // per_track
    heads = max(4, (tracks + 1023) // 1024)
    if tracks >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        tracks = sectors // per_track
    if tracks >= heads * 1024:
        per_track, heads = 63, 16
        tracks = sectors // per_track
    return tracks // heads, heads, per_track
