"""Versions of the data-plane API: which are accepted, and what answers look like in the older ones.

Bodies of requests are read the same way whatever the version: what any of them knows is understood, under the names
of that version (`older_pool`). Defaults that changed are those of the request's version (wire/convert/pool.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NewType

import msgspec

from poolwright.domain.errors import ServiceError
from poolwright.wire.query import Query

ApiVersion = NewType("ApiVersion", str)
"""The date of a version, which is what versions are ordered by."""

NEWEST = ApiVersion("2025-06-01")
VERSIONS = (
    "2018-08-01.7.0",
    "2018-12-01.8.0",
    "2019-06-01.9.0",
    "2019-08-01.10.0",
    "2020-03-01.11.0",
    "2020-09-01.12.0",
    "2021-06-01.14.0",
    "2022-01-01.15.0",
    "2022-10-01.16.0",
    "2023-05-01.17.0",
    "2023-11-01.18.0",
    "2024-02-01.19.0",
    "2024-07-01.20.0",
    "2025-06-01",
)
"""Versions of released clients since that of the custom-image document (public version history)."""

Document = dict[str, Any]


def read_version(query: Query) -> ApiVersion:
    """The version a request names. Raises MissingRequiredQueryParameter or UnsupportedRequestVersion (400)."""
    text = query.text("api-version")
    if text is None:
        missing = (("QueryParameterName", "api-version"), ("Reason", "Every request names a version."))
        raise ServiceError("MissingRequiredQueryParameter", None, missing)
    if text not in VERSIONS:
        values = (
            ("QueryParameterName", "api-version"),
            ("QueryParameterValue", text[:100]),
            ("Reason", f"The versions are {', '.join(VERSIONS)}."),
        )
        raise ServiceError("UnsupportedRequestVersion", None, values)
    return ApiVersion(text[: len(NEWEST)])


#: Members of a pool that a version before this one does not know.
_POOL_SINCE = (
    ("2019-08-01", "mountConfiguration"),
    ("2020-03-01", "virtualMachineConfiguration.diskEncryptionConfiguration"),
    ("2021-06-01", "identity"),
    ("2021-06-01", "virtualMachineConfiguration.extensions"),
    ("2021-06-01", "virtualMachineConfiguration.nodePlacementConfiguration"),
    ("2021-06-01", "virtualMachineConfiguration.osDisk"),
    ("2021-06-01", "virtualMachineConfiguration.imageReference.exactVersion"),
    ("2022-10-01", "targetNodeCommunicationMode"),
    ("2022-10-01", "currentNodeCommunicationMode"),
    ("2023-05-01", "networkConfiguration.enableAcceleratedNetworking"),
    ("2023-11-01", "virtualMachineConfiguration.osDisk.caching"),
    ("2023-11-01", "virtualMachineConfiguration.osDisk.diskSizeGB"),
    ("2023-11-01", "virtualMachineConfiguration.osDisk.managedDisk"),
    ("2023-11-01", "virtualMachineConfiguration.osDisk.writeAcceleratorEnabled"),
    ("2023-11-01", "virtualMachineConfiguration.securityProfile"),
    ("2023-11-01", "virtualMachineConfiguration.serviceArtifactReference"),
    ("2024-02-01", "upgradePolicy"),
    ("2024-07-01", "networkConfiguration.skipWithdrawFromVNet"),
    ("2024-07-01", "virtualMachineConfiguration.imageReference.sharedGalleryImageId"),
    ("2024-07-01", "virtualMachineConfiguration.imageReference.communityGalleryImageId"),
    ("2025-06-01", "networkConfiguration.publicIPAddressConfiguration.ipFamilies"),
    ("2025-06-01", "networkConfiguration.publicIPAddressConfiguration.ipTags"),
    ("2025-06-01", "taskSchedulingPolicy.jobDefaultOrder"),
)
#: Members of container settings that a version before this one does not know.
_CONTAINER_SINCE = (
    ("2019-06-01", "containerSettings.workingDirectory"),
    ("2024-07-01", "containerSettings.containerHostBatchBindMounts"),
)
_JOB_TASKS = ("jobManagerTask", "jobPreparationTask", "jobReleaseTask")
_NODE_SINCE = (
    ("2018-08-01", "nodeAgentInfo"),
    ("2020-09-01", "runningTaskSlotsCount"),
    ("2021-06-01", "virtualMachineInfo"),
    ("2025-06-01", "ipv6Address"),
)
#: Properties that a version before this one could not patch (public PATCH tables).
_PATCHED_ALWAYS = ("startTask", "certificateReferences", "applicationPackageReferences", "metadata")
_WIDE_PATCH = "2024-07-01"
WAITS_FOR_START_TASK = "2019-08-01"
"""Since this version waitForSuccess is true unless given."""
RETENTION_ENDS = "2018-12-01"
"""Since this version data of tasks are kept for seven days unless given, before without end."""
OS_UPGRADE_UNTIL = "2018-12-01"
"""The first version without upgrades of the systems of cloud services."""
CERTIFICATES_UNTIL = "2025-06-01"
"""The first version without certificates."""
_SOURCES_SINCE, _OLD_SOURCE, _NEW_SOURCE = "2018-12-01", "blobSource", "httpUrl"
"""Before this version resource files had one source, a blob's URL under a name of its own."""
SUPPORTED_IMAGES_SINCE = "2019-06-01"
"""Since this version /supportedimages is what /nodeagentskus was."""


