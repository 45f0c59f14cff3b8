"""The loops: claim a key, look at the whole, decide, write, act, confirm."""

from __future__ import annotations
