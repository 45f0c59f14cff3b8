"""Disks and mounts of pools that are refused; rows as in bad_bodies.py."""

from __future__ import annotations

from typing import Any

MACHINE: dict[str, Any] = {
    "imageReference": {"publisher": "debian", "offer": "debian-12", "sku": "12"},
    "nodeAgentSKUId": "batch.node.debian 12",
}
VM = "virtualMachineConfiguration."


def data(*disks: dict[str, Any]) -> dict[str, Any]:
    return {"virtualMachineConfiguration": {**MACHINE, "dataDisks": list(disks)}}


def os_disk(**given: Any) -> dict[str, Any]:
    return {"virtualMachineConfiguration": {**MACHINE, "osDisk": given}}


def nfs(**given: Any) -> dict[str, Any]:
    mount = {"source": "server:/export", "relativeMountPath": "data", **given}
    return {"mountConfiguration": [{"nfsMountConfiguration": mount}]}


def mounts(*given: Any) -> dict[str, Any]:
    return {"mountConfiguration": list(given)}


SECRET = "c2VjcmV0LW9mLXRoZS1zaGFyZQ=="
MOUNT = "mountConfiguration[0]."
NFS = MOUNT + "nfsMountConfiguration."
GOOD = {"nfsMountConfiguration": {"source": "server:/export", "relativeMountPath": "data"}}

DISK: dict[str, Any] = {"lun": 0, "diskSizeGB": 1}

STORAGE = [
    (data({"lun": 0}), "MissingRequiredProperty", VM + "dataDisks[0].diskSizeGB"),
    (data({"diskSizeGB": 1}), "MissingRequiredProperty", VM + "dataDisks[0].lun"),
    (data({**DISK, "lun": 64}), "InvalidPropertyValue", VM + "dataDisks[0].lun"),
    (data({**DISK, "lun": -1}), "InvalidPropertyValue", VM + "dataDisks[0].lun"),
    (data(DISK, DISK), "InvalidPropertyValue", VM + "dataDisks[1].lun"),
    (data({**DISK, "diskSizeGB": 0}), "InvalidPropertyValue", VM + "dataDisks[0].diskSizeGB"),
    (data({**DISK, "diskSizeGB": 32_768}), "InvalidPropertyValue", VM + "dataDisks[0].diskSizeGB"),
    (data({**DISK, "caching": "some"}), "InvalidPropertyValue", VM + "dataDisks[0].caching"),
    (
        data({**DISK, "storageAccountType": "x"}),
        "InvalidPropertyValue",
        VM + "dataDisks[0].storageAccountType",
    ),
    (
        data(
            {
                **DISK,
                "storageAccountType": "premium_lrs",
                "managedDisk": {"storageAccountType": "standard_lrs"},
            }
        ),
        "InvalidPropertyValue",
        VM + "dataDisks[0].storageAccountType",
    ),
    (
        data({**DISK, "managedDisk": {"diskEncryptionSet": {"id": "/x"}}}),
        "UnsupportedProperty",
        VM + "dataDisks[0].managedDisk.diskEncryptionSet",
    ),
    (os_disk(diskSizeGB=0), "InvalidPropertyValue", VM + "osDisk.diskSizeGB"),
    (os_disk(writeAcceleratorEnabled=True), "UnsupportedProperty", VM + "osDisk.writeAcceleratorEnabled"),
    (
        os_disk(managedDisk={"securityProfile": {"securityEncryptionType": "VMGuestStateOnly"}}),
        "UnsupportedProperty",
        VM + "osDisk.managedDisk.securityProfile",
    ),
    (
        os_disk(ephemeralOSDiskSettings={"placement": "moon"}),
        "InvalidPropertyValue",
        VM + "osDisk.ephemeralOSDiskSettings.placement",
    ),
    (mounts({}), "InvalidPropertyValue", "mountConfiguration[0]"),
    (
        mounts(
            {
                **GOOD,
                "cifsMountConfiguration": {
                    "username": "u",
                    "password": SECRET,
                    "source": "//s/s",
                    "relativeMountPath": "c",
                },
            }
        ),
        "InvalidPropertyValue",
        "mountConfiguration[0]",
    ),
    (
        mounts(
            {
                "azureBlobFileSystemConfiguration": {
                    "accountName": "a",
                    "containerName": "c",
                    "accountKey": SECRET,
                    "relativeMountPath": "b",
                }
            }
        ),
        "UnsupportedProperty",
        MOUNT + "azureBlobFileSystemConfiguration",
    ),
    (
        mounts(
            {
                "azureFileShareConfiguration": {
                    "accountName": "a",
                    "azureFileUrl": "https://a/b",
                    "accountKey": SECRET,
                    "relativeMountPath": "b",
                }
            }
        ),
        "UnsupportedProperty",
        MOUNT + "azureFileShareConfiguration",
    ),
    (
        mounts(
            {
                "cifsMountConfiguration": {
                    "username": "u",
                    "password": SECRET,
                    "source": "//s/s",
                    "relativeMountPath": "c",
                }
            }
        ),
        "UnsupportedProperty",
        MOUNT + "cifsMountConfiguration",
    ),
    (mounts(*[GOOD] * 11), "InvalidPropertyValue", "mountConfiguration"),
    (
        mounts(GOOD, GOOD),
        "InvalidPropertyValue",
        "mountConfiguration[1].nfsMountConfiguration.relativeMountPath",
    ),
    (nfs(relativeMountPath="/data"), "InvalidPropertyValue", NFS + "relativeMountPath"),
    (nfs(relativeMountPath="a/../../b"), "InvalidPropertyValue", NFS + "relativeMountPath"),
    (nfs(relativeMountPath="fshare-x"), "InvalidPropertyValue", NFS + "relativeMountPath"),
    (nfs(source="nowhere"), "InvalidPropertyValue", NFS + "source"),
    (nfs(source="server:export"), "InvalidPropertyValue", NFS + "source"),
    (nfs(source="poolwright:unknown/x"), "InvalidPropertyValue", NFS + "source"),
    (nfs(source="poolwright:scenes/../.."), "InvalidPropertyValue", NFS + "source"),
    (nfs(mountOptions="ro;reboot"), "InvalidPropertyValue", NFS + "mountOptions"),
    (nfs(source="poolwright:scenes", mountOptions="exec"), "InvalidPropertyValue", NFS + "mountOptions"),
]
