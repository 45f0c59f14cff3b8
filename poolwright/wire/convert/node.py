"""Nodes: bodies to domain values, stored nodes to answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from poolwright.domain.multi_instance import Subtask
from poolwright.domain.node import Node, NodeError, start_name
from poolwright.domain.phases import phases, present
from poolwright.domain.pool import Pool
from poolwright.domain.states import DeallocationOption, NodeState
from poolwright.domain.task import Task
from poolwright.wire.bodies import decode_body
from poolwright.wire.convert.certificate import show_references
from poolwright.wire.convert.containers import show_container
from poolwright.wire.convert.image import show_node_image
from poolwright.wire.convert.outcome import show_retries, show_run
from poolwright.wire.convert.pool import show_start_task
from poolwright.wire.convert.shared import Document, show_pairs
from poolwright.wire.convert.subtasks import subtask_state
from poolwright.wire.convert.task import show_execution
from poolwright.wire.generated import batch_models as models
from poolwright.wire.links import Links
from poolwright.wire.times import iso

_COUNTED = {
    NodeState.CREATING: "creating",
    NodeState.IDLE: "idle",
    NodeState.OFFLINE: "offline",
    NodeState.PREEMPTED: "preempted",
    NodeState.REBOOTING: "rebooting",
    NodeState.REIMAGING: "reimaging",
    NodeState.RUNNING: "running",
    NodeState.STARTING: "starting",
    NodeState.START_TASK_FAILED: "startTaskFailed",
    NodeState.LEAVING_POOL: "leavingPool",
    NodeState.UNKNOWN: "unknown",
    NodeState.UNUSABLE: "unusable",
    NodeState.WAITING_FOR_START_TASK: "waitingForStartTask",
    NodeState.DEALLOCATED: "deallocated",
    NodeState.DEALLOCATING: "deallocating",
    NodeState.UPGRADING_OS: "upgradingOS",
}


def read_reboot(raw: bytes) -> DeallocationOption | None:
    """How a reboot treats running tasks; the body may be absent."""
    given = decode_body(raw, models.BatchNodeRebootOptions).node_reboot_option if raw else None
    return DeallocationOption(given.value) if given else None


def read_reimage(raw: bytes) -> DeallocationOption | None:
    """How a reimage treats running tasks; the body may be absent."""
    given = decode_body(raw, models.BatchNodeReimageOptions).node_reimage_option if raw else None
    return DeallocationOption(given.value) if given else None


def read_deallocate(raw: bytes) -> DeallocationOption | None:
    """How a deallocation treats running tasks; the body may be absent."""
    given = decode_body(raw, models.BatchNodeDeallocateOptions).node_deallocate_option if raw else None
    return DeallocationOption(given.value) if given else None


def read_disable_scheduling(raw: bytes) -> DeallocationOption | None:
    """How disabling of scheduling treats running tasks; the body may be absent."""
    if not raw:
        return None
    given = decode_body(raw, models.BatchNodeDisableSchedulingOptions).node_disable_scheduling_option
    return DeallocationOption(given.value) if given else None


@dataclass(frozen=True, slots=True)
class Recent:
    """A task that ran on a node lately, with the id of its job; `subtask`: it was only that one of its instances."""

    job: str
    task: Task
    subtask: Subtask | None = None


def show_node(
    node: Node,
    pool: Pool,
    running: tuple[int, int],
    recent: Sequence[Recent],
    links: Links,
    exact_version: str | None = None,
) -> Document:
    """A node as answered, without `odata.metadata`.

    `running` is (tasks, slots) on the node now; `recent` are its newest tasks; `exact_version` is that of the
    marketplace image, if it is one.
    """
    shown: Document = {
        "id": node.id,
        "url": links.node(node.pool, node.id),
        "state": node.state.value,
        "schedulingState": node.scheduling.value,
        "stateTransitionTime": iso(node.state_at),
    }
    if node.booted_at is not None:
        shown["lastBootTime"] = iso(node.booted_at)
    shown["allocationTime"] = iso(node.allocated_at)
    if node.address is not None:
        shown["ipAddress"] = node.address
    shown["affinityId"] = node.affinity_id
    shown["vmSize"] = pool.spec.vm_size
    shown["totalTasksRun"] = node.tasks_run
    shown["runningTasksCount"], shown["runningTaskSlotsCount"] = running
    shown["totalTasksSucceeded"] = node.tasks_succeeded
    if recent:
        shown["recentTasks"] = [_show_recent(one, links) for one in recent]
    if pool.spec.start_task is not None:
        document = msgspec.json.decode(pool.document).get("startTask", {})
        shown["startTask"] = show_start_task(pool.spec.start_task, document)
    if node.start_task is not None:
        info = node.start_task
        shown["startTaskInfo"] = {"state": info.state.value, **show_run(info), **show_retries(info)}
        container = None if pool.spec.start_task is None else pool.spec.start_task.container
        shown["startTaskInfo"] |= show_container(info, container, start_name(node, info.attempt))
    if node.certificates:
        shown["certificateReferences"] = show_references(node.certificates)
    errors = [*node.errors]
    if node.logins.problem is not None:
        errors.append(NodeError("RemoteLoginUnavailable", node.logins.problem))
    if errors:
        shown["errors"] = [_show_error(error) for error in errors]
    shown["isDedicated"] = node.dedicated
    shown.update(_show_extensions(node))
    image = show_node_image(pool.spec.image, node.image)
    if node.agent_version:
        shown["nodeAgentInfo"] = {"version": node.agent_version, "lastUpdateTime": iso(node.agent_since)}
    if exact_version is not None:
        image.setdefault("exactVersion", exact_version)
    shown["virtualMachineInfo"] = {"imageReference": image}
    return shown


def _show_extensions(node: Node) -> Document:
    """What only this service tells of a node."""
    at = present(node)
    return {**({"simulated": True} if node.simulated else {}), **({} if at is None else {"phase": at})}


def show_history(node: Node) -> list[Document]:
    """The node's newest moves in order, each with how long its state lasted; the last one still lasts."""
    ends = [at for at, _, _ in node.history[1:]]
    shown: list[Document] = []
    for index, (at, state, reason) in enumerate(node.history):
        move: Document = {"time": iso(at), "state": state, "reason": reason}
        if index < len(ends):
            move["milliseconds"] = (ends[index] - at) / 1000
        shown.append(move)
    return shown


