"""Pools of Resource Manager and of the data plane are one thing under two shapes: names and values both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

#: Names that differ wherever they stand, from Resource Manager's to the data plane's.
_NAMES: dict[str, str] = {
    "nodeAgentSkuId": "nodeAgentSKUId",
    "inboundNatPools": "inboundNATPools",
    "dynamicVnetAssignmentScope": "dynamicVNetAssignmentScope",
    "userName": "username",
}
#: Spellings of values by the member that has them. The data plane takes them in any case and shows its own.
_VALUES = {
    "access": ("Allow", "Deny"),
    "caching": ("None", "ReadOnly", "ReadWrite"),
    "elevationLevel": ("NonAdmin", "Admin"),
    "jobDefaultOrder": ("None", "CreationTime"),
    "nodeFillType": ("Spread", "Pack"),
    "placement": ("CacheDisk",),
    "policy": ("Regional", "Zonal"),
    "protocol": ("TCP", "UDP"),
    "provision": ("BatchManaged", "UserManaged", "NoPublicIPAddresses"),
    "scope": ("Task", "Pool"),
    "storageAccountType": ("Standard_LRS", "StandardSSD_LRS", "Premium_LRS"),
    "targetNodeCommunicationMode": ("Default", "Classic", "Simplified"),
    "type": ("DockerCompatible", "CriCompatible"),
    "workingDirectory": ("TaskWorkingDirectory", "ContainerImageDefault"),
}
_SPELLED = {
    name: {value.lower(): value for value in values} for name, values in _VALUES.items()
}  # fmt: skip
_BACK: dict[str, str] = {data: arm for arm, data in _NAMES.items()}
#: What the caller's own words are in, in which nothing is a name of ours.
_VERBATIM = frozenset({"metadata", "environmentSettings"})


def to_data_plane(value: Any, within: str = "") -> Any:
    """A part of a management body under the data plane's names; explicit nulls are left out."""
    if within in _VERBATIM:
        return value
    if isinstance(value, list):
        return [to_data_plane(item, within) for item in value]
    if not isinstance(value, Mapping):
        return value
    made: Json = {}
    for name, item in dict[str, Any](value).items():
        if item is None:
            continue
        if within == "imageReference" and name == "id":
            made["virtualMachineImageId"] = item
        elif within == "dataDisks" and name == "storageAccountType":  # before 2025-06-01
            made.setdefault("managedDisk", {})["storageAccountType"] = item
        else:
            made[_NAMES.get(name, name)] = to_data_plane(item, name)
    return made


def to_management(value: Any, within: str = "") -> Any:
    """A part of a data-plane document under Resource Manager's names and spellings."""
    if within in _VERBATIM:
        return value
    if isinstance(value, list):
        return [to_management(item, within) for item in value]
    if isinstance(value, str):
        return _SPELLED.get(within, {}).get(value.lower(), value)
    if not isinstance(value, Mapping):
        return value
    made: Json = {}
    for name, item in dict[str, Any](value).items():
        arm = "id" if name == "virtualMachineImageId" else _BACK.get(name, name)
        made[arm] = to_management(item, arm)
    return made
