"""What a pass knows of a pool whose nodes are on their way out."""

from __future__ import annotations

from dataclasses import replace

from poolwright.domain.limits import Quotas
from poolwright.domain.node import Drain
from poolwright.domain.pool import Resize
from poolwright.domain.states import AllocationState, DeallocationOption, NodeState
from poolwright.reconcile import snapshots
from poolwright.reconcile.snapshots import PoolView
from tests.unit.decide import parts
from tests.unit.reconcile.world import ACCOUNT, World, exited


def view(world: World) -> PoolView:
    found = world.store.read_now(lambda tx: snapshots.load(tx, world.kit, ACCOUNT, "p", world.clock.at))
    assert found is not None
    return found


def test_a_pool_that_replaces_a_leaving_node_counts_the_cores_of_other_pools() -> None:
    world = World(nodes=2)
    world.kit.settings = replace(world.kit.settings, quotas=Quotas(dedicated_cores=6))
    other = replace(parts.pool(1, allocation=AllocationState.STEADY), id="other")
    world.write(lambda tx: tx.pools.insert(other))
    node = replace(parts.node("o0"), pool="other")
    world.write(lambda tx: tx.nodes.insert_many([node]))
    world.set_pool(allocation=AllocationState.STEADY)
    world.set_node("n1", state=NodeState.LEAVING_POOL)
    assert view(world).snapshot.headroom.cores_dedicated > 0


def test_a_resize_that_takes_over_another_drain_knows_the_data_of_its_node() -> None:
    world = World(nodes=1)
    world.add("t", retention=900_000_000)
    (start,) = world.look().starts
    world.hear(exited(start))
    resize = Resize(world.clock.at, 900_000_000, DeallocationOption.RETAINED_DATA)
    world.set_pool(target_dedicated=0, allocation=AllocationState.RESIZING, resize=resize)
    world.set_node("n0", drain=Drain("deallocate", DeallocationOption.TASK_COMPLETION, world.clock.at))
    assert "n0" in view(world).snapshot.retained_until
