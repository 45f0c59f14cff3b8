"""Fixtures shared with the engine contract."""

from __future__ import annotations

from tests.contract.engines.conftest import image, rig

__all__ = ["image", "rig"]
