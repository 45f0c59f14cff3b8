"""Marketplace images as the management plane needs to know them; the image plane's catalogue fits these shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol


class Reference(Protocol):
    """publisher, offer, sku and exact version of one image."""

    @property
    def publisher(self) -> str: ...
    @property
    def offer(self) -> str: ...
    @property
    def sku(self) -> str: ...
    @property
    def version(self) -> str: ...


class Offering(Protocol):
    """One image of the catalogue. `size_bytes` is its OS disk's size."""

    @property
    def image(self) -> Reference: ...
    @property
    def agent_sku(self) -> str: ...
    @property
    def os_type(self) -> str: ...
    @property
    def pretty_name(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


Catalogue = Callable[[], Sequence[Offering]]
"""All images on offer, the newest version of each last."""


def find(
    offerings: Sequence[Offering], publisher: str, offer: str, sku: str, version: str = "latest"
) -> Offering | None:
    """The offering of that reference, compared without regard to case; "latest" (or "") is the newest."""
    wanted = (publisher.lower(), offer.lower(), sku.lower())
    same = [
        entry
        for entry in offerings
        if (entry.image.publisher.lower(), entry.image.offer.lower(), entry.image.sku.lower()) == wanted
    ]
    if version.lower() in ("", "latest"):
        return same[-1] if same else None
    return next((entry for entry in same if entry.image.version.lower() == version.lower()), None)
