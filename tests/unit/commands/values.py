"""What the tests of commands ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from poolwright.commands import pools
from poolwright.commands.context import Preconditions
from poolwright.domain.compute import ImageState, dump
from poolwright.domain.job import JobSpec
from poolwright.domain.node import Node
from poolwright.domain.pool import ImageReference, Pool, PoolSpec
from poolwright.domain.resource import Lineage, Resource
from poolwright.domain.states import AllocationState, NodeState, PoolState, ResourceState
from poolwright.domain.task import Execution, NewTask, Task, TaskSpec, execution_name
from tests.unit.commands.conftest import A, World

ANY = Preconditions()
MARKET = PoolSpec(
    "standard_d2s_v3", ImageReference(None, "debian", "debian-12", "12", "latest"), "batch.node.debian 12"
)
IMAGE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/"
CUSTOM = replace(MARKET, image=ImageReference(IMAGE + "Img"))
JOB = JobSpec("P1")


def image(
    name: str = "Img",
    agent: str | None = "batch.node.debian 12",
    state: ResourceState = ResourceState.SUCCEEDED,
    type: str = "Microsoft.Compute/images",
    id: str | None = None,
    os_state: str = "Generalized",
) -> Resource:
    inner = dump(ImageState(f"i-{name.lower()}-os", (), agent_sku=agent, os_state=os_state))
    id = id or IMAGE.replace("Microsoft.Compute/images", type) + name
    return Resource(id, type, "s", "g", name, "local", state, 1, 1, inner=inner)


def add_image(world: World, name: str = "Img", source: str = "snap") -> None:
    made = image(name)
    world.write(lambda tx: tx.resources.insert(made))
    world.write(lambda tx: tx.resources.link(Lineage(made.key, source, "image-of")))


def steady_pool(
    world: World, id: str = "P1", spec: PoolSpec = MARKET, dedicated: int = 0, low: int = 0
) -> Pool:
    """A pool whose first resize has ended."""
    pool = world.do(pools.create, id, spec, b"{}", dedicated, low)
    return world.write(lambda tx: tx.pools.update(replace(pool, allocation=AllocationState.STEADY)))


def deleting_pool(world: World, id: str = "P1") -> Pool:
    pool = steady_pool(world, id)
    return world.write(lambda tx: tx.pools.update(replace(pool, state=PoolState.DELETING)))


def add_node(
    world: World,
    id: str,
    dedicated: bool = True,
    state: NodeState = NodeState.IDLE,
    pool: str = "P1",
    **changes: Any,
) -> Node:
    now = world.source.time
    node = replace(Node(A, pool, id, f"m-{id}", dedicated, state, now, now, 1), **changes)
    world.write(lambda tx: tx.nodes.insert_many([node]))
    return node


def new_task(id: str, command: str = "/bin/true", slots: int = 1) -> NewTask:
    return NewTask(id, TaskSpec(command, required_slots=slots), b"{}")


def execution(task: Task, node: str = "n1") -> Execution:
    name = execution_name(task.pk, 1)
    return Execution(name, task.pk, task.job_pk, A, "P1", node, f"m-{node}", 1, 1, 5)
