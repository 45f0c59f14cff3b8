"""Bodies that are refused: what is changed in a good one, the code and the property the error names."""

from __future__ import annotations

from typing import Any

from tests.wire.batch.bad_containers import CONTAINER_POOLS, CONTAINER_TASKS
from tests.wire.batch.bad_files import FILES, START_TASKS
from tests.wire.batch.bad_files import JOBS as JOB_FILES
from tests.wire.batch.bad_gangs import GANGS
from tests.wire.batch.bad_storage import STORAGE

VM = "virtualMachineConfiguration"
MACHINE = {
    "imageReference": {"publisher": "debian", "offer": "debian-12", "sku": "12"},
    "nodeAgentSKUId": "batch.node.debian 12",
}
POOL: dict[str, Any] = {
    "id": "bad",
    "vmSize": "standard_d2s_v3",
    "virtualMachineConfiguration": MACHINE,
    "targetDedicatedNodes": 1,
}
JOB: dict[str, Any] = {"id": "bad", "poolInfo": {"poolId": "p"}}
TASK: dict[str, Any] = {"id": "bad", "commandLine": "x"}
IMAGE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i"


def machine(**change: object) -> dict[str, object]:
    return {"virtualMachineConfiguration": {**MACHINE, **change}}


def scaled(**change: object) -> dict[str, object]:
    given = {"enableAutoScale": True, "autoScaleFormula": "x=1", "targetDedicatedNodes": None}
    return {**given, **change}


