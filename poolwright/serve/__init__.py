"""The composition root: the only place that names concrete classes and puts the house together."""

from __future__ import annotations

from poolwright.serve.options import Options
from poolwright.serve.running import StillRunning, run, stop

__all__ = ["Options", "StillRunning", "run", "stop"]
