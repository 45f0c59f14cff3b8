"""What must hold when everything is at rest."""

from __future__ import annotations

from poolwright.domain.states import ResourceState
from tests.unit.resources.house import House


async def no_leftovers(house: House) -> None:
    """Planes and rows agree both ways, and everything is at rest."""
    assert await house.loop.collect() == []
    rows = await house.store.read(lambda tx: tx.resources.all_disks())
    assert {row.name for row in rows} == {info.name for info in house.images.list()}
    assert all(row.state == "ready" for row in rows), rows
    owners = {row.owner for row in rows}
    for owner in owners:
        resource = await house.store.read(lambda tx, key=owner: tx.resources.get(key))  # type: ignore[misc]
        assert resource is not None
        assert resource.state is ResourceState.SUCCEEDED
    assert await house.store.read(lambda tx: tx.resources.operations_in_progress()) == []
