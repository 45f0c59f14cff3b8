"""A pool row that uses an image."""

from __future__ import annotations

from poolwright.domain.clock import MINUTE
from poolwright.domain.pool import ImageReference, Pool, PoolSpec, Resize
from poolwright.domain.states import AllocationState, PoolState


def pool_of(image_id: str) -> Pool:
    """Pool `pool-1` of account `render1`."""
    return Pool(
        account="render1",
        id="pool-1",
        spec=PoolSpec("standard_d2s_v3", ImageReference(image_id=image_id), "batch.node.debian 12"),
        document=b"{}",
        state=PoolState.ACTIVE,
        state_at=1,
        allocation=AllocationState.STEADY,
        allocation_at=1,
        created_at=1,
        modified_at=1,
        target_dedicated=0,
        target_low_priority=0,
        resize=Resize(1, 15 * MINUTE),
    )
