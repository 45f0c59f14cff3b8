"""What this host has for containers: the runtime that nodes are lent, and the store of unpacked images.

An image stays while a machine has it, and afterwards as long as there is room (transfer/image_store.py), so that one
pool after another finds it there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from poolwright.decide.room import MIB, reserve
from poolwright.domain.clock import SECOND, Clock, Instant, Micros
from poolwright.domain.containers import read_image_name
from poolwright.domain.facts import DirtyKey
from poolwright.reconcile.containers import ContainerHost
from poolwright.serve.kits import BroughtRuntime
from poolwright.serve.options import Options
from poolwright.store.base import Tx
from poolwright.transfer.image_store import ImageStore

_COLLECT_PERIOD: Micros = 600 * SECOND
ALL = DirtyKey("containers", "", "all")


class ContainerImages:
    """Those of one data directory; `cache` is that of base images."""

    def __init__(
        self, options: Options, cache: Path, clock: Clock, count: Callable[[str, int, float], None]
    ) -> None:
        """`count`: see ContainerHost."""
        data_dir = options.data_dir
        self._reserve_mib = options.reserve_disk_mib
        self._folder, self._nodes = (data_dir / "containers").absolute(), data_dir / "nodes"
        self._bound = options.container_images_mib * MIB
        self._clock, self._count = clock, count
        self.runtime = BroughtRuntime(data_dir, cache)
        self._collected_at: Instant = 0

    @property
    def host(self) -> ContainerHost:
        """For the loops."""
        store = self._store()
        return ContainerHost(
            self.runtime, str(self._folder), store.bound, store.kept_free, self._count, self._progress
        )

    def _store(self) -> ImageStore:
        disk = os.statvfs(self._nodes.parent)
        kept = reserve(disk.f_blocks * disk.f_frsize, self._reserve_mib)
        return ImageStore(self._folder, self._nodes, self._bound, kept)

    def _progress(self, image: str) -> tuple[int, int] | None:
        return self._store().progress(read_image_name(image))

    @property
    def sizes(self) -> tuple[int, int]:
        """How many unpacked images there are, and what their layers take of the disk."""
        store = self._store()
        return len(store.images()), store.used()

    def keys(self, _: Tx) -> list[DirtyKey]:
        """What the periodic pass adds."""
        due = self._clock.now() - self._collected_at >= _COLLECT_PERIOD
        return [ALL] if due else []

    async def collect(self, _: DirtyKey, /) -> Instant | None:
        """Remove images that no machine has where there are too many, or the disk is almost as full as it may be."""
        self._collected_at = self._clock.now()
        store = self._store()
        await asyncio.to_thread(store.collect, store.kept_free)
        return None

    async def close(self) -> None:
        """End what is under way."""
        await self.runtime.close()
