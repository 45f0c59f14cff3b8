"""Auto pools: pools the service makes for a job or a job schedule, and takes away with it."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.autoscale import ScaleRequest
from poolwright.domain.clock import Instant
from poolwright.domain.pool import PoolSpec

#: Whose life an auto pool shares; the words are the wire's.
JOB = "job"
SCHEDULE = "jobschedule"


@dataclass(frozen=True, slots=True)
class AutoPool:
    """What a job asks for instead of naming a pool. `document` is the pool's JSON as the caller gave it."""

    lifetime: str  # JOB | SCHEDULE
    keep_alive: bool
    prefix: str  # "" or at most 20 characters
    spec: PoolSpec
    document: bytes
    target_dedicated: int | None = None
    target_low_priority: int | None = None
    scale: ScaleRequest = ScaleRequest()


@dataclass(frozen=True, slots=True)
class AutoPoolRow:
    """Which job or schedule a pool was made for. The row is written with the pool and goes when the pool is let go."""

    account: str
    pool: str
    owner: str  # JOB | SCHEDULE
    owner_id: str
    keep_alive: bool
    made_at: Instant
