"""Every state of every noun and one transition table per noun. State names are the wire's.

Sources: behaviour tables of the public Batch documentation; DESIGN rule 2 (one table per noun).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class PoolState(StrEnum):
    ACTIVE = "active"
    DELETING = "deleting"


class AllocationState(StrEnum):
    STEADY = "steady"
    RESIZING = "resizing"
    STOPPING = "stopping"


class NodeState(StrEnum):
    CREATING = "creating"
    STARTING = "starting"
    WAITING_FOR_START_TASK = "waitingforstarttask"
    START_TASK_FAILED = "starttaskfailed"
    IDLE = "idle"
    RUNNING = "running"
    REBOOTING = "rebooting"
    REIMAGING = "reimaging"
    OFFLINE = "offline"
    LEAVING_POOL = "leavingpool"
    UNUSABLE = "unusable"
    UNKNOWN = "unknown"
    PREEMPTED = "preempted"
    UPGRADING_OS = "upgradingos"
    DEALLOCATING = "deallocating"
    DEALLOCATED = "deallocated"


class SchedulingState(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


class JobState(StrEnum):
    ACTIVE = "active"
    DISABLING = "disabling"
    DISABLED = "disabled"
    ENABLING = "enabling"
    TERMINATING = "terminating"
    COMPLETED = "completed"
    DELETING = "deleting"


class ScheduleState(StrEnum):
    ACTIVE = "active"
    COMPLETED = "completed"
    DISABLED = "disabled"
    TERMINATING = "terminating"
    DELETING = "deleting"


class CertificateState(StrEnum):
    ACTIVE = "active"
    DELETING = "deleting"
    DELETE_FAILED = "deletefailed"


class TaskState(StrEnum):
    ACTIVE = "active"
    PREPARING = "preparing"
    RUNNING = "running"
    COMPLETED = "completed"


class StartTaskState(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"


class ExecutionResult(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"


class DeallocationOption(StrEnum):
    REQUEUE = "requeue"
    TERMINATE = "terminate"
    TASK_COMPLETION = "taskcompletion"
    RETAINED_DATA = "retaineddata"


class FillType(StrEnum):
    SPREAD = "spread"
    PACK = "pack"


class JobOrder(StrEnum):
    """In which order jobs of one priority get a pool's nodes: by turns, or in order of creation."""

    NONE = "none"
    CREATION_TIME = "creationtime"


class ResourceState(StrEnum):
    """Provisioning of a management resource (virtual machine, disk, snapshot, image, account)."""

    CREATING = "Creating"
    UPDATING = "Updating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DELETING = "Deleting"


class PowerState(StrEnum):
    """Power of a build virtual machine; the value is the wire's code behind `PowerState/`."""

    STARTING = "starting"
    RUNNING = "running"
    DEALLOCATING = "deallocating"
    DEALLOCATED = "deallocated"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class IllegalTransition(Exception):
    """A move that the noun's table does not allow; the message tells noun, move and history."""


_S = TypeVar("_S", bound=StrEnum)
_N = NodeState

POOL: Mapping[PoolState, frozenset[PoolState]] = {
    PoolState.ACTIVE: frozenset({PoolState.DELETING}),
    PoolState.DELETING: frozenset(),
}

ALLOCATION: Mapping[AllocationState, frozenset[AllocationState]] = {
    AllocationState.STEADY: frozenset({AllocationState.RESIZING}),
    AllocationState.RESIZING: frozenset({AllocationState.STEADY, AllocationState.STOPPING}),
    AllocationState.STOPPING: frozenset({AllocationState.STEADY}),
}

_LOST = frozenset({_N.UNKNOWN, _N.UNUSABLE, _N.PREEMPTED, _N.LEAVING_POOL})
#: Orders that may have waited for tasks: the node may have lost its machine and got it back meanwhile.
_ENDS_LIFE = frozenset({_N.REBOOTING, _N.REIMAGING, _N.DEALLOCATING})

NODE: Mapping[NodeState, frozenset[NodeState]] = {
    _N.CREATING: _LOST | {_N.STARTING},
    _N.STARTING: _LOST | _ENDS_LIFE | {_N.IDLE, _N.OFFLINE, _N.WAITING_FOR_START_TASK},
    _N.WAITING_FOR_START_TASK: _LOST | _ENDS_LIFE | {_N.IDLE, _N.OFFLINE, _N.START_TASK_FAILED, _N.STARTING},
    _N.START_TASK_FAILED: _LOST | _ENDS_LIFE | {_N.STARTING},
    _N.IDLE: _LOST | _ENDS_LIFE | {_N.RUNNING, _N.OFFLINE, _N.STARTING},
    _N.RUNNING: _LOST | _ENDS_LIFE | {_N.IDLE, _N.OFFLINE, _N.STARTING},
    _N.OFFLINE: _LOST | _ENDS_LIFE | {_N.IDLE, _N.RUNNING, _N.STARTING},
    _N.REBOOTING: _LOST | _ENDS_LIFE | {_N.STARTING},
    _N.REIMAGING: _LOST | {_N.STARTING},
    _N.UPGRADING_OS: _LOST | {_N.STARTING},
    _N.UNKNOWN: _LOST | frozenset(NodeState),
    _N.UNUSABLE: _LOST | _ENDS_LIFE | {_N.STARTING, _N.CREATING, _N.IDLE},
    _N.PREEMPTED: frozenset({_N.CREATING, _N.LEAVING_POOL}),
    _N.DEALLOCATING: _LOST | {_N.DEALLOCATED},
    _N.DEALLOCATED: frozenset({_N.STARTING, _N.LEAVING_POOL}),
    _N.LEAVING_POOL: frozenset(),
}

