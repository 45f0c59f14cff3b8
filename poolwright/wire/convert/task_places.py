"""Where a task is: its node, and its directory there."""

from __future__ import annotations

from poolwright.domain.job_schedule import workitem
from poolwright.domain.node import SIMULATED_NODES
from poolwright.domain.task import Task
from poolwright.wire.convert.shared import Document
from poolwright.wire.links import Links


def task_directory(job: str, task: str) -> str:
    """A task's directory, relative to the node's root directory, as the service lays it out."""
    return "/".join(("workitems", *workitem(job), task))


def show_node_info(task: Task, pool: str, node: str, job: str, links: Links) -> Document:
    """`nodeInfo` of a task or subtask that is (or was) on this node."""
    directory = task_directory(job, task.id)
    shown: Document = {
        "affinityId": f"TVM:{node}",
        "nodeUrl": links.node(pool, node),
        "poolId": pool,
        "nodeId": node,
        "taskRootDirectory": directory,
        "taskRootDirectoryUrl": links.node_file(pool, node, directory),
    }
    if node.startswith(SIMULATED_NODES):
        shown["simulated"] = True  # our extension
    return shown
