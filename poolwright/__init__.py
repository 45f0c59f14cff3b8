"""Poolwright: pools of compute nodes made from your own machine images, behind the Azure Batch API."""

from __future__ import annotations

__version__ = "0.1.0"
