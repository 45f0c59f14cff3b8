"""The sandbox engine: machines made of Linux namespaces over loop-mounted disk images."""

from __future__ import annotations
