"""How a benchmark tells its result: machine, command, and min / median / max of every figure."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path


def heading(name: str) -> None:
    """Print the benchmark's name, machine and command."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    known = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in known if line.startswith("model name")), "unknown"
    )
    print(f"== {name}")
    print(
        f"machine: {os.cpu_count()} x {model}, {memory_gib:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )
    print(f"command: {' '.join(sys.orig_argv)}")


def row(label: str, values: Sequence[float], unit: str) -> None:
    """Print one figure as median (min - max)."""
    spread = f"({min(values):.3f} - {max(values):.3f})"
    print(f"{label:<46} {statistics.median(values):>10.3f} {spread} {unit}, n={len(values)}")