JOB: Mapping[JobState, frozenset[JobState]] = {
    JobState.ACTIVE: frozenset({JobState.DISABLING, JobState.TERMINATING, JobState.DELETING}),
    JobState.DISABLING: frozenset(
        {JobState.DISABLED, JobState.ENABLING, JobState.TERMINATING, JobState.DELETING}
    ),
    JobState.DISABLED: frozenset({JobState.ENABLING, JobState.TERMINATING, JobState.DELETING}),
    JobState.ENABLING: frozenset(
        {JobState.ACTIVE, JobState.DISABLING, JobState.TERMINATING, JobState.DELETING}
    ),
    JobState.TERMINATING: frozenset({JobState.COMPLETED, JobState.DELETING}),
    JobState.COMPLETED: frozenset({JobState.DELETING}),
    JobState.DELETING: frozenset(),
}

SCHEDULE: Mapping[ScheduleState, frozenset[ScheduleState]] = {
    ScheduleState.ACTIVE: frozenset(
        {
            ScheduleState.DISABLED,
            ScheduleState.TERMINATING,
            ScheduleState.COMPLETED,
            ScheduleState.DELETING,
        }
    ),
    ScheduleState.DISABLED: frozenset(
        {ScheduleState.ACTIVE, ScheduleState.TERMINATING, ScheduleState.DELETING}
    ),
    ScheduleState.TERMINATING: frozenset({ScheduleState.COMPLETED, ScheduleState.DELETING}),
    ScheduleState.COMPLETED: frozenset({ScheduleState.DELETING}),
    ScheduleState.DELETING: frozenset(),
}

CERTIFICATE: Mapping[CertificateState, frozenset[CertificateState]] = {
    CertificateState.ACTIVE: frozenset({CertificateState.DELETING}),
    CertificateState.DELETING: frozenset({CertificateState.DELETE_FAILED}),
    CertificateState.DELETE_FAILED: frozenset({CertificateState.DELETING, CertificateState.ACTIVE}),
}

TASK: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.ACTIVE: frozenset({TaskState.PREPARING, TaskState.RUNNING, TaskState.COMPLETED}),
    TaskState.PREPARING: frozenset({TaskState.RUNNING, TaskState.ACTIVE, TaskState.COMPLETED}),
    TaskState.RUNNING: frozenset({TaskState.ACTIVE, TaskState.COMPLETED}),
    TaskState.COMPLETED: frozenset({TaskState.ACTIVE}),
}

RESOURCE: Mapping[ResourceState, frozenset[ResourceState]] = {
    ResourceState.CREATING: frozenset(
        {ResourceState.SUCCEEDED, ResourceState.FAILED, ResourceState.DELETING}
    ),
    ResourceState.UPDATING: frozenset(
        {ResourceState.SUCCEEDED, ResourceState.FAILED, ResourceState.DELETING}
    ),
    ResourceState.SUCCEEDED: frozenset({ResourceState.UPDATING, ResourceState.DELETING}),
    ResourceState.FAILED: frozenset({ResourceState.UPDATING, ResourceState.DELETING}),
    ResourceState.DELETING: frozenset({ResourceState.FAILED}),
}

#: Node states that count as part of the pool's capacity a task may be placed on.
SCHEDULABLE = frozenset({_N.IDLE, _N.RUNNING})
#: Node states in which a machine may hold live tasks.
MAY_HOLD_TASKS = frozenset({_N.IDLE, _N.RUNNING, _N.UNKNOWN, _N.OFFLINE, _N.LEAVING_POOL, _N.REBOOTING})


def advance(
    noun: str, table: Mapping[_S, frozenset[_S]], current: _S, target: _S, history: tuple[str, ...] = ()
) -> _S:
    """Return `target` if the table allows the move from `current` (staying is allowed).

    Raises IllegalTransition naming the noun, the move and the noun's history.
    """
    if target is current or target in table[current]:
        return target
    story = "; ".join(history) or "no history kept"
    raise IllegalTransition(f"{noun}: {current.value} -> {target.value} is not a legal move ({story})")
