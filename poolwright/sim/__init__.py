"""The whole system in one thread on a virtual clock, from one seed, with faults."""

from __future__ import annotations
