"""Values the planner tests are made of, with the fields that rarely matter filled in."""

from __future__ import annotations

from dataclasses import replace

from poolwright.domain.clock import MINUTE, Instant
from poolwright.domain.job import Job, JobSpec
from poolwright.domain.node import Node
from poolwright.domain.pool import ImageReference, Pool, PoolSpec, Resize, StartTask
from poolwright.domain.states import AllocationState, JobState, NodeState, PoolState, TaskState
from poolwright.domain.task import Task, TaskSpec

NOW: Instant = 1_700_000_000_000_000
IMAGE = "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/images/i"


class CountingIds:
    """Names in order."""

    def __init__(self) -> None:
        self._next = 0

    def uuid(self) -> str:
        return f"00000000-0000-4000-8000-{self.short()}"

    def short(self) -> str:
        self._next += 1
        return f"{self._next:012x}"


def spec(**changes: object) -> PoolSpec:
    base = PoolSpec("Standard_D2s_v3", ImageReference(image_id=IMAGE), "batch.node.debian 12")
    return replace(base, **changes)  # type: ignore[arg-type]


def pool(dedicated: int = 0, low: int = 0, start_task: StartTask | None = None, **changes: object) -> Pool:
    base = Pool(
        account="acct",
        id="p",
        spec=spec(start_task=start_task),
        document=b"{}",
        state=PoolState.ACTIVE,
        state_at=NOW,
        allocation=AllocationState.RESIZING,
        allocation_at=NOW,
        created_at=NOW,
        modified_at=NOW,
        target_dedicated=dedicated,
        target_low_priority=low,
        resize=Resize(NOW, 15 * MINUTE),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def node(id: str = "n1", state: NodeState = NodeState.IDLE, **changes: object) -> Node:
    base = Node(
        account="acct",
        pool="p",
        id=id,
        machine=f"m{id}",
        dedicated=True,
        state=state,
        state_at=NOW,
        allocated_at=NOW,
        fence=1,
        booted_at=None if state is NodeState.CREATING else NOW,
        seen_at=NOW,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def job(**changes: object) -> Job:
    settings = {name: changes.pop(name) for name in list(changes) if name in JobSpec.__dataclass_fields__}
    base = Job(
        account="acct",
        id="j",
        spec=replace(JobSpec("p"), **settings),  # type: ignore[arg-type]
        document=b"{}",
        state=JobState.ACTIVE,
        state_at=NOW,
        created_at=NOW,
        modified_at=NOW,
        started_at=NOW,
        pk=1,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def task(state: TaskState = TaskState.ACTIVE, **changes: object) -> Task:
    settings = {name: changes.pop(name) for name in list(changes) if name in TaskSpec.__dataclass_fields__}
    base = Task(
        pk=7,
        job_pk=1,
        id="t",
        spec=replace(TaskSpec("true"), **settings),  # type: ignore[arg-type]
        document=b"{}",
        state=state,
        state_at=NOW,
        created_at=NOW,
        modified_at=NOW,
        attempt=0 if state is TaskState.ACTIVE else 1,
    )
    return replace(base, **changes)  # type: ignore[arg-type]
