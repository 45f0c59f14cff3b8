"""What the journal tells of a pool's making and resizes; wire/convert/event.py makes documents of it."""

from __future__ import annotations

from collections.abc import Mapping

from poolwright.domain.clock import MILLISECOND, Instant
from poolwright.domain.pool import Pool
from poolwright.domain.states import NodeState

Detail = dict[str, str | int | float | bool | None]
Counts = Mapping[tuple[NodeState, bool], int]


def created(pool: Pool, auto: bool) -> Detail:
    """`auto`: the pool is made for a job or a schedule."""
    spec, image = pool.spec, pool.spec.image
    return {
        "display_name": spec.display_name,
        "vm_size": spec.vm_size,
        "image": image.image_id,
        "publisher": image.publisher,
        "offer": image.offer,
        "sku": image.sku,
        "version": image.version,
        "agent": spec.agent_sku,
        "resize_timeout_ms": spec.resize_timeout // MILLISECOND,
        "target_dedicated": pool.target_dedicated,
        "target_low_priority": pool.target_low_priority,
        "slots": spec.slots_per_node,
        "fill": spec.fill.value,
        "autoscale": pool.autoscaled,
        "inter_node": spec.inter_node,
        "auto_pool": auto,
    }


def resize_started(pool: Pool, counts: Counts, auto: bool) -> Detail:
    """`counts` are the pool's nodes now."""
    return _resize(pool, nodes(counts), auto) | {"removed": len(pool.resize.remove)}


def resize_completed(pool: Pool, had: tuple[int, int], auto: bool, now: Instant) -> Detail:
    """`had`: nodes of either kind when the resize ended."""
    errors = pool.resize_errors
    return _resize(pool, had, auto) | {
        "result": "Failure" if errors else "Success",
        "codes": ",".join(error.code for error in errors),
        "message": errors[0].message if errors else "",
        "started": pool.resize.started_at,
        "ended": now,
    }


def _resize(pool: Pool, had: tuple[int, int], auto: bool) -> Detail:
    """What both ends of a resize tell."""
    return {
        "number": pool.resize.number,
        "dedicated": had[0],
        "low_priority": had[1],
        "target_dedicated": pool.target_dedicated,
        "target_low_priority": pool.target_low_priority,
        "option": pool.resize.option.value,
        "grows": pool.resize.grows,
        "autoscale": pool.autoscaled,
        "auto_pool": auto,
    }


def nodes(counts: Counts) -> tuple[int, int]:
    """Dedicated and low-priority nodes."""
    dedicated = sum(count for (_, kind), count in counts.items() if kind)
    return dedicated, sum(counts.values()) - dedicated