def check_patch(names: list[str], version: ApiVersion) -> None:
    """Raises UnsupportedProperty for what a pool could not be patched with in this version."""
    if version >= _WIDE_PATCH:
        return
    known = [*_PATCHED_ALWAYS, *(["targetNodeCommunicationMode"] if version >= "2022-10-01" else [])]
    for name in names:
        if name not in known:
            reason = f"Before {_WIDE_PATCH} only {', '.join(known)} of a pool can be patched."
            raise ServiceError("UnsupportedProperty", None, (("PropertyName", name), ("Reason", reason)))


def older_pool(pool: Document, version: ApiVersion) -> Document:
    """A pool's body with the names of its version replaced by those of today."""
    network = pool.get("networkConfiguration")
    if version < "2020-03-01" and isinstance(network, dict) and "publicIPs" in network:
        network = dict(network)
        addresses = network.pop("publicIPs")
        if addresses:
            network["publicIPAddressConfiguration"] = {
                "provision": "usermanaged",
                "ipAddressIds": addresses,
            }
        return {**pool, "networkConfiguration": network}
    return pool


def older_files(raw: bytes, version: ApiVersion) -> bytes:
    """A body with the sources of its resource files under today's name."""
    if version >= _SOURCES_SINCE or _OLD_SOURCE.encode() not in raw:
        return raw
    try:
        whole = msgspec.json.decode(raw)
        _rename_sources(whole, _OLD_SOURCE, _NEW_SOURCE)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw  # whoever decodes it tells what is wrong
    return msgspec.json.encode(whole)


def _rename_sources(inside: Any, old: str, new: str) -> None:
    if isinstance(inside, list):
        for one in inside:
            _rename_sources(one, old, new)
    elif isinstance(inside, dict):
        for name, value in inside.items():
            if name in ("resourceFiles", "commonResourceFiles") and isinstance(value, list):
                for file in value:
                    if isinstance(file, dict) and old in file:
                        file.setdefault(new, file.pop(old))
            else:
                _rename_sources(value, old, new)


def _pool(pool: Document, version: ApiVersion) -> None:
    if version >= "2025-06-01":
        for name in ("targetNodeCommunicationMode", "currentNodeCommunicationMode", "certificateReferences"):
            pool.pop(name, None)
        return
    _prune(pool, _POOL_SINCE, version)
    _prune(pool.get("startTask", {}), _CONTAINER_SINCE, version)
    for disk in pool.get("virtualMachineConfiguration", {}).get("dataDisks", ()):
        managed = disk.pop("managedDisk", None)
        if managed and "storageAccountType" in managed:
            disk.setdefault("storageAccountType", managed["storageAccountType"])
    network = pool.get("networkConfiguration", {})
    if version < "2020-03-01" and "publicIPAddressConfiguration" in network:
        network["publicIPs"] = network.pop("publicIPAddressConfiguration").get("ipAddressIds", [])
    if version < "2020-09-01" and "taskSlotsPerNode" in pool:
        pool["maxTasksPerNode"] = pool.pop("taskSlotsPerNode")


def _node(node: Document, version: ApiVersion) -> None:
    _prune(node, _NODE_SINCE, version)
    _prune(node.get("startTask", {}), _CONTAINER_SINCE, version)
    if version >= CERTIFICATES_UNTIL:
        node.pop("certificateReferences", None)


def _prune(document: Document, since: tuple[tuple[str, str], ...], version: ApiVersion) -> None:
    for first, path in since:
        if version < first:
            *folders, last = path.split(".")
            inner: Any = document
            for name in folders:
                inner = inner.get(name, {}) if isinstance(inner, dict) else {}
            if isinstance(inner, dict):
                inner.pop(last, None)


def _job(job: Document, version: ApiVersion) -> None:
    for name in _JOB_TASKS:
        _prune(job.get(name, {}), _CONTAINER_SINCE, version)
    _pool(job.get("poolInfo", {}).get("autoPoolSpecification", {}).get("pool", {}), version)
    if version < "2022-01-01":
        job.pop("allowTaskPreemption", None)
    if version < "2021-06-01":
        job.pop("maxParallelTasks", None)


def _schedule(schedule: Document, version: ApiVersion) -> None:
    _job(schedule.get("jobSpecification", {}), version)


def _task(task: Document, version: ApiVersion) -> None:
    _prune(task, _CONTAINER_SINCE, version)
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
    "jobschedule": _schedule,
    "task": _task,
    "nodecounts": _node_counts,
    "taskcounts": _task_counts,
}


def shape(kind: str, document: Document, version: ApiVersion) -> Document:
    """The document (changed in place) as the version knows it."""
    change = _SHAPES.get(kind)
    if change is not None:
        change(document, version)
    if version < _SOURCES_SINCE:
        _rename_sources(document, _NEW_SOURCE, _OLD_SOURCE)
    return document
