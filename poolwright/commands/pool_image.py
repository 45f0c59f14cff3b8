"""What a pool was made from: its custom image, and what that was made from in turn."""

from __future__ import annotations

import json
from dataclasses import dataclass

from poolwright.domain.limits import LINEAGE_MAX
from poolwright.domain.pool import Pool
from poolwright.store.base import Tx


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """`facts` are what is known of the image (see domain/compute.py, ImageState), None when it is gone. `origins` are
    (kind of bond, resource id), nearest first; one that is gone keeps its place, by its key."""

    id: str
    facts: dict[str, str] | None
    origins: tuple[tuple[str, str], ...]


def image_info(tx: Tx, pool: Pool) -> ImageInfo | None:
    """The lineage of the pool's custom image; None for a marketplace image."""
    id = pool.spec.image.image_id
    if id is None:
        return None
    resource = tx.resources.get(id)
    origins: list[tuple[str, str]] = []
    keys, seen = [id.lower()], {id.lower()}
    while keys and len(origins) < LINEAGE_MAX:
        for edge in tx.resources.parents(keys.pop(0)):
            if edge.parent in seen:
                continue
            seen.add(edge.parent)
            keys.append(edge.parent)
            origin = tx.resources.get(edge.parent)
            origins.append((edge.kind, edge.parent if origin is None else origin.id))
    facts = None if resource is None else _facts(json.loads(resource.inner))
    return ImageInfo(id, facts, tuple(origins[:LINEAGE_MAX]))


def _facts(inner: dict[str, object]) -> dict[str, str]:
    system = inner.get("os")
    found = {
        "osType": inner.get("os_type"),
        "digest": inner.get("digest"),
        "nodeAgentSKUId": inner.get("agent_sku"),
        "operatingSystem": system.get("pretty") if isinstance(system, dict) else None,
    }
    return {name: value for name, value in found.items() if isinstance(value, str)}
