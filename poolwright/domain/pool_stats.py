"""What a pool came to since it was made: sums and peaks over its samples, grown with each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from poolwright.domain.autoscale import Sample
from poolwright.domain.clock import Instant, Micros
from poolwright.domain.limits import SAMPLE_PERIOD


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Numbers are 0 or more. Memory and disk are those of an average node of a sample: in MiB and GiB; `cpu` is the
    share of its cores, 0 to 1. `measured` counts the samples in which nodes told what they use."""

    last_at: Instant = 0
    core_time: Micros = 0  # of dedicated nodes
    measured: int = 0
    cpu: float = 0.0  # summed over measured samples, as are memory and disk
    memory: float = 0.0
    memory_peak: float = 0.0
    disk: float = 0.0
    disk_peak: float = 0.0
    reads: float = 0.0  # calls and bytes of all nodes together
    writes: float = 0.0
    read_bytes: float = 0.0
    written_bytes: float = 0.0
    received: float = 0.0
    sent: float = 0.0

    def average(self, total: float) -> float:
        """Of a sum over measured samples."""
        return total / self.measured if self.measured else 0.0


def grown(stats: PoolStats, sample: Sample, cores: int) -> PoolStats:
    """The statistics with one more sample, of nodes with so many `cores`; a sample that is in them changes nothing."""
    if sample.at <= stats.last_at:
        return stats
    told = sample.metrics
    dedicated = told.get("CurrentDedicatedNodes", 0.0)
    stats = replace(
        stats, last_at=sample.at, core_time=stats.core_time + int(dedicated * cores * SAMPLE_PERIOD)
    )
    if "CPUPercent" not in told:
        return stats
    memory, disk = told["MemoryBytes"], told["DiskBytes"]
    return replace(
        stats,
        measured=stats.measured + 1,
        cpu=stats.cpu + told["CPUPercent"],
        memory=stats.memory + memory,
        memory_peak=max(stats.memory_peak, memory),
        disk=stats.disk + disk,
        disk_peak=max(stats.disk_peak, disk),
        reads=stats.reads + told["DiskReadOps"],
        writes=stats.writes + told["DiskWriteOps"],
        read_bytes=stats.read_bytes + told["DiskReadBytes"],
        written_bytes=stats.written_bytes + told["DiskWriteBytes"],
        received=stats.received + told["NetworkInBytes"],
        sent=stats.sent + told["NetworkOutBytes"],
    )
