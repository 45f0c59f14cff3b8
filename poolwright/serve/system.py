"""The real sources of time, names and chance."""

from __future__ import annotations

import secrets
import time
import uuid

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
