"""The real sources of time, names and chance."""

from __future__ import annotations

import os
import secrets
import time
import uuid
from pathlib import Path

from poolwright.domain.clock import Instant


class SystemClock:
    """The host's clock. Never goes back within a process, so that ETags and histories only grow."""

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> Instant:
        """Microseconds since 1970-01-01 UTC."""
        self._last = max(self._last, time.time_ns() // 1000)
        return self._last


class SystemIds:
    """Names from the host's source of randomness."""

    def uuid(self) -> str:
        """A random UUID."""
        return str(uuid.uuid4())

    def short(self) -> str:
        """Twelve random hexadecimal digits."""
        return secrets.token_hex(6)


def disk_room(path: Path) -> tuple[int, int]:
    """Free and total bytes of the disk that `path` lies on, free for whoever is not its owner. Raises OSError."""
    seen = os.statvfs(path)
    return seen.f_bavail * seen.f_frsize, seen.f_blocks * seen.f_frsize
