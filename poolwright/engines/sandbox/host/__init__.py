"""Host side of the sandbox engine. Runs as root inside the host agent: standard library only, Python >= 3.9."""

from __future__ import annotations