POOLS = [
    *STORAGE,
    *CONTAINER_POOLS,
    *START_TASKS,
    ({"nonsense": 1}, "UnsupportedProperty", "nonsense"),
    ({"vmSize": None}, "MissingRequiredProperty", "vmSize"),
    ({"vmSize": 7}, "InvalidPropertyValue", "vmSize"),
    ({"vmSize": "standard_nothing"}, "InvalidPropertyValue", "vmSize"),
    ({"vmSize": ""}, "InvalidPropertyValue", "vmSize"),
    ({"id": "a b"}, "InvalidPropertyValue", "id"),
    ({"id": "x" * 65}, "InvalidPropertyValue", "id"),
    ({"id": ""}, "InvalidPropertyValue", "id"),
    ({"targetDedicatedNodes": "many"}, "InvalidPropertyValue", "targetDedicatedNodes"),
    ({"targetDedicatedNodes": -1}, "InvalidPropertyValue", "targetDedicatedNodes"),
    ({"targetDedicatedNodes": 2**40}, "InvalidPropertyValue", "targetDedicatedNodes"),
    ({"targetDedicatedNodes": None}, "MissingRequiredProperty", "targetDedicatedNodes"),
    ({"resizeTimeout": "PT4M"}, "InvalidPropertyValue", "resizeTimeout"),
    ({"resizeTimeout": "15 minutes"}, "InvalidPropertyValue", "resizeTimeout"),
    ({"taskSlotsPerNode": 0}, "InvalidPropertyValue", "taskSlotsPerNode"),
    ({"taskSlotsPerNode": 257}, "InvalidPropertyValue", "taskSlotsPerNode"),
    (
        {"taskSchedulingPolicy": {"nodeFillType": "heap"}},
        "InvalidPropertyValue",
        "taskSchedulingPolicy.nodeFillType",
    ),
    ({"displayName": "x" * 1025}, "InvalidPropertyValue", "displayName"),
    ({"metadata": [{"name": "", "value": "v"}]}, "EmptyMetadataKey", "metadata[0].name"),
    ({"metadata": [{"name": "n"}]}, "MissingRequiredProperty", "metadata[0].value"),
    ({"metadata": [{"name": "n", "value": "v" * 9000}]}, "MetadataTooLarge", "metadata"),
    ({"metadata": [{"name": "a\nb", "value": "v"}]}, "InvalidMetadata", "metadata[0]"),
    ({"upgradePolicy": {"mode": "rolling"}}, "UnsupportedProperty", "upgradePolicy.mode"),
    ({"upgradePolicy": {"mode": "sometimes"}}, "InvalidPropertyValue", "upgradePolicy.mode"),
    (
        {"upgradePolicy": {"mode": "manual", "rollingUpgradePolicy": {"maxBatchInstancePercent": 4}}},
        "InvalidPropertyValue",
        "upgradePolicy.rollingUpgradePolicy.maxBatchInstancePercent",
    ),
    (
        {
            "upgradePolicy": {
                "mode": "manual",
                "rollingUpgradePolicy": {"maxBatchInstancePercent": 30, "maxUnhealthyInstancePercent": 20},
            }
        },
        "InvalidPropertyValue",
        "upgradePolicy.rollingUpgradePolicy.maxBatchInstancePercent",
    ),
    (
        {
            "upgradePolicy": {
                "mode": "manual",
                "automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True},
            }
        },
        "UnsupportedProperty",
        "upgradePolicy.automaticOSUpgradePolicy.enableAutomaticOSUpgrade",
    ),
    ({"resourceTags": {"a": "b"}}, "UnsupportedProperty", "resourceTags"),
    ({"applicationLicenses": ["maya"]}, "UnsupportedProperty", "applicationLicenses"),
    ({"identity": {"type": "UserAssigned"}}, "UnsupportedProperty", "identity"),
    ({"targetNodeCommunicationMode": "loud"}, "InvalidPropertyValue", "targetNodeCommunicationMode"),
    (
        machine(windowsConfiguration={"enableAutomaticUpdates": False}),
        "InvalidPropertyValue",
        f"{VM}.windowsConfiguration",
    ),
    (machine(licenseType="Windows_Server"), "InvalidPropertyValue", f"{VM}.licenseType"),
    (machine(licenseType="Site"), "InvalidPropertyValue", f"{VM}.licenseType"),
    (
        machine(diskEncryptionConfiguration={"targets": ["osdisk"]}),
        "InvalidPropertyValue",
        f"{VM}.diskEncryptionConfiguration.targets",
    ),
    (
        machine(diskEncryptionConfiguration={"targets": ["temporarydisk"]}),
        "UnsupportedProperty",
        f"{VM}.diskEncryptionConfiguration",
    ),
    (machine(extensions=[{"name": "x"}]), "UnsupportedProperty", f"{VM}.extensions"),
    (
        machine(securityProfile={"securityType": "trustedLaunch"}),
        "UnsupportedProperty",
        f"{VM}.securityProfile",
    ),
    (
        machine(serviceArtifactReference={"id": "/x"}),
        "UnsupportedProperty",
        f"{VM}.serviceArtifactReference",
    ),
    ({"enableAutoScale": True}, "InvalidAutoScalingSettings", "targetDedicatedNodes"),
    ({"autoScaleFormula": "$x=1;"}, "InvalidAutoScalingSettings", "autoScaleFormula"),
    ({"autoScaleEvaluationInterval": "PT5M"}, "InvalidAutoScalingSettings", "autoScaleEvaluationInterval"),
    (scaled(autoScaleFormula=None), "InvalidAutoScalingSettings", "autoScaleFormula"),
    (scaled(targetLowPriorityNodes=0), "InvalidAutoScalingSettings", "targetLowPriorityNodes"),
    (scaled(autoScaleFormula=" "), "InvalidAutoScalingSettings", "autoScaleFormula"),
    (scaled(autoScaleFormula="$TargetDedicatedNodes="), "AutoScalingFormulaSyntaxError", "autoScaleFormula"),
    (scaled(autoScaleFormula="x=1;" * 101), "AutoScalingFormulaTooLong", "autoScaleFormula"),
    (scaled(autoScaleFormula="x=1;".ljust(8193)), "AutoScalingFormulaTooLong", "autoScaleFormula"),
    (
        scaled(autoScaleEvaluationInterval="PT4M59S"),
        "InvalidPropertyValue",
        "autoScaleEvaluationInterval",
    ),
    (
        scaled(autoScaleEvaluationInterval="P7DT1S"),
        "InvalidPropertyValue",
        "autoScaleEvaluationInterval",
    ),
    ({"networkConfiguration": {"subnetId": "/s"}}, "InvalidPropertyValue", "networkConfiguration.subnetId"),
    (
        {"applicationPackageReferences": [{"applicationId": f"a{n}"} for n in range(11)]},
        "InvalidPropertyValue",
        "applicationPackageReferences",
    ),
    (
        {"applicationPackageReferences": [{"applicationId": "/subscriptions/s/applications/a"}]},
        "InvalidPropertyValue",
        "applicationPackageReferences[0].applicationId",
    ),
    ({"userAccounts": [{"name": "u"}]}, "MissingRequiredProperty", "userAccounts[0].password"),
    ({"userAccounts": [{"name": "root", "password": "p"}]}, "InvalidPropertyValue", "userAccounts[0].name"),
    ({"userAccounts": [{"name": "a" * 21, "password": "p"}]}, "InvalidPropertyValue", "userAccounts[0].name"),
    (
        {"userAccounts": [{"name": n, "password": "p"} for n in ("one", "ONE")]},
        "InvalidPropertyValue",
        "userAccounts[1].name",
    ),
    (
        {"userAccounts": [{"name": "u", "password": "p", "linuxUserConfiguration": {"uid": 5000}}]},
        "InvalidPropertyValue",
        "userAccounts[0].linuxUserConfiguration.gid",
    ),
    (
        {"userAccounts": [{"name": "u", "password": "p", "linuxUserConfiguration": {"uid": 0, "gid": 7}}]},
        "InvalidPropertyValue",
        "userAccounts[0].linuxUserConfiguration.uid",
    ),
    (
        {"userAccounts": [{"name": "u", "password": "p", "linuxUserConfiguration": {"sshPrivateKey": "no"}}]},
        "InvalidPropertyValue",
        "userAccounts[0].linuxUserConfiguration.sshPrivateKey",
    ),
    (
        {
            "userAccounts": [
                {"name": "u", "password": "p", "windowsUserConfiguration": {"loginMode": "batch"}}
            ]
        },
        "UnsupportedProperty",
        "userAccounts[0].windowsUserConfiguration",
    ),
    ({"certificateReferences": [{"thumbprint": "1"}]}, "UnsupportedProperty", "certificateReferences"),
    ({"cloudServiceConfiguration": {"osFamily": "6"}}, "UnsupportedProperty", "cloudServiceConfiguration"),
    ({"virtualMachineConfiguration": None}, "MissingRequiredProperty", "virtualMachineConfiguration"),
    (
        machine(imageReference={}),
        "MissingRequiredProperty",
        "virtualMachineConfiguration.imageReference.publisher",
    ),
    (
        machine(imageReference={"virtualMachineImageId": "debian"}),
        "InvalidPropertyValue",
        f"{VM}.imageReference.virtualMachineImageId",
    ),
    (
        machine(imageReference={"virtualMachineImageId": IMAGE}),
        "InvalidPropertyValue",
        f"{VM}.imageReference.virtualMachineImageId",
    ),
    (
        machine(imageReference={"virtualMachineImageId": IMAGE, "sku": "12"}),
        "InvalidPropertyValue",
        f"{VM}.imageReference.virtualMachineImageId",
    ),
    (
        machine(nodeAgentSKUId="batch.node.plan9"),
        "NodeAgentSKUNotFound",
        f"{VM}.nodeAgentSKUId",
    ),
    (
        machine(nodeAgentSKUId="batch.node.debian 13"),
        "InvalidPropertyValue",
        f"{VM}.nodeAgentSKUId",
    ),
    (
        machine(nodePlacementConfiguration={"policy": "zonal"}),
        "UnsupportedProperty",
        "virtualMachineConfiguration.nodePlacementConfiguration.policy",
    ),
    ({"startTask": {}}, "MissingRequiredProperty", "startTask.commandLine"),
    ({"startTask": {"commandLine": " "}}, "InvalidPropertyValue", "startTask.commandLine"),
    (
        {"startTask": {"commandLine": "x", "maxTaskRetryCount": -2}},
        "InvalidPropertyValue",
        "startTask.maxTaskRetryCount",
    ),
    (
        {"startTask": {"commandLine": "x", "userIdentity": {"username": ""}}},
        "InvalidPropertyValue",
        "startTask.userIdentity.username",
    ),
    (
        {"startTask": {"commandLine": "x", "environmentSettings": [{"name": "A=B", "value": "1"}]}},
        "InvalidPropertyValue",
        "startTask.environmentSettings[0].name",
    ),
]
_MACHINE = {
    "imageReference": {"publisher": "debian", "offer": "debian-12", "sku": "12"},
    "nodeAgentSKUId": "batch.node.debian 12",
}
_POOL = {"vmSize": "standard_d2s_v3", "virtualMachineConfiguration": _MACHINE, "targetDedicatedNodes": 1}
_AUTO = {"poolLifetimeOption": "job", "pool": _POOL}
_WITHIN = "autoPoolSpecification."
#: auto pool, what stands beside it, code, property below poolInfo
_AUTO_POOLS = [
    ({"poolLifetimeOption": "job"}, {}, "MissingRequiredProperty", _WITHIN + "pool"),
    ({"pool": _POOL}, {}, "MissingRequiredProperty", _WITHIN + "poolLifetimeOption"),
    (_AUTO, {"poolId": "base"}, "InvalidPropertyValue", "poolId"),
    (
        {**_AUTO, "poolLifetimeOption": "jobschedule"},
        {},
        "InvalidPropertyValue",
        _WITHIN + "poolLifetimeOption",
    ),
    ({**_AUTO, "autoPoolIdPrefix": "x" * 21}, {}, "InvalidPropertyValue", _WITHIN + "autoPoolIdPrefix"),
    ({**_AUTO, "autoPoolIdPrefix": "a/b"}, {}, "InvalidPropertyValue", _WITHIN + "autoPoolIdPrefix"),
    ({**_AUTO, "pool": {**_POOL, "vmSize": "huge"}}, {}, "InvalidPropertyValue", _WITHIN + "pool.vmSize"),
    (
        {**_AUTO, "pool": {**_POOL, "targetDedicatedNodes": None}},
        {},
        "MissingRequiredProperty",
        _WITHIN + "pool.targetDedicatedNodes",
    ),
    (
        {**_AUTO, "pool": {**_POOL, "virtualMachineConfiguration": None}},
        {},
        "MissingRequiredProperty",
        _WITHIN + "pool.virtualMachineConfiguration",
    ),
]
JOBS = [
    *JOB_FILES,
    ({"poolInfo": None}, "MissingRequiredProperty", "poolInfo"),
    ({"poolInfo": {}}, "MissingRequiredProperty", "poolInfo.poolId"),
    ({"poolInfo": {"poolId": "../x"}}, "InvalidPropertyValue", "poolInfo.poolId"),
    *(
        ({"poolInfo": {"autoPoolSpecification": auto, **more}}, code, f"poolInfo.{name}")
        for auto, more, code, name in _AUTO_POOLS
    ),
    ({"priority": 1001}, "OutOfRangePriority", "priority"),
    ({"priority": "high"}, "InvalidPropertyValue", "priority"),
    ({"maxParallelTasks": 0}, "InvalidPropertyValue", "maxParallelTasks"),
    ({"constraints": {"maxWallClockTime": "PT-1S"}}, "InvalidPropertyValue", "constraints.maxWallClockTime"),
    ({"constraints": {"maxWallClockTime": 5}}, "InvalidPropertyValue", "constraints.maxWallClockTime"),
    ({"constraints": {"maxWallClockTime": "PT0S"}}, "InvalidPropertyValue", "constraints.maxWallClockTime"),
    ({"constraints": {"maxTaskRetryCount": -2}}, "InvalidPropertyValue", "constraints.maxTaskRetryCount"),
    ({"onAllTasksComplete": "explode"}, "InvalidPropertyValue", "onAllTasksComplete"),
    ({"onTaskFailure": "panic"}, "InvalidPropertyValue", "onTaskFailure"),
    (
        {"jobManagerTask": {"id": "m", "commandLine": " "}},
        "InvalidPropertyValue",
        "jobManagerTask.commandLine",
    ),
    ({"jobPreparationTask": {"commandLine": " "}}, "InvalidPropertyValue", "jobPreparationTask.commandLine"),
    ({"jobReleaseTask": {"commandLine": "x"}}, "InvalidPropertyValue", "jobReleaseTask"),
]
TASKS = [
    *FILES,
    *GANGS,
    *CONTAINER_TASKS,
    ({"commandLine": ""}, "InvalidPropertyValue", "commandLine"),
    ({"commandLine": "a\0b"}, "InvalidPropertyValue", "commandLine"),
    ({"requiredSlots": 0}, "InvalidPropertyValue", "requiredSlots"),
    ({"constraints": {"maxTaskRetryCount": -5}}, "InvalidPropertyValue", "constraints.maxTaskRetryCount"),
    ({"dependsOn": {"taskIds": ["a"]}}, "TaskDependenciesNotSpecifiedOnJob", "dependsOn"),
    (
        {"exitConditions": {"exitCodes": [{"code": 1, "exitOptions": {"jobAction": "none"}}]}},
        "InvalidPropertyValue",
        "exitConditions.exitCodes[0].exitOptions.jobAction",
    ),
    (
        {"authenticationTokenSettings": {"access": ["everything"]}},
        "InvalidPropertyValue",
        "authenticationTokenSettings",
    ),
    (
        {"environmentSettings": [{"name": "A", "value": "x" * 40_000}]},
        "RequestEntityTooLarge",
        "environmentSettings",
    ),
    (
        {"userIdentity": {"autoUser": {"scope": "galaxy"}}},
        "InvalidPropertyValue",
        "userIdentity.autoUser.scope",
    ),
]


