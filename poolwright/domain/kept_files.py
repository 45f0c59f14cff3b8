"""Files of tasks that are kept when the machine that holds them goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwright.domain.clock import Instant


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file or directory of a task. `name` is relative to the task's directory. `data` is None for a directory, and
    for a file that was too large to be kept."""

    name: str
    directory: bool
    size: int
    modified_at: Instant
    mode: int
    data: bytes | None = field(default=None, repr=False)
