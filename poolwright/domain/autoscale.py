"""Autoscale: what a pool is sized by, the samples its formula looks at, and what the last run came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolwright.domain.clock import Instant, Micros


@dataclass(frozen=True, slots=True)
class Sample:
    """What was counted in one pool at one moment: metric name, as in formulas but without `$`, to its value.

    A metric that nobody measured then is absent.
    """

    at: Instant
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """What one node used lately. `cpu` is a share of its cores (0 to 1), `memory` and `disk` bytes held at `at`, the
    others per second: bytes read and written, calls that did so, bytes received and sent."""

    at: Instant
    cpu: float
    memory: float
    disk: float
    read: float
    written: float
    reads: float
    writes: float
    received: float
    sent: float


@dataclass(frozen=True, slots=True)
class RunError:
    """Why an evaluation failed; `values` hold the place in the formula and the detail."""

    code: str
    message: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AutoscaleRun:
    """One evaluation: its results as the service prints them, and its error if it had one."""

    at: Instant
    results: str
    error: RunError | None = None


@dataclass(frozen=True, slots=True)
class Autoscale:
    """How a pool is sized. Kept when it is switched off, because the spacing of enable requests outlives it."""

    formula: str
    interval: Micros
    due_at: Instant  # the next run; the schedule counts from the request that set the formula or the interval
    enabled: bool = True
    asked_at: Instant | None = None  # the last enable request; None: on since the pool's creation
    run: AutoscaleRun | None = None


@dataclass(frozen=True, slots=True)
class ScaleRequest:
    """What a caller asks of autoscale; None where the caller says nothing."""

    enabled: bool | None = None
    formula: str | None = None
    interval: Micros | None = None


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """Tasks of the jobs bound to a pool, counted now. Active are only those whose job may run tasks."""

    active: int
    running: int
    succeeded: int
    failed: int
    active_slots: int
    running_slots: int
