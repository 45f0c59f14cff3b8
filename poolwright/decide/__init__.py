"""Pure planners: values in, a plan out. No clock, no chance, no store, no engine."""

from __future__ import annotations
