"""Instants as Resource Manager writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from poolwright.domain.clock import SECOND, Instant


def shown(at: Instant) -> str:
    """ISO 8601 with seven digits and an explicit offset, as in `2024-05-01T10:00:00.1234560+00:00`."""
    moment = datetime.fromtimestamp(at // SECOND, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % SECOND:06d}0+00:00"