def show_phases(node: Node) -> list[Document]:
    """How long the phases of the node's present life took; one that goes on has no milliseconds."""
    shown: list[Document] = []
    for phase in phases(node):
        one: Document = {"name": phase.name, "startTime": iso(phase.began_at)}
        if phase.milliseconds is not None:
            one["milliseconds"] = phase.milliseconds
        shown.append(one)
    return shown


def _show_recent(recent: Recent, links: Links) -> Document:
    task, subtask = recent.task, recent.subtask
    shown: Document = {"taskUrl": links.task(recent.job, task.id), "jobId": recent.job, "taskId": task.id}
    if subtask is not None:
        shown |= {"subtaskId": subtask.id, "taskState": subtask_state(task, subtask).value}
        return shown | {
            "executionInfo": {**show_run(subtask), "retryCount": task.retry_count, "requeueCount": 0}
        }
    if task.spec.multi is not None:
        shown["subtaskId"] = 0
    return shown | {"taskState": task.state.value, "executionInfo": show_execution(task)}


def _show_error(error: NodeError) -> Document:
    shown: Document = {"code": error.code, "message": error.message}
    if error.details:
        shown["errorDetails"] = show_pairs(error.details)
    return shown


def show_node_counts(pool: str, counts: Mapping[tuple[NodeState, bool], int]) -> Document:
    """One pool's entry of the node counts; `counts` is nodes by (state, dedicated)."""
    return {
        "poolId": pool,
        "dedicated": _show_tally(counts, dedicated=True),
        "lowPriority": _show_tally(counts, dedicated=False),
    }


def _show_tally(counts: Mapping[tuple[NodeState, bool], int], *, dedicated: bool) -> dict[str, int]:
    tally = {name: counts.get((state, dedicated), 0) for state, name in _COUNTED.items()}
    tally["total"] = sum(tally.values())
    return tally
