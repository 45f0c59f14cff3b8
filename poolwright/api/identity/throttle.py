"""Slowing down whoever keeps failing to sign in."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

WINDOW_S = 60.0
MAX_FAILURES = 20
"""Failures of one caller within the window: far above any misconfigured retry loop of a person, far below
anything that would fill a log."""
MAX_CALLERS = 4096
"""When more callers fail at once, the one that failed longest ago is forgotten."""


@dataclass(slots=True)
class _Failures:
    count: int
    since_s: float


class FailureThrottle:
    """Counts failures per caller (network address and client id) in fixed windows. Memory is bounded.

    Not thread-safe: used on the event loop only.
    """

    def __init__(self) -> None:
        self._callers: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def retry_after_s(self, caller: tuple[str, str], now_s: float) -> int:
        """Seconds this caller must wait, at least 1; 0 when it may try now."""
        seen = self._callers.get(caller)
        if seen is None or now_s >= seen.since_s + WINDOW_S or seen.count < MAX_FAILURES:
            return 0
        return max(1, int(seen.since_s + WINDOW_S - now_s))

    def failed(self, caller: tuple[str, str], now_s: float) -> None:
        """Record a failure."""
        seen = self._callers.get(caller)
        if seen is None or now_s >= seen.since_s + WINDOW_S:
            self._callers[caller] = _Failures(1, now_s)
        else:
            seen.count += 1
        self._callers.move_to_end(caller)
        while len(self._callers) > MAX_CALLERS:
            self._callers.popitem(last=False)

    def __len__(self) -> int:
        return len(self._callers)
