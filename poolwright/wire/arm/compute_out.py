"""Microsoft.Compute resources as answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from poolwright.domain.compute import (
    FOOTER_BYTES,
    GIB,
    DiskState,
    ImageState,
    MachineDisk,
    MachineState,
    disk_state,
    image_state,
    machine_state,
)
from poolwright.domain.resource import Operation, Resource
from poolwright.domain.resource_id import DISKS, IMAGES, SNAPSHOTS
from poolwright.domain.states import PowerState, ResourceState
from poolwright.wire.arm.times import shown

Json = dict[str, Any]

_POWER_VERBS = {
    "start": "starting",
    "create": "starting",
    "restart": "starting",
    "powerOff": "stopping",
    "deallocate": "deallocating",
}


def envelope(resource: Resource, properties: Json) -> Json:
    """The members every tracked resource has."""
    return {
        "name": resource.name,
        "id": resource.id,
        "type": resource.type,
        "location": resource.location,
        "tags": dict(resource.tags),
        "properties": properties,
    }


def etag(resource: Resource) -> str:
    """The entity tag, quoted as HTTP wants it. The time tells a resource from an earlier one of the same name."""
    return f'"{resource.created_at:x}-{resource.revision}"'


def disk(resource: Resource) -> Json:
    """A disk or snapshot."""
    state = disk_state(resource.inner)
    properties = json.loads(resource.properties)
    asked = properties.pop("diskSizeGB", None)
    size = state.size_bytes or (asked or 0) * GIB
    if state.upload_bytes:
        size = state.upload_bytes - FOOTER_BYTES
    properties |= {
        "timeCreated": shown(resource.created_at),
        "provisioningState": resource.state.value,
        "diskState": _disk_state(resource, state),
        "uniqueId": state.unique_id,
    }
    if size:
        properties |= {"diskSizeGB": -(-size // GIB), "diskSizeBytes": size}
    if resource.type == SNAPSHOTS:
        properties.setdefault("incremental", False)
    answer = envelope(resource, properties)
    sku = resource.sku or "Standard_LRS"
    answer["sku"] = {"name": sku, "tier": sku.partition("_")[0]}
    if state.attached_to is not None:
        answer["managedBy"] = state.attached_to
    return answer


def _disk_state(resource: Resource, state: DiskState) -> str:
    if state.upload_bytes:
        return "ReadyToUpload" if state.access is None else "ActiveUpload"
    if state.access is not None:
        return "ActiveSAS"
    return "Attached" if state.attached_to is not None and resource.type == DISKS else "Unattached"


def image(resource: Resource) -> Json:
    """A managed image, with what it was found to hold under `poolwright`."""
    state = image_state(resource.inner)
    properties = json.loads(resource.properties)
    properties["hyperVGeneration"] = state.generation
    profile = properties.setdefault("storageProfile", {})
    profile.setdefault("osDisk", {"osType": state.os_type, "osState": "Generalized", "caching": "ReadWrite"})
    if state.os_size:
        profile["osDisk"]["diskSizeGB"] = -(-state.os_size // GIB)
    profile["osDisk"]["storageAccountType"] = state.os_storage
    given = {entry.get("lun"): entry for entry in profile.get("dataDisks", [])}
    profile["dataDisks"] = [
        {
            **given.get(disk.lun, {}),
            "lun": disk.lun,
            "caching": disk.caching,
            "storageAccountType": disk.type,
            **({"diskSizeGB": -(-disk.size // GIB)} if disk.size else {}),
        }
        for disk in state.data_disks
    ]
    properties["provisioningState"] = resource.state.value
    properties["poolwright"] = properties.get("poolwright", {}) | found_in(state).get("poolwright", {})
    return envelope(resource, properties)


def found_in(state: ImageState) -> Json:
    """What an image or version was found to hold, once it is made."""
    if state.digest is None:
        return {}
    found = {
        "digest": state.digest,
        "nodeAgentSkuId": state.agent_sku,
        "os": state.os,
        "findings": [asdict(finding) for finding in state.findings],
        "fixed": [asdict(finding) for finding in state.fixed],
    }
    return {"poolwright": found}


def machine(
    resource: Resource,
    disks: Mapping[str, Resource],
    operations: list[Operation],
    with_view: bool = False,
) -> Json:
    """A virtual machine. `disks` are its disks by key, `operations` those in progress on it."""
    state = machine_state(resource.inner)
    properties = json.loads(resource.properties)
    properties["hardwareProfile"] = {"vmSize": state.size}
    properties["vmId"] = state.vm_id
    properties["provisioningState"] = resource.state.value
    properties["timeCreated"] = shown(resource.created_at)
    profile = properties.setdefault("storageProfile", {})
    for attached in state.disks:
        rendered = _machine_disk(attached, disks.get(attached.disk.lower()))
        if attached.lun is None:
            profile["osDisk"] = {"osType": "Linux", **rendered}
    profile["dataDisks"] = [
        {
            "lun": attached.lun,
            **_machine_disk(attached, disks.get(attached.disk.lower())),
            "toBeDetached": False,
        }
        for attached in state.disks
        if attached.lun is not None
    ]
    if "osProfile" in properties:
        properties["osProfile"] |= {"secrets": [], "requireGuestProvisionSignal": True}
    if with_view:
        properties["instanceView"] = instance_view(resource, disks, operations)
    answer = envelope(resource, properties)
    answer["etag"] = etag(resource)
    return answer


def _machine_disk(attached: MachineDisk, disk: Resource | None) -> Json:
    answer: Json = {
        "name": attached.disk.rpartition("/")[2],
        "createOption": "Attach",
        "caching": attached.caching,
        "deleteOption": attached.delete_option,
        "managedDisk": {"id": attached.disk},
    }
    if disk is None:
        return answer
    if attached.created:
        answer["createOption"] = json.loads(disk.properties)["creationData"]["createOption"]
    answer["managedDisk"]["storageAccountType"] = disk.sku or "Standard_LRS"
    size = disk_state(disk.inner).size_bytes
    if size:
        answer["diskSizeGB"] = -(-size // GIB)
    return answer


def instance_view(resource: Resource, disks: Mapping[str, Resource], operations: list[Operation]) -> Json:
    """The run-time state of a virtual machine."""
    state = machine_state(resource.inner)
    power = _power(state, operations)
    statuses: list[Json] = [
        {
            "code": f"ProvisioningState/{resource.state.value.lower()}",
            "level": "Error" if resource.state is ResourceState.FAILED else "Info",
            "displayStatus": f"Provisioning {resource.state.value.lower()}",
            "time": shown(resource.modified_at),
            **({"message": ": ".join(resource.error)} if resource.error else {}),
        }
    ]
    if state.generalized:
        statuses.append({"code": "OSState/generalized", "level": "Info", "displayStatus": "VM generalized"})
    statuses.append({"code": f"PowerState/{power}", "level": "Info", "displayStatus": f"VM {power}"})
    view: Json = {
        "computerName": state.hostname,
        "hyperVGeneration": "V1",
        "disks": [
            {
                "name": attached.disk.rpartition("/")[2],
                "statuses": [_disk_status(disks.get(attached.disk.lower()))],
            }
            for attached in state.disks
        ],
        "statuses": statuses,
    }
    if power == PowerState.RUNNING:
        ready = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready"}
        view["vmAgent"] = {"vmAgentVersion": "1.0", "statuses": [ready]}
    return view


def _disk_status(disk: Resource | None) -> Json:
    state = disk.state.value.lower() if disk is not None else "failed"
    return {"code": f"ProvisioningState/{state}", "level": "Info", "displayStatus": f"Provisioning {state}"}


def _power(state: MachineState, operations: list[Operation]) -> str:
    for operation in operations:
        moving = _POWER_VERBS.get(operation.verb)
        if moving is not None and operation.status == "InProgress":
            return moving
    return state.power


def run_result(result: bytes) -> Json:
    """What runCommand answers: one status whose message holds both outputs, as the Linux agent writes it."""
    outcome = json.loads(result)
    code = outcome["exit_code"]
    verdict = "succeeded" if code == 0 else "failed"
    cause = "" if code == 0 else f"failed to execute command: command terminated with exit status={code}"
    status = {
        "code": f"ProvisioningState/{verdict}",
        "level": "Info" if code == 0 else "Error",
        "displayStatus": f"Provisioning {verdict}",
        "message": f"Enable {verdict}: {cause}\n[stdout]\n{outcome['stdout']}\n[stderr]\n{outcome['stderr']}",
    }
    return {"value": [status]}


SIMPLE = {DISKS: disk, SNAPSHOTS: disk, IMAGES: image}
"""Renderers that need nothing but the resource; machines need their disks too."""
