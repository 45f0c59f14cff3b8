"""The command line: `poolwright up` runs the service, the other commands speak its public API."""

from __future__ import annotations

from poolwright.cli.app import main

__all__ = ["main"]
