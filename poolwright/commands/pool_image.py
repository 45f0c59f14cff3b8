"""What a pool was made from: its custom image, and what that was made from in turn."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from poolwright.domain.gallery import resolve
from poolwright.domain.limits import LINEAGE_MAX
from poolwright.domain.pool import Pool
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import image_key
from poolwright.store.base import Tx


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """`facts` are what is known of the image (see domain/compute.py, ImageState), None when it is gone. `origins` are
    (kind of bond, resource id), nearest first; one that is gone keeps its place, by its key. `versions` are (id, digest
    if it is known, nodes made from it): the image itself, or the versions of a definition that nodes are made from."""

    id: str
    facts: dict[str, str] | None
    origins: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str | None, int], ...]


def image_info(tx: Tx, pool: Pool) -> ImageInfo | None:
    """The lineage of the pool's custom image; None for a marketplace image."""
    id = pool.spec.image.image_id
    if id is None:
        return None
    resource = resolve(tx.resources, id)
    origins: list[tuple[str, str]] = []
    first = image_key(id) if resource is None else resource.key
    keys, seen = [first], {first}
    while keys and len(origins) < LINEAGE_MAX:
        for edge in tx.resources.parents(keys.pop(0)):
            if edge.parent in seen:
                continue
            seen.add(edge.parent)
            keys.append(edge.parent)
            origin = tx.resources.get(edge.parent)
            origins.append((edge.kind, edge.parent if origin is None else origin.id))
    facts = None if resource is None else _facts(json.loads(resource.inner))
    return ImageInfo(id, facts, tuple(origins[:LINEAGE_MAX]), _versions(tx, pool, id, resource))


def _versions(
    tx: Tx, pool: Pool, id: str, current: Resource | None
) -> tuple[tuple[str, str | None, int], ...]:
    named = image_key(id)
    newest = id if current is None or current.key == named else current.id
    counts = Counter({newest: 0})
    for node in tx.nodes.of_pool(pool.account, pool.id):
        counts[id if not node.image or image_key(node.image) == named else node.image] += 1
    found = []
    for version, nodes in sorted(counts.items()):
        row = tx.resources.get(image_key(version))
        digest = json.loads(row.inner).get("digest") if row is not None else None
        found.append((version, digest, nodes))
    return tuple(found)


def _facts(inner: dict[str, object]) -> dict[str, str]:
    system = inner.get("os")
    found = {
        "osType": inner.get("os_type"),
        "digest": inner.get("digest"),
        "nodeAgentSKUId": inner.get("agent_sku"),
        "operatingSystem": system.get("pretty") if isinstance(system, dict) else None,
    }
    return {name: value for name, value in found.items() if isinstance(value, str)}
