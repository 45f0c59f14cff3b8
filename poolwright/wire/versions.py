"""Versions of the data-plane API: which are accepted, and what answers look like in the older ones.

Bodies of requests are read the same way whatever the version: what any of them knows is understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NewType

from poolwright.domain.errors import ServiceError
from poolwright.wire.query import Query

ApiVersion = NewType("ApiVersion", str)
"""The date of a version, which is what versions are ordered by."""

NEWEST = ApiVersion("2025-06-01")
_FORM = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(?:\.\d{1,4}\.\d{1,4})?\Z", re.ASCII)

Document = dict[str, Any]


def read_version(query: Query) -> ApiVersion:
    """The version a request names. Any well-formed one is accepted; newer ones are answered as the newest known."""
    text = query.text("api-version")
    if text is None:
        missing = (("QueryParameterName", "api-version"), ("Reason", "Every request names a version."))
        raise ServiceError("MissingRequiredQueryParameter", None, missing)
    match = _FORM.match(text)
    if match is None:
        reason = f"A version is a date such as {NEWEST}, or older ones such as 2024-02-01.19.0."
        values = (
            ("QueryParameterName", "api-version"),
            ("QueryParameterValue", text[:100]),
            ("Reason", reason),
        )
        raise ServiceError("UnsupportedRequestVersion", None, values)
    return ApiVersion(match[1])


def _pool(pool: Document, version: ApiVersion) -> None:
    if version >= "2025-06-01":
        pool.pop("targetNodeCommunicationMode", None)
        return
    pool.get("taskSchedulingPolicy", {}).pop("jobDefaultOrder", None)
    if version >= "2022-10-01":
        if "targetNodeCommunicationMode" in pool:
            pool["currentNodeCommunicationMode"] = "simplified"
    else:
        pool.pop("targetNodeCommunicationMode", None)
    if version < "2020-09-01" and "taskSlotsPerNode" in pool:
        pool["maxTasksPerNode"] = pool.pop("taskSlotsPerNode")


def _node(node: Document, version: ApiVersion) -> None:
    if version < "2021-06-01":
        node.pop("virtualMachineInfo", None)
    if version < "2020-09-01":
        node.pop("runningTaskSlotsCount", None)


def _job(job: Document, version: ApiVersion) -> None:
    if version < "2022-01-01":
        job.pop("allowTaskPreemption", None)
    if version < "2021-06-01":
        job.pop("maxParallelTasks", None)


def _task(task: Document, version: ApiVersion) -> None:
    if version < "2020-09-01":
        task.pop("requiredSlots", None)


def _node_counts(counts: Document, version: ApiVersion) -> None:
    for tally in (counts.get("dedicated", {}), counts.get("lowPriority", {})):
        if version < "2024-07-01":
            tally.pop("deallocated", None)
            tally.pop("deallocating", None)
        if version < "2024-02-01":
            tally.pop("upgradingOS", None)


def _task_counts(counts: Document, version: ApiVersion) -> None:
    if version < "2020-09-01":
        counts.pop("taskSlotCounts", None)
        counts.update(counts.pop("taskCounts", {}))


_SHAPES: dict[str, Callable[[Document, ApiVersion], None]] = {
    "pool": _pool,
    "node": _node,
    "job": _job,
    "task": _task,
    "nodecounts": _node_counts,
    "taskcounts": _task_counts,
}


def shape(kind: str, document: Document, version: ApiVersion) -> Document:
    """The document (changed in place) as the version knows it."""
    change = _SHAPES.get(kind)
    if change is not None:
        change(document, version)
    return document
