"""Programs of the host's own release that tests run: unpacked once into `.dev/cache` and kept; nothing is installed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from poolwright.images.osrelease import parse_os_release
from poolwright.images.rootfs import Build, HostRootfs

CACHE = Path(__file__).parents[2] / ".dev" / "cache"


def unpacked(
    name: str, packages: Sequence[str], finish: Callable[[Path], object], cache: Path = CACHE
) -> Path:
    """The folder `name` of the cache, which `finish` makes of a work folder with the packages in `rootfs`.

    Workers that want it at the same time make it once.
    """
    kept = cache / name
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            work = Path(tempfile.mkdtemp(dir=cache))
            _extract(work, packages)
            finish(work)
            work.chmod(0o755)
            work.rename(kept)
    return kept


def _extract(work: Path, packages: Sequence[str]) -> None:
    release = parse_os_release(Path("/etc/os-release").read_text())
    assert release is not None
    lock = os.open(work / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        HostRootfs(release).extract(work, Build(lambda *_: None, lock, threading.Event()), tuple(packages))
    except BaseException:
        shutil.rmtree(work)
        raise
    finally:
        os.close(lock)
