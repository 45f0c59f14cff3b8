"""What this host has for containers: the runtime that nodes are lent, and the store of unpacked images.

An image is kept while a machine's directory has a mark of it (transfer/images.py), and some minutes longer, so that one
pool after another finds it there. What has no mark then is removed.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from poolwright.decide.room import reserve
from poolwright.domain.clock import SECOND, Clock, Instant, Micros
from poolwright.domain.containers import read_image_name
from poolwright.domain.facts import DirtyKey
from poolwright.reconcile.containers import ContainerHost
from poolwright.serve.kits import BroughtRuntime
from poolwright.serve.options import Options
from poolwright.store.base import Tx
from poolwright.transfer.images import locked, progress

_COLLECT_PERIOD: Micros = 600 * SECOND
KEPT_S = 1800.0  # an image that nobody has any more, since it was last shown to a machine
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
        self._clock, self._count = clock, count
        self._sizes: dict[str, int] = {}
        self.runtime = BroughtRuntime(data_dir, cache)
        self._collected_at: Instant = 0

    @property
    def host(self) -> ContainerHost:
        """For the loops."""
        disk = os.statvfs(self._nodes.parent)
        kept = reserve(disk.f_blocks * disk.f_frsize, self._reserve_mib)
        return ContainerHost(self.runtime, str(self._folder), kept, self._count, self._progress)

    def _progress(self, image: str) -> tuple[int, int] | None:
        return progress(self._folder, read_image_name(image))

    @property
    def sizes(self) -> tuple[int, int]:
        """How many unpacked images there are, and the bytes of their files."""
        there = {image.name: image for image in _entries(self._folder / "images")}
        known = {name: size for name, size in self._sizes.items() if name in there}
        known |= {name: _size(image) for name, image in there.items() if name not in known}
        self._sizes = known
        return len(known), sum(known.values())

    def keys(self, _: Tx) -> list[DirtyKey]:
        """What the periodic pass adds."""
        due = self._clock.now() - self._collected_at >= _COLLECT_PERIOD
        return [ALL] if due else []

    async def collect(self, _: DirtyKey, /) -> Instant | None:
        """Remove images that no machine has."""
        self._collected_at = self._clock.now()
        await asyncio.to_thread(collect, self._folder, self._nodes, KEPT_S)
        return None

    async def close(self) -> None:
        """End what is under way."""
        await self.runtime.close()


def collect(folder: Path, nodes: Path, kept_s: float) -> list[str]:
    """Remove the images below `folder` that no machine below `nodes` has a mark of and none was shown for so many
    seconds; returns their names."""
    gone = []
    for image in _entries(folder / "images"):
        if _is_due(image, nodes, kept_s):
            with locked(folder, image.name) as work:
                # Once more, now that nobody can be about to show it: a mark is made before the lock is taken.
                if _is_due(image, nodes, kept_s):
                    image.rename(work / "image")
                    gone.append(image.name)
    for left in _entries(folder / "tmp"):
        if left.is_dir() and _age(left) > kept_s:
            with locked(folder, left.name):
                continue  # of a process that was killed: the lock removes it
    return gone


def _is_due(image: Path, nodes: Path, kept_s: float) -> bool:
    marked = any(os.path.lexists(machine / "images" / image.name) for machine in _entries(nodes))
    return not marked and image.exists() and _age(image) > kept_s


def _size(image: Path) -> int:
    try:
        return int(json.loads((image / "config.json").read_text()).get("bytes") or 0)
    except (OSError, ValueError):
        return 0


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
