"""Virtual machine sizes: names clients know, and the cores and memory they stand for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """One VM size. Memory and disks in MiB."""

    name: str
    cores: int
    memory_mib: int
    temp_disk_mib: int = 16_384
    max_data_disks: int = 64


def _family(pattern: str, rows: tuple[tuple[int, int], ...]) -> list[Size]:
    return [Size(pattern.format(cores), cores, gib * 1024) for cores, gib in rows]


#: Names and shapes as published; a size is an upper bound for a node here, not a purchase.
SIZES: dict[str, Size] = {
    size.name.lower(): size
    for size in [
        Size("Standard_A1_v2", 1, 2048),
        Size("Standard_A2_v2", 2, 4096),
        Size("Standard_A4_v2", 4, 8192),
        Size("Standard_A8_v2", 8, 16384),
        Size("Standard_D1_v2", 1, 3584),
        Size("Standard_D2_v2", 2, 7168),
        Size("Standard_D3_v2", 4, 14336),
        Size("Standard_D4_v2", 8, 28672),
        Size("Standard_B1s", 1, 1024),
        Size("Standard_B2s", 2, 4096),
        Size("Standard_F1", 1, 2048),
        *_family("Standard_D{}_v3", ((2, 8), (4, 16), (8, 32), (16, 64), (32, 128), (64, 256))),
        *_family("Standard_D{}s_v3", ((2, 8), (4, 16), (8, 32), (16, 64), (32, 128), (64, 256))),
        *_family("Standard_D{}s_v5", ((2, 8), (4, 16), (8, 32), (16, 64), (32, 128), (64, 256))),
        *_family("Standard_E{}s_v5", ((2, 16), (4, 32), (8, 64), (16, 128), (32, 256))),
        *_family("Standard_F{}s_v2", ((2, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128))),
    ]
}


def find(name: str) -> Size | None:
    """The size of that name, compared without regard to case."""
    return SIZES.get(name.lower())
