"""What machines use, from the totals that come with their agent's signs of life.

Kept in memory only: after a restart of the service the first samples have a gap, as data sets may.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from poolwright.domain.autoscale import NodeUsage
from poolwright.domain.clock import SECOND, Instant, Micros
from poolwright.domain.limits import SAMPLE_PERIOD

#: A machine tells of itself about twice a minute; what is older says nothing about now.
FRESH: Micros = 2 * SAMPLE_PERIOD
_RATES = ("read", "written", "reads", "writes", "received", "sent")


class UsageBoard:
    """The newest totals of each machine, and what they came to since the ones before."""

    def __init__(self) -> None:
        self._totals: dict[str, tuple[Instant, Mapping[str, int]]] = {}
        self._usage: dict[str, NodeUsage] = {}

    def note(self, beat: Mapping[str, Any], now: Instant) -> None:
        """Take the totals of a sign of life; what is not in form is left out. Forgets machines that fell silent."""
        told = beat.get("usage")
        if not isinstance(told, Mapping):
            return
        for name, totals in told.items():
            try:
                self._machine(str(name), totals, float(beat.get("disk_used", 0)), now)
            except (KeyError, TypeError, ValueError):
                continue
        silent = [name for name, (at, _) in self._totals.items() if at < now - 2 * FRESH]
        for name in silent:
            del self._totals[name]
            self._usage.pop(name, None)

    def of(self, machines: Iterable[str], now: Instant) -> list[NodeUsage]:
        """What these machines used lately; those that have not told twice are left out."""
        found = (self._usage.get(name) for name in machines)
        return [usage for usage in found if usage is not None and usage.at >= now - FRESH]

    def _machine(self, name: str, totals: Mapping[str, int], disk: float, now: Instant) -> None:
        before = self._totals.get(name)
        self._totals[name] = (now, totals)
        if before is None or now <= before[0]:
            return
        seconds = (now - before[0]) / SECOND
        grown = {word: totals[word] - before[1][word] for word in ("cpu_us", *_RATES)}
        if min(grown.values()) < 0:  # another life of the machine
            self._usage.pop(name, None)
            return
        capacity_us = seconds * 1000 * max(1, totals["cores"])  # cores are in thousandths
        cpu = min(1.0, grown.pop("cpu_us") / capacity_us)
        rates = {word: amount / seconds for word, amount in grown.items()}
        self._usage[name] = NodeUsage(now, cpu, float(totals["memory"]), disk, **rates)
