"""Requests that must be refused: method, path, body, status, code, words of the message."""

from __future__ import annotations

from typing import Any

from tests.unit.resources.house import SUBSCRIPTION
from tests.wire.arm.test_sdk_story import machine

BASE = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{BASE}/resourceGroups/bad"
COMPUTE = f"{GROUP}/providers/Microsoft.Compute"
V = "?api-version=2026-04-01"


def disk(**properties: Any) -> dict[str, Any]:
    return {
        "location": "local",
        "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1, **properties},
    }


def vm(change: dict[str, Any]) -> dict[str, Any]:
    body = machine()
    for path, value in change.items():
        *way, last = path.split(".")
        place: Any = body
        for word in way:
            place = place[int(word)] if word.isdigit() else place[word]
        if value is None:
            place.pop(last)
        else:
            place[last] = value
    return body


PROFILE = "properties.storageProfile"
SOURCE = f"{GROUP}/providers/Microsoft.Compute/snapshots/none"
CASES: list[tuple[str, str, Any, int, str, str]] = [
    ("PUT", f"{COMPUTE}/disks/d", b"{not json", 400, "InvalidRequestContent", "deserialized"),
    ("PUT", f"{COMPUTE}/disks/d", {**disk(), "zones": ["1"]}, 400, "InvalidParameter", "'zones'"),
    ("PUT", f"{COMPUTE}/disks/d", disk(maxShares=2), 400, "InvalidParameter", "It may be 1"),
    ("PUT", f"{COMPUTE}/snapshots/s", disk(diskAccessId="/x"), 400, "InvalidParameter", "beginGetAccess"),
    ("PATCH", f"{COMPUTE}/disks/d", {"properties": {"diskSizeGB": 9}}, 400, "InvalidParameter", "PATCH"),
    (
        "PUT",
        f"{COMPUTE}/images/i",
        {"location": "local", "properties": {"storageProfile": {"zoneResilient": True}}},
        400,
        "InvalidParameter",
        "'properties.storageProfile.zoneResilient'",
    ),
    (
        "PUT",
        f"{COMPUTE}/galleries/g",
        {"location": "local", "properties": {"sharingProfile": {"communityGalleryInfo": {"eula": "e"}}}},
        400,
        "InvalidParameter",
        "communityGalleryInfo",
    ),
    ("PUT", f"{COMPUTE}/disks/d", b"[1]", 400, "InvalidRequestContent", "object was expected"),
    ("PUT", f"{COMPUTE}/disks/d", b"[" * 100_000, 400, "InvalidRequestContent", "nested"),
    ("PUT", f"{COMPUTE}/disks/d", b"", 400, "InvalidRequestContent", ""),
    ("PUT", f"{COMPUTE}/disks/d", b'{"a": "\xff"}', 400, "InvalidRequestContent", ""),
    ("PUT", f"{COMPUTE}/disks/d", {"location": "local"}, 400, "InvalidParameter", "'properties'"),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        disk(diskSizeGB="big"),
        400,
        "InvalidParameter",
        "'big' of 'properties.diskSizeGB'",
    ),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        disk(diskSizeGB=0),
        400,
        "InvalidParameter",
        "'0' of 'properties.diskSizeGB'",
    ),
    ("PUT", f"{COMPUTE}/disks/d", disk(diskSizeGB=99999), 400, "InvalidParameter", "32767"),
    ("PUT", f"{COMPUTE}/disks/d", disk(osType="BeOS"), 400, "InvalidParameter", "Linux, Windows"),
    ("PUT", f"{COMPUTE}/disks/d", disk(hyperVGeneration="V9"), 400, "InvalidParameter", "hyperVGeneration"),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        disk(creationData={}),
        400,
        "InvalidParameter",
        "creationData.createOption",
    ),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        disk(creationData={"createOption": "Magic"}),
        400,
        "InvalidParameter",
        "'Magic'",
    ),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        disk(creationData={"createOption": "Upload"}),
        400,
        "InvalidParameter",
        "uploadSizeBytes",
    ),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        disk(creationData={"createOption": "Copy"}),
        400,
        "InvalidParameter",
        "sourceResourceId",
    ),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        disk(creationData={"createOption": "Copy", "sourceResourceId": "/../../etc/passwd"}),
        400,
        "InvalidParameter",
        "etc/passwd",
    ),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        disk(creationData={"createOption": "Copy", "sourceResourceId": SOURCE}),
        404,
        "ResourceNotFound",
        "snapshots/none",
    ),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        {**disk(), "sku": {"name": "Gold"}},
        400,
        "InvalidParameter",
        "'Gold' of 'sku.name'",
    ),
    ("PUT", f"{COMPUTE}/disks/d", {**disk(), "location": None}, 400, "LocationRequired", "location"),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        {**disk(), "location": "a/b"},
        400,
        "InvalidParameter",
        "'a/b' of 'location'",
    ),
    ("PUT", f"{COMPUTE}/disks/d", {**disk(), "tags": {"a": 5}}, 400, "InvalidParameter", "tags"),
    (
        "PUT",
        f"{COMPUTE}/disks/d",
        {**disk(), "tags": {str(i): "" for i in range(51)}},
        400,
        "InvalidParameter",
        "51",
    ),
    ("PUT", f"{COMPUTE}/disks/-d", disk(), 400, "InvalidResourceName", "'-d'"),
    ("PUT", f"{COMPUTE}/disks/a%2Fb", disk(), 400, "InvalidResourceName", "'a/b'"),
    ("PUT", f"{COMPUTE}/disks/{'d' * 81}", disk(), 400, "InvalidResourceName", "80"),
    ("PUT", f"{BASE}/resourceGroups/ends.", {"location": "local"}, 400, "InvalidResourceName", "period"),
    ("PUT", f"{BASE}/resourceGroups/{'g' * 91}", {"location": "local"}, 400, "InvalidResourceName", "90"),
    ("PUT", f"{COMPUTE}/snapshots/s", disk(), 400, "InvalidParameter", "createOption"),
    (
        "PUT",
        f"{COMPUTE}/images/i",
        {"location": "local", "properties": {}},
        400,
        "InvalidParameter",
        "osDisk",
    ),
    (
        "PUT",
        f"{COMPUTE}/images/i",
        {"location": "local", "properties": {"storageProfile": {"osDisk": {"osType": "Linux"}}}},
        400,
        "InvalidParameter",
        "osDisk.osState",
    ),
    (
        "PUT",
        f"{COMPUTE}/images/i",
        {
            "location": "local",
            "properties": {"storageProfile": {"osDisk": {"osType": "Linux", "osState": "Generalized"}}},
        },
        400,
        "InvalidParameter",
        "Exactly one",
    ),
    (
        "PUT",
        f"{COMPUTE}/images/i",
        {"location": "local", "properties": {"sourceVirtualMachine": {"id": SOURCE}}},
        400,
        "InvalidParameter",
        "virtualMachines",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({"properties.hardwareProfile.vmSize": "Huge"}),
        400,
        "InvalidParameter",
        "'Huge'",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.imageReference": None}),
        400,
        "InvalidParameter",
        "imageReference",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.imageReference.offer": "beos"}),
        404,
        "PlatformImageNotFound",
        "beos",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.imageReference.id": SOURCE}),
        400,
        "InvalidParameter",
        "exactly one form",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.dataDisks.0.lun": 64}),
        400,
        "InvalidParameter",
        "'64'",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.dataDisks.0.lun": None}),
        400,
        "InvalidParameter",
        "lun",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.dataDisks.0.caching": "Lots"}),
        400,
        "InvalidParameter",
        "'Lots'",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.dataDisks.0.diskSizeGB": None}),
        400,
        "InvalidParameter",
        "diskSizeGB",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.osDisk.createOption": "Empty"}),
        400,
        "InvalidParameter",
        "'Empty'",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.osDisk.diskSizeGB": 1}),
        400,
        "InvalidParameter",
        "which is more",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.osDisk.osType": "Windows"}),
        400,
        "InvalidParameter",
        "'Windows'",
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/v",
        vm({f"{PROFILE}.osDisk.vhd": {"uri": "x"}}),
        400,
        "InvalidParameter",
        "vhd",
    ),
    ("POST", f"{COMPUTE}/virtualMachines/v/start", b"", 404, "ResourceNotFound", "virtualMachines/v"),
    ("POST", f"{COMPUTE}/virtualMachines/v/fly", b"", 404, "InvalidResourceType", "fly"),
    ("POST", f"{COMPUTE}/virtualMachines/v/runCommand", {}, 400, "InvalidParameter", "commandId"),
    (
        "POST",
        f"{COMPUTE}/virtualMachines/v/runCommand",
        {"commandId": 5},
        400,
        "InvalidParameter",
        "commandId",
    ),
    ("PATCH", f"{COMPUTE}/disks/none", {"tags": {}}, 404, "ResourceNotFound", "disks/none"),
    ("POST", f"{COMPUTE}/disks/none", b"", 405, "HttpMethodNotAllowed", "POST"),
    ("DELETE", f"{COMPUTE}/images/none{V}&forceDeletion=maybe", b"", 400, "InvalidParameter", "'maybe'"),
    ("GET", f"{COMPUTE}/disks/none", b"", 404, "ResourceNotFound", "disks/none"),
    ("GET", f"{BASE}/resourceGroups/nowhere", b"", 404, "ResourceGroupNotFound", "nowhere"),
    (
        "GET",
        f"{BASE}/resourceGroups/nowhere/providers/Microsoft.Compute/disks",
        b"",
        404,
        "ResourceGroupNotFound",
        "",
    ),
    (
        "GET",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups",
        b"",
        404,
        "SubscriptionNotFound",
        "",
    ),
    ("GET", f"{BASE}/providers/Microsoft.Coffee", b"", 404, "InvalidResourceNamespace", "Coffee"),
    ("GET", f"{BASE}/resources{V}&$filter=price gt 5", b"", 400, "InvalidFilterInQueryString", "price"),
    (
        "GET",
        f"{BASE}/providers/Microsoft.Compute/locations/local/operations/x",
        b"",
        404,
        "OperationNotFound",
        "'x'",
    ),
    ("GET", f"{BASE}{'/a' * 40}", b"", 404, "InvalidResourceType", ""),
    ("GET", f"{COMPUTE}/disks?x=1", b"", 400, "MissingApiVersionParameter", "api-version"),
    ("GET", f"{COMPUTE}/disks?api-version=", b"", 400, "MissingApiVersionParameter", ""),
    ("GET", f"{COMPUTE}/disks?api-version=newest", b"", 400, "InvalidApiVersionParameter", "newest"),
    (
        "PUT",
        f"{GROUP}/providers/Microsoft.Batch/batchAccounts/UPPER",
        {"location": "local"},
        400,
        "InvalidAccountName",
        "UPPER",
    ),
    (
        "PUT",
        f"{GROUP}/providers/Microsoft.Batch/batchAccounts/render9",
        {"location": "local", "properties": {"allowedAuthenticationModes": ["aad"]}},
        400,
        "InvalidParameter",
        "SharedKey and AAD",
    ),
    (
        "PUT",
        f"{GROUP}/providers/Microsoft.Batch/batchAccounts/render9",
        {"location": "local", "properties": {"publicNetworkAccess": "Disabled"}},
        400,
        "InvalidParameter",
        "'Disabled' of 'properties.publicNetworkAccess'",
    ),
    (
        "PUT",
        f"{GROUP}/providers/Microsoft.Batch/batchAccounts/render9",
        {"location": "local", "properties": {"poolAllocationMode": "UserSubscription"}},
        400,
        "InvalidParameter",
        "UserSubscription",
    ),
    (
        "PUT",
        f"{GROUP}/providers/Microsoft.Batch/batchAccounts/render9",
        {"location": "local", "properties": {"allowedAuthenticationModes": ["Password"]}},
        400,
        "InvalidParameter",
        "allowedAuthenticationModes[0]",
    ),
    (
        "POST",
        f"{GROUP}/providers/Microsoft.Batch/batchAccounts/none/listKeys",
        b"",
        404,
        "ResourceNotFound",
        "",
    ),
]
