"""Where the disks of a pool's machines come from, as the loops see it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from poolwright.decide.snapshot import ImageMissing, ImagePreparing
from poolwright.domain.pool import Pool
from poolwright.engines.base import DiskMount
from poolwright.store.base import Tx


@dataclass(frozen=True, slots=True)
class DiskSet:
    """Disks that exist and are frozen. `os` is a capability word of engines, e.g. "linux"."""

    os_path: str
    data: tuple[DiskMount, ...] = ()
    os: str = "linux"
    os_volume: tuple[int, int] = (0, 0)  # bytes: offset and size of the root's partition; size 0: whole disk
    made: bool = True  # False: this host cannot make the disks; only a simulated machine does without
    image: str = ""  # as `Node.image`

    def os_bytes(self) -> int:
        """Size of the OS disk; 0 where there is no file of it."""
        try:
            return os.stat(self.os_path).st_size
        except OSError:
            return 0


class ImageSource(Protocol):
    """Resolves a pool's image reference to disks."""

    def disks_for(self, tx: Tx, pool: Pool) -> DiskSet | ImagePreparing | ImageMissing:
        """The disks, or why there are none (yet). Never blocks, has no effect."""
        ...

    def disks_of(self, tx: Tx, image: str) -> DiskSet | None:
        """The disks of what a node was made from (`Node.image`); None when they are not there. Never blocks."""
        ...

    def prepare(self, pool: Pool) -> None:
        """See that the disks get made (a marketplace image not built yet). Returns at once; may be called again."""
        ...
