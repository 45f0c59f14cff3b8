"""Facts of the journal -> documents of events, with the names and fields of the public service's diagnostic events.

Every event has our envelope (number, time, kind, subject, account); `eventName` and `properties` are the public ones
where the public service has such an event. Other facts show their details as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from poolwright.domain.facts import Entry, Fact
from poolwright.wire.convert.shared import Document
from poolwright.wire.times import iso

_KIND = re.compile(r"[a-z][a-z.]{0,63}\*?\Z|\*\Z")
_Show = Callable[[str, dict[str, Any]], Document]


def show_event(entry: Entry) -> Document:
    """One event."""
    fact = entry.fact
    known = EVENTS.get(fact.kind)
    document: Document = {
        "number": entry.number,
        "time": iso(fact.at),
        "account": fact.account,
        "kind": fact.kind,
        "subject": fact.subject,
    }
    if known is None:
        return document | {"properties": _present(fact.detail)}
    name, show = known
    return document | {"eventName": name, "properties": show(_id(fact), fact.detail)}


def kinds_of(word: str) -> tuple[str, ...]:
    """The kinds somebody asks for by the name of a public event (in any case of letters), or by a kind that may end
    with `*`; none for other words."""
    return _BY_NAME.get(word.lower(), (word,) if _KIND.match(word) else ())


def _id(fact: Fact) -> str:
    return fact.subject.partition("/")[2]


def _present(detail: dict[str, Any]) -> Document:
    return {name: value for name, value in detail.items() if value is not None}


def _time(value: Any) -> str | None:
    return None if value is None else iso(int(value))


def _pool_created(id: str, detail: dict[str, Any]) -> Document:
    image = {
        "publisher": detail.get("publisher"),
        "offer": detail.get("offer"),
        "sku": detail.get("sku"),
        "version": detail.get("version"),
        "virtualMachineImageId": detail.get("image"),
    }
    return {
        "id": id,
        "displayName": detail.get("display_name") or "",
        "vmSize": detail.get("vm_size"),
        "imageType": "VirtualMachineConfiguration",
        "virtualMachineConfiguration": {
            "imageReference": _present(image),
            "nodeAgentId": detail.get("agent"),
        },
        "networkConfiguration": {"subnetId": ""},  # refused, so there is none
        "resizeTimeout": str(detail.get("resize_timeout_ms", "")),
        "targetDedicatedNodes": detail.get("target_dedicated"),
        "targetLowPriorityNodes": detail.get("target_low_priority"),
        "taskSlotsPerNode": detail.get("slots"),
        "vmFillType": str(detail.get("fill", "")).capitalize(),
        "enableAutoScale": detail.get("autoscale"),
        "enableInterNodeCommunication": detail.get("inter_node"),
        "isAutoPool": detail.get("auto_pool"),
    }


def _plain(id: str, _: dict[str, Any]) -> Document:
    return {"id": id}


def _span(id: str, detail: dict[str, Any]) -> Document:
    return {"id": id, "startTime": _time(detail.get("started")), "endTime": _time(detail.get("ended"))}


def _resize_started(id: str, detail: dict[str, Any]) -> Document:
    grows = bool(detail.get("grows"))
    return {
        "id": id,
        "nodeDeallocationOption": "invalid" if grows else detail.get("option"),
        "currentDedicatedNodes": detail.get("dedicated"),
        "targetDedicatedNodes": detail.get("target_dedicated"),
        "currentLowPriorityNodes": detail.get("low_priority"),
        "targetLowPriorityNodes": detail.get("target_low_priority"),
        "enableAutoScale": detail.get("autoscale"),
        "isAutoPool": bool(detail.get("auto_pool")),
    }


def _resize_completed(id: str, detail: dict[str, Any]) -> Document:
    codes = str(detail.get("codes") or "")
    return {
        **_resize_started(id, detail),
        "startTime": _time(detail.get("started")),
        "endTime": _time(detail.get("ended")),
        "resultCode": codes.partition(",")[0] or "Success",
        "resultMessage": detail.get("message") or "",
    }


def _autoscaled(id: str, detail: dict[str, Any]) -> Document:
    error = {"code": detail.get("error") or "", "message": detail.get("reason") or "", "values": ""}
    return {
        "id": id,
        "timestamp": _time(detail.get("at")),
        "formula": detail.get("formula"),
        "results": detail.get("results") or "",
        "error": error,
    }


def _task_started(id: str, detail: dict[str, Any]) -> Document:
    job, _, task = id.partition("/")
    return {
        "jobId": job,
        "id": task,
        "taskType": "JobManager" if detail.get("manager") else "User",
        "systemTaskVersion": detail.get("system_requeues", 0),
        "requiredSlots": detail.get("slots", 1),
        "nodeInfo": {"poolId": detail.get("pool") or "", "nodeId": detail.get("node") or ""},
        "multiInstanceSettings": {"numberOfInstances": detail.get("instances", 1)},
        "constraints": {"maxTaskRetryCount": detail.get("max_retries", 0)},
        "executionInfo": {"retryCount": detail.get("retries", 0)},
    }


def _task_ended(id: str, detail: dict[str, Any]) -> Document:
    document = _task_started(id, detail)
    document["executionInfo"] = _execution(detail) | {
        "retryCount": detail.get("retries", 0),
        "requeueCount": detail.get("requeues", 0),
    }
    return document


def _task_unscheduled(id: str, detail: dict[str, Any]) -> Document:
    return _task_started(id, detail) | _scheduling_error(detail)


def _special(_: str, detail: dict[str, Any]) -> Document:
    return {
        "jobId": detail.get("job") or "",
        "taskName": detail.get("name") or "",
        "taskType": detail.get("type"),
        "nodeInfo": {"poolId": detail.get("pool"), "nodeId": detail.get("node")},
        "executionInfo": _execution(detail) | {"retryCount": detail.get("retries", 0)},
    }


def _execution(detail: dict[str, Any]) -> Document:
    found = {
        "startTime": _time(detail.get("started")),
        "endTime": _time(detail.get("ended")),
        "exitCode": detail.get("exit"),
        "result": detail.get("result"),
    }
    return _present(found) | _scheduling_error(detail)


def _scheduling_error(detail: dict[str, Any]) -> Document:
    """Why the task failed or could not be run; nothing for one that went well."""
    if detail.get("code") is None:
        return {}
    names = ("category", "code", "message")
    return {"schedulingError": {name: detail.get(name) or "" for name in names}}


EVENTS: dict[str, tuple[str, _Show]] = {
    "pool.create": ("PoolCreateEvent", _pool_created),
    "pool.delete.start": ("PoolDeleteStartEvent", _plain),
    "pool.delete.complete": ("PoolDeleteCompleteEvent", _span),
    "pool.resize.start": ("PoolResizeStartEvent", _resize_started),
    "pool.resize.complete": ("PoolResizeCompleteEvent", _resize_completed),
    "pool.autoscale": ("PoolAutoScaleEvent", _autoscaled),
    "task.start": ("TaskStartEvent", _task_started),
    "task.complete": ("TaskCompleteEvent", _task_ended),
    "task.fail": ("TaskFailEvent", _task_ended),
    "task.requeue": ("TaskRequeueEvent", _task_ended),
    "task.schedule.fail": ("TaskScheduleFailEvent", _task_unscheduled),
    "task.special": ("SpecialTaskEvent", _special),
    "job.create": ("JobStartEvent", _plain),
    "job.disable": ("JobDisableStartEvent", _plain),
    "job.disabled": ("JobDisableCompleteEvent", _plain),
    "job.terminate": ("JobTerminateStartEvent", _plain),
    "job.terminating": ("JobTerminateStartEvent", _plain),
    "job.completed": ("JobTerminateCompleteEvent", _plain),
    "job.delete": ("JobDeleteStartEvent", _plain),
    "job.deleting": ("JobDeleteStartEvent", _plain),
    "job.deleted": ("JobDeleteCompleteEvent", _plain),
}
"""Kind -> (the public event's name, its properties)."""

_BY_NAME = {
    name.lower(): tuple(kind for kind, (other, _) in EVENTS.items() if other == name)
    for name, _ in EVENTS.values()
}
