"""How tasks of simulated nodes go: nothing runs, and they end with 0 after a second unless their environment says so.

POOLWRIGHT_SIMULATED_SECONDS     how long, 0 to 86400 with decimals
POOLWRIGHT_SIMULATED_EXIT_CODE   how it ends, 0 to 255
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poolwright.domain.clock import DAY, SECOND, Micros
from poolwright.domain.limits import SIMULATED_TASK

SECONDS = "POOLWRIGHT_SIMULATED_SECONDS"
EXIT_CODE = "POOLWRIGHT_SIMULATED_EXIT_CODE"
_CODE_MAX = 255


def answer(spec: Mapping[str, Any]) -> tuple[Micros, int]:
    """(how long, exit code) of an execution. ValueError, with the variable's name, for one that cannot be read."""
    given = spec.get("env") or {}
    return _duration(given.get(SECONDS)), _exit_code(given.get(EXIT_CODE))


def _duration(text: str | None) -> Micros:
    if text is None:
        return SIMULATED_TASK
    try:
        duration = int(float(text) * SECOND)
    except (ValueError, OverflowError):
        duration = -1
    if not 0 <= duration <= DAY:
        raise ValueError(f"{SECONDS}={text[:100]!r}: a number of seconds from 0 to {DAY // SECOND} is needed")
    return duration


def _exit_code(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= _CODE_MAX):
        raise ValueError(f"{EXIT_CODE}={text[:100]!r}: a whole number from 0 to {_CODE_MAX} is needed")
    return int(text)
