"""Samples of what the nodes of a pool use, in the units the public language documents."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.domain.autoscale import NodeUsage
from poolwright.domain.clock import SECOND
from poolwright.domain.limits import SAMPLE_PERIOD

_MIB, _GIB = float(1 << 20), float(1 << 30)
_PERIOD_S = SAMPLE_PERIOD / SECOND


def usage_metrics(nodes: Sequence[NodeUsage]) -> dict[str, float]:
    """One sample of the nodes that told of themselves; nothing when none did, so that the data set has a gap.

    Averages over the nodes: processor (0 to 1, as documented formulas compare it), memory in MiB, the local disk in
    GiB. Sums over the nodes and the sample's period: seconds, bytes and calls.
    """
    if not nodes:
        return {}
    count = float(len(nodes))
    return {
        "CPUPercent": sum(node.cpu for node in nodes) / count,
        "MemoryBytes": sum(node.memory for node in nodes) / count / _MIB,
        "DiskBytes": sum(node.disk for node in nodes) / count / _GIB,
        "WallClockSeconds": count * _PERIOD_S,
        "DiskReadBytes": sum(node.read for node in nodes) * _PERIOD_S,
        "DiskWriteBytes": sum(node.written for node in nodes) * _PERIOD_S,
        "DiskReadOps": sum(node.reads for node in nodes) * _PERIOD_S,
        "DiskWriteOps": sum(node.writes for node in nodes) * _PERIOD_S,
        "NetworkInBytes": sum(node.received for node in nodes) * _PERIOD_S,
        "NetworkOutBytes": sum(node.sent for node in nodes) * _PERIOD_S,
        "SampleNodeCount": count,
    }
