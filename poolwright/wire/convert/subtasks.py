"""Multi-instance settings and subtasks."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.domain.errors import bad_property
from poolwright.domain.limits import INSTANCES_MAX
from poolwright.domain.multi_instance import MultiInstance, Subtask
from poolwright.domain.states import TaskState
from poolwright.domain.task import Task
from poolwright.wire.convert.shared import Document, check_command_line, show_failure
from poolwright.wire.convert.task_places import show_node_info
from poolwright.wire.convert.transfer import read_resource_files
from poolwright.wire.generated import batch_models as models
from poolwright.wire.links import Links
from poolwright.wire.times import iso

_NAME = "multiInstanceSettings"


def read_multi_instance(given: models.MultiInstanceSettings) -> MultiInstance:
    """The settings in domain terms. Raises InvalidPropertyValue."""
    instances = 1 if given.number_of_instances is None else given.number_of_instances
    if not 1 <= instances <= INSTANCES_MAX:
        reason = f"A task has 1 to {INSTANCES_MAX} instances."
        raise bad_property(f"{_NAME}.numberOfInstances", instances, reason)
    return MultiInstance(
        check_command_line(given.coordination_command_line, f"{_NAME}.coordinationCommandLine"),
        instances,
        read_resource_files(given.common_resource_files, f"{_NAME}.commonResourceFiles"),
    )


def show_subtasks(task: Task, rows: Sequence[Subtask], job: str, links: Links) -> list[Document]:
    """The `value` of a list of subtasks: all instances of the newest attempt but the primary."""
    return [_show(task, row, job, links) for row in rows if row.id]


def _show(task: Task, row: Subtask, job: str, links: Links) -> Document:
    state = TaskState.RUNNING if task.state is not TaskState.PREPARING else TaskState.PREPARING
    state = TaskState.COMPLETED if row.ended_at is not None else state
    shown: Document = {"id": row.id, "nodeInfo": show_node_info(task, row.pool, row.node, job, links)}
    shown["startTime"] = iso(row.started_at)
    if row.ended_at is not None:
        shown["endTime"] = iso(row.ended_at)
    if row.exit_code is not None and row.ended_at is not None:
        shown["exitCode"] = row.exit_code
    if row.failure is not None:
        shown["failureInfo"] = show_failure(row.failure)
    shown["state"] = state.value
    shown["stateTransitionTime"] = iso(row.ended_at or row.started_at)
    if row.ended_at is not None:
        shown["previousState"] = TaskState.RUNNING.value
        shown["previousStateTransitionTime"] = iso(row.started_at)
    if row.result is not None:
        shown["result"] = row.result.value
    return shown
