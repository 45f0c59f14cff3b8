"""Enumerations of Batch data-plane requests. Written by tools/genwire.py from public facts: change that instead."""

from __future__ import annotations

from poolwright.wire.scalars import WireEnum


class AutoUserScope(WireEnum):
    TASK = "task"
    POOL = "pool"


class BatchAllTasksCompleteMode(WireEnum):
    NOACTION = "noaction"
    TERMINATEJOB = "terminatejob"
    TERMINATEJOBWHENIDLE = "terminatejobwhenidle"


class BatchJobActionKind(WireEnum):
    NONE = "none"
    DISABLE = "disable"
    TERMINATE = "terminate"


class BatchJobDefaultOrder(WireEnum):
    NONE = "none"
    CREATIONTIME = "creationtime"


class BatchNodeDeallocateOption(WireEnum):
    REQUEUE = "requeue"
    TERMINATE = "terminate"
    TASKCOMPLETION = "taskcompletion"
    RETAINEDDATA = "retaineddata"


BatchNodeDeallocationOption = BatchNodeDeallocateOption


class BatchNodeDisableSchedulingOption(WireEnum):
    REQUEUE = "requeue"
    TERMINATE = "terminate"
    TASKCOMPLETION = "taskcompletion"


class BatchNodeFillType(WireEnum):
    SPREAD = "spread"
    PACK = "pack"


class BatchNodePlacementPolicyType(WireEnum):
    REGIONAL = "regional"
    ZONAL = "zonal"


BatchNodeRebootKind = BatchNodeDeallocateOption


BatchNodeReimageOption = BatchNodeDeallocateOption


class BatchPoolLifetimeOption(WireEnum):
    JOBSCHEDULE = "jobschedule"
    JOB = "job"


class BatchTaskFailureMode(WireEnum):
    NOACTION = "noaction"
    PERFORMEXITOPTIONSJOBACTION = "performexitoptionsjobaction"


class CachingType(WireEnum):
    NONE = "none"
    READONLY = "readonly"
    READWRITE = "readwrite"


class ContainerHostDataPath(WireEnum):
    SHARED = "Shared"
    STARTUP = "Startup"
    VFS_MOUNTS = "VfsMounts"
    TASK = "Task"
    JOB_PREP = "JobPrep"
    APPLICATIONS = "Applications"


class ContainerType(WireEnum):
    DOCKER_COMPATIBLE = "dockerCompatible"
    CRI_COMPATIBLE = "criCompatible"


class ContainerWorkingDirectory(WireEnum):
    TASK_WORKING_DIRECTORY = "taskWorkingDirectory"
    CONTAINER_IMAGE_DEFAULT = "containerImageDefault"


class DependencyAction(WireEnum):
    SATISFY = "satisfy"
    BLOCK = "block"


class DiffDiskPlacement(WireEnum):
    CACHEDISK = "cachedisk"


class DisableBatchJobOption(WireEnum):
    REQUEUE = "requeue"
    TERMINATE = "terminate"
    WAIT = "wait"


class DynamicVNetAssignmentScope(WireEnum):
    NONE = "none"
    JOB = "job"


class ElevationLevel(WireEnum):
    NONADMIN = "nonadmin"
    ADMIN = "admin"


class IPFamily(WireEnum):
    IPV4 = "IPv4"
    IPV6 = "IPv6"


class InboundEndpointProtocol(WireEnum):
    TCP = "tcp"
    UDP = "udp"


class IpAddressProvisioningType(WireEnum):
    BATCHMANAGED = "batchmanaged"
    USERMANAGED = "usermanaged"
    NOPUBLICIPADDRESSES = "nopublicipaddresses"


class LoginMode(WireEnum):
    BATCH = "batch"
    INTERACTIVE = "interactive"


class NetworkSecurityGroupRuleAccess(WireEnum):
    ALLOW = "allow"
    DENY = "deny"


class OutputFileUploadCondition(WireEnum):
    TASKSUCCESS = "tasksuccess"
    TASKFAILURE = "taskfailure"
    TASKCOMPLETION = "taskcompletion"


class StorageAccountType(WireEnum):
    STANDARD_LRS = "standard_lrs"
    PREMIUM_LRS = "premium_lrs"
    STANDARDSSD_LRS = "standardssd_lrs"


class UpgradeMode(WireEnum):
    AUTOMATIC = "automatic"
    MANUAL = "manual"
    ROLLING = "rolling"
