"""Which fields each list can be filtered by, and with which operators (public filter tables, newest form)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a field is compared with."""

    TEXT = "a string"
    TIME = "a time"
    NUMBER = "a number"
    TRUTH = "true or false"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a list."""

    kind: Kind
    operators: frozenset[str]


_EQUAL = frozenset({"eq", "ne"})
_ORDERED = _EQUAL | {"gt", "ge", "lt", "le"}

_NAME = Field(Kind.TEXT, _ORDERED | {"startswith"})
_CHOICE = Field(Kind.TEXT, _EQUAL)
_IS = Field(Kind.TEXT, frozenset({"eq"}))
_FLAG = Field(Kind.TRUTH, _EQUAL)
_TIME = Field(Kind.TIME, _ORDERED)
_NUMBER = Field(Kind.NUMBER, _ORDERED)
_PATH = Field(Kind.TEXT, frozenset({"startswith"}))

Fields = Mapping[str, Field]

SUPPORTED_IMAGES: Fields = {"osType": _CHOICE, "verificationType": _CHOICE, "nodeAgentSKUId": _CHOICE}

NODE_AGENT_SKUS: Fields = {"osType": _CHOICE, "id": _CHOICE}

USAGE: Fields = {"poolId": _NAME}

NODE_COUNTS: Fields = {"poolId": _IS}

POOLS: Fields = {
    "id": _NAME,
    "vmSize": _NAME,
    "state": _CHOICE,
    "allocationState": _CHOICE,
    "enableAutoScale": _FLAG,
    "enableInterNodeCommunication": _FLAG,
    "stateTransitionTime": _TIME,
    "allocationStateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
}

NODES: Fields = {
    "state": _CHOICE,
    "stateTransitionTime": _TIME,
    "lastBootTime": _TIME,
    "allocationTime": _TIME,
    "startTaskInfo/state": _IS,
    "startTaskInfo/result": _CHOICE,
    "startTaskInfo/exitCode": _NUMBER,
    "startTaskInfo/startTime": _TIME,
    "startTaskInfo/endTime": _TIME,
}

CERTIFICATES: Fields = {"state": _CHOICE, "stateTransitionTime": _TIME}

JOBS: Fields = {
    "id": _NAME,
    "executionInfo/poolId": _NAME,
    "state": _CHOICE,
    "stateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "executionInfo/startTime": _TIME,
    "executionInfo/endTime": _TIME,
}

JOBS_OF_SCHEDULE: Fields = {name: field for name, field in JOBS.items() if name != "id"}

JOB_SCHEDULES: Fields = {
    "id": _NAME,
    "state": _CHOICE,
    "stateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "executionInfo/endTime": _TIME,
    "schedule/doNotRunUntil": _TIME,
    "schedule/doNotRunAfter": _TIME,
}

_INFO = {"state": _CHOICE, "startTime": _TIME, "endTime": _TIME, "exitCode": _NUMBER, "result": _CHOICE}

JOB_NODES: Fields = {
    "poolId": _NAME,
    "nodeId": _NAME,
    **{f"jobPreparationTaskExecutionInfo/{name}": field for name, field in _INFO.items()},
    **{f"jobReleaseTaskExecutionInfo/{name}": field for name, field in _INFO.items()},
}

TASKS: Fields = {
    "id": _NAME,
    "state": _CHOICE,
    "stateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    # The public table spells it so.
    "lastModifiedTime": _TIME,
    "executionInfo/startTime": _TIME,
    "executionInfo/endTime": _TIME,
    "executionInfo/exitCode": _NUMBER,
    "executionInfo/result": _CHOICE,
    "nodeInfo/nodeId": _CHOICE,
}

FILES: Fields = {"name": _PATH}
