"""Request models of resource groups."""

from __future__ import annotations

from msgspec import Struct


class GroupBody(Struct, frozen=True):
    """PUT of a group."""

    location: str | None = None
    tags: dict[str, str] | None = None
