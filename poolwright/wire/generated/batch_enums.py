"""Enumerations of Batch data-plane requests. Written by tools/genwire.py from public facts: change that instead."""

from __future__ import annotations

from poolwright.wire.scalars import WireEnum


class AutoUserScope(WireEnum):
    TASK = "task"
    POOL = "pool"


class BatchAllTasksCompleteMode(WireEnum):
    NOACTION = "noaction"
    TERMINATEJOB = "terminatejob"


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


class BatchTaskFailureMode(WireEnum):
    NOACTION = "noaction"
    PERFORMEXITOPTIONSJOBACTION = "performexitoptionsjobaction"


class CachingType(WireEnum):
    NONE = "none"
    READONLY = "readonly"
    READWRITE = "readwrite"


class DiffDiskPlacement(WireEnum):
    CACHEDISK = "cachedisk"


class DisableBatchJobOption(WireEnum):
    REQUEUE = "requeue"
    TERMINATE = "terminate"
    WAIT = "wait"


class ElevationLevel(WireEnum):
    NONADMIN = "nonadmin"
    ADMIN = "admin"


class StorageAccountType(WireEnum):
    STANDARD_LRS = "standard_lrs"
    PREMIUM_LRS = "premium_lrs"
    STANDARDSSD_LRS = "standardssd_lrs"