UPDATES = [
    ("PATCH", "/pools/base", {"vmSize": 3}, "InvalidPropertyValue"),
    ("PATCH", "/pools/base", {"id": "other"}, "UnsupportedProperty"),
    ("PATCH", "/pools/base", {"userAccounts": [{"name": "x", "password": ""}]}, "MissingRequiredProperty"),
    ("PATCH", "/pools/base", {"taskSlotsPerNode": 2}, "OperationInvalidForCurrentState"),
    ("POST", "/pools/base/updateproperties", {"metadata": []}, "MissingRequiredProperty"),
    ("POST", "/pools/base/resize", {}, "MissingRequiredProperty"),
    (
        "POST",
        "/pools/base/resize",
        {"targetDedicatedNodes": 1, "nodeDeallocationOption": "x"},
        "InvalidPropertyValue",
    ),
    ("POST", "/pools/base/removenodes", {"nodeList": []}, "InvalidPropertyValue"),
    ("POST", "/pools/base/removenodes", {"nodeList": ["n"] * 101}, "InvalidPropertyValue"),
    ("POST", "/pools/none/resize", {"targetDedicatedNodes": 1}, "PoolNotFound"),
    ("PATCH", "/jobs/base", {"priority": 5000}, "OutOfRangePriority"),
    ("PATCH", "/jobs/base", {"jobManagerTask": {}}, "UnsupportedProperty"),
    ("PUT", "/jobs/base", {"priority": 1}, "MissingRequiredProperty"),
    ("POST", "/jobs/base/disable", {}, "MissingRequiredProperty"),
    ("POST", "/jobs/base/disable", {"disableTasks": "forget"}, "InvalidPropertyValue"),
    ("POST", "/jobs/base/terminate", {"reason": "x"}, "UnsupportedProperty"),
    ("PUT", "/jobs/base/tasks/base", {"constraints": {"maxTaskRetryCount": -2}}, "InvalidPropertyValue"),
    ("POST", "/jobs/none/tasks", TASK, "JobNotFound"),
    ("POST", "/jobs/none/addtaskcollection", {"value": [TASK]}, "JobNotFound"),
    (
        "POST",
        "/jobs/base/addtaskcollection",
        {"value": [TASK, {"id": "x", "commandLine": 1}]},
        "InvalidPropertyValue",
    ),
    (
        "POST",
        "/jobs/base/addtaskcollection",
        {"value": [{**TASK, "id": f"t{n}"} for n in range(101)]},
        "RequestBodyTooLarge",
    ),
    ("POST", "/pools/base/nodes/none/reboot", None, "NodeNotFound"),
    ("POST", "/pools/base/nodes/none/deallocate", {"nodeDeallocateOption": "never"}, "InvalidPropertyValue"),
    ("POST", "/pools/base/nodes/none/start", None, "NodeNotFound"),
    ("POST", "/pools/base/nodes/none/reimage", None, "NodeNotFound"),
    ("POST", "/pools/base/nodes/none/users", {"name": "visitor", "password": "x"}, "NodeNotFound"),
    ("POST", "/pools/base/nodes/none/users", {"password": "x"}, "MissingRequiredProperty"),
    ("POST", "/pools/base/nodes/none/users", {"name": "root", "password": "x"}, "InvalidPropertyValue"),
    ("POST", "/pools/base/nodes/none/users", {"name": "visitor", "password": "a\nb"}, "InvalidPropertyValue"),
    ("POST", "/pools/base/nodes/none/users", {"name": "a", "expiryTime": "soon"}, "InvalidPropertyValue"),
    ("PUT", "/pools/base/nodes/none/users/visitor", {"sshPublicKey": "none"}, "InvalidPropertyValue"),
    ("DELETE", "/pools/base/nodes/none/users/visitor", None, "NodeNotFound"),
]
BODIES = [
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"null",
    b"\xff\xfe",
    b'{"id":"bad" "vmSize":1}',
    b"[" * 200_000,
    b'{"metadata":' + b"[" * 100_000,
]
