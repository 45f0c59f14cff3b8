"""Galleries, definitions and versions as answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from poolwright.domain.compute import GIB, ImageDisk, image_state
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import GALLERIES, GALLERY_IMAGES, GALLERY_VERSIONS
from poolwright.domain.states import ResourceState
from poolwright.wire.arm.compute_out import envelope, found_in
from poolwright.wire.arm.times import shown

Json = dict[str, Any]


def gallery(resource: Resource) -> Json:
    """A gallery."""
    properties = json.loads(resource.properties)
    properties["identifier"] = {"uniqueName": f"{resource.subscription}-{resource.name.upper()}"}
    properties["provisioningState"] = resource.state.value
    return _own_name(resource, properties)


def definition(resource: Resource) -> Json:
    """A definition."""
    properties = json.loads(resource.properties)
    properties["provisioningState"] = resource.state.value
    return _own_name(resource, properties)


def version(resource: Resource, with_replication: bool = False) -> Json:
    """A version, with what it was found to hold under `poolwright`."""
    state = image_state(resource.inner)
    properties = json.loads(resource.properties)
    published = properties.setdefault("publishingProfile", {})
    published.setdefault("targetRegions", [{"name": resource.location}])
    published.setdefault("replicaCount", 1)
    published.setdefault("replicationMode", "Full")
    published.setdefault("storageAccountType", "Standard_LRS")
    published["excludeFromLatest"] = state.hidden
    published["publishedDate"] = shown(resource.created_at)
    for region in published["targetRegions"]:
        region.setdefault("regionalReplicaCount", published["replicaCount"])
        region.setdefault("storageAccountType", published["storageAccountType"])
    properties.setdefault("safetyProfile", {}).setdefault("reportedForPolicyViolation", False)
    profile = properties["storageProfile"]
    system = profile.setdefault("osDiskImage", {})
    system.setdefault("hostCaching", "ReadWrite")
    if state.os_size:
        system["sizeInGB"] = -(-state.os_size // GIB)
    given = {entry["lun"]: entry for entry in profile.get("dataDiskImages", [])}
    profile["dataDiskImages"] = [_disk(disk, given.get(disk.lun, {})) for disk in state.data_disks]
    properties["provisioningState"] = resource.state.value
    if with_replication:
        done = resource.state is ResourceState.SUCCEEDED
        part = {
            "region": resource.location,
            "state": "Completed" if done else "Replicating",
            "details": "",
            "progress": 100 if done else 0,
        }
        whole = "Completed" if done else "InProgress"
        properties["replicationStatus"] = {"aggregatedState": whole, "summary": [part]}
    properties |= found_in(state)
    return _own_name(resource, properties)


def _disk(disk: ImageDisk, given: Json) -> Json:
    size = {"sizeInGB": -(-disk.size // GIB)} if disk.size else {}
    return {**given, "lun": disk.lun, "hostCaching": disk.caching, **size}


def _own_name(resource: Resource, properties: Json) -> Json:
    return {**envelope(resource, properties), "name": resource.name.rpartition("/")[2]}


RENDER: dict[str, Callable[[Resource], Json]] = {
    GALLERIES: gallery,
    GALLERY_IMAGES: definition,
    GALLERY_VERSIONS: version,
}
