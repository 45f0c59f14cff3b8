"""Multi-instance settings and subtasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poolwright.domain.errors import bad_property
from poolwright.domain.limits import INSTANCES_MAX
from poolwright.domain.multi_instance import MultiInstance, Subtask
from poolwright.domain.states import TaskState
from poolwright.domain.task import Task
from poolwright.wire.convert.containers import show_container
from poolwright.wire.convert.outcome import show_run
from poolwright.wire.convert.shared import Document, check_command_line
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
    shown: Document = {"id": row.id, "nodeInfo": show_node_info(task, row.pool, row.node, job, links)}
    run = row if row.ended_at is not None else replace(row, exit_code=None)
    shown |= {**show_run(run), **show_container(run, task.spec.container, row.execution)}
    shown["state"] = subtask_state(task, row).value
    shown["stateTransitionTime"] = iso(row.ended_at or row.started_at)
    if row.ended_at is not None:
        shown["previousState"] = TaskState.RUNNING.value
        shown["previousStateTransitionTime"] = iso(row.started_at)
    return shown


def subtask_state(task: Task, row: Subtask) -> TaskState:
    """The state of one instance."""
    if row.ended_at is not None:
        return TaskState.COMPLETED
    return TaskState.PREPARING if task.state is TaskState.PREPARING else TaskState.RUNNING
