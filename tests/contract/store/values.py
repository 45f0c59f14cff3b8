"""Plain values to put into stores."""

from __future__ import annotations

from poolwright.domain.account import Account
from poolwright.domain.clock import MINUTE
from poolwright.domain.job import Job, JobSpec
from poolwright.domain.node import Node
from poolwright.domain.pool import ImageReference, Pool, PoolSpec, Resize
from poolwright.domain.resource import Resource
from poolwright.domain.states import AllocationState, JobState, NodeState, PoolState, ResourceState
from poolwright.domain.task import Execution, NewTask, Task, TaskSpec, execution_name
from poolwright.store.base import Store, Tx

A = "acct"
IMAGE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/Img"


def account(name: str = A) -> Account:
    return Account(name, f"/subscriptions/s/{name}", "cHJpbWFyeQ==", "c2Vjb25k", 5)


def pool(id: str = "Pool-1", image: str | None = None, account: str = A) -> Pool:
    reference = (
        ImageReference(image) if image else ImageReference(None, "debian", "debian-12", "12", "latest")
    )
    return Pool(
        account=account,
        id=id,
        spec=PoolSpec("standard_a1_v2", reference, "batch.node.debian 12"),
        document=b'{"id":"x"}',
        state=PoolState.ACTIVE,
        state_at=1,
        allocation=AllocationState.STEADY,
        allocation_at=2,
        created_at=3,
        modified_at=4,
        target_dedicated=2,
        target_low_priority=1,
        resize=Resize(5, 15 * MINUTE, remove=("n1",)),
        uid="00ff",
    )


def node(id: str, pool: str = "Pool-1", dedicated: bool = True, account: str = A) -> Node:
    return Node(
        account=account,
        pool=pool,
        id=id,
        machine=f"m-{account}-{pool.lower()}-{id.lower()}",
        dedicated=dedicated,
        state=NodeState.IDLE,
        state_at=1,
        allocated_at=2,
        fence=3,
    )


def job(
    id: str = "Job-1", spec: JobSpec | None = None, state: JobState = JobState.ACTIVE, account: str = A
) -> Job:
    return Job(account, id, spec or JobSpec("Pool-1"), b"{}", state, 1, 2, 3, 4)


def new_task(id: str, slots: int = 1, command: str = "/bin/true") -> NewTask:
    return NewTask(id, TaskSpec(command, required_slots=slots), f'{{"id":"{id}"}}'.encode())


def execution(task: Task, attempt: int = 1, node: str = "n1", pool: str = "Pool-1") -> Execution:
    name = execution_name(task.pk, attempt)
    slots = task.spec.required_slots
    return Execution(name, task.pk, task.job_pk, A, pool, node, f"m-{node}", 1, slots, 9)


def resource(
    name: str, type: str = "Microsoft.Compute/disks", state: ResourceState = ResourceState.SUCCEEDED
) -> Resource:
    id = f"/subscriptions/Sub/resourceGroups/Rg/providers/{type}/{name}"
    return Resource(id, type, "Sub", "Rg", name, "local", state, 1, 2, tags=(("k", "v"),))


async def put(store: Store, *items: Pool | Node | Resource) -> None:
    """Insert these in one write, each where it belongs."""

    def insert(tx: Tx) -> None:
        for item in items:
            if isinstance(item, Pool):
                tx.pools.insert(item)
            elif isinstance(item, Node):
                tx.nodes.insert_many([item])
            else:
                tx.resources.insert(item)

    await store.write(insert)
