"""Recorded samples as formulas see them.

The documents say that a sample shows about a minute after it was taken, and also that the usual guard (at least 70 %
of the last 180 seconds) passes in normal operation; a whole minute would leave four samples of six. Here a sample
shows when the next one is taken (30 s), which satisfies every documented formula: five of six, nineteen of twenty.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from poolwright.domain.autoscale import Sample
from poolwright.domain.clock import Instant
from poolwright.domain.limits import SAMPLE_PERIOD

Older = Callable[[], Sequence[Sample]]


class Insufficient(Exception):
    """Fewer samples than the formula insists on; the message has the numbers."""


class History:
    """The samples one evaluation may look at, oldest first."""

    def __init__(
        self,
        samples: Sequence[Sample],
        now: Instant,
        since: Instant = 0,
        older: Older | None = None,
    ) -> None:
        """`samples` are those visible at `now`, in order of time. Where `older` is given they are those from `since`
        on, and it reads all there are: few formulas look back further than an hour."""
        self._now = now
        self._samples = samples
        self._since = since
        self._older = older
        self._series: dict[str, tuple[list[Instant], list[float]]] = {}

    @property
    def now(self) -> Instant:
        return self._now

    def newest(self, metric: str, count: int) -> tuple[float, ...]:
        """Up to `count` newest values of a metric, however old."""
        if len(self._of(metric)[0]) < count:
            self._read_older()
        values = self._of(metric)[1]
        return tuple(values[max(0, len(values) - max(0, count)) :])

    def between(self, metric: str, one: Instant, other: Instant) -> tuple[float, ...]:
        """Values after the earlier and not after the later of two moments."""
        since, until = min(one, other), max(one, other)
        if since < self._since:
            self._read_older()
        times, values = self._of(metric)
        return tuple(values[bisect_right(times, since) : bisect_right(times, until)])

    def percent(self, metric: str, one: Instant, other: Instant) -> float:
        """How many of the samples possible between two moments there are, 0 to 100."""
        possible = abs(one - other) / SAMPLE_PERIOD
        if not possible:
            return 0.0
        return min(100.0, 100.0 * len(self.between(metric, one, other)) / possible)

    def require(self, metric: str, one: Instant, other: Instant, wanted: float) -> tuple[float, ...]:
        """As `between`. Raises Insufficient when fewer than `wanted` percent are there."""
        got = self.percent(metric, one, other)
        if got < wanted:
            text = f"Insufficient data from data set: ${metric} wanted {wanted:g}%, received {got:.3g}%"
            raise Insufficient(text)
        return self.between(metric, one, other)

    def count(self, metric: str) -> int:
        """How many samples of a metric there are."""
        self._read_older()
        return len(self._of(metric)[0])

    def begin(self, metric: str) -> Instant:
        """When the oldest sample was taken. Raises Insufficient when there is none."""
        self._read_older()
        times = self._of(metric)[0]
        if not times:
            raise Insufficient(f"Insufficient data from data set: ${metric} has no samples")
        return times[0]

    def _read_older(self) -> None:
        if self._older is not None:
            self._samples, self._older = self._older(), None
            self._series.clear()

    def _of(self, metric: str) -> tuple[list[Instant], list[float]]:
        if metric not in self._series:
            found = [(s.at, s.metrics[metric]) for s in self._samples if metric in s.metrics]
            self._series[metric] = ([at for at, _ in found], [value for _, value in found])
        return self._series[metric]
