"""Errors the service reports to callers, by their public codes.

Codes and statuses follow the public error tables of the Batch and Resource Manager services.
"""

from __future__ import annotations

from collections.abc import Sequence

#: code -> (HTTP status, default text)
CODES: dict[str, tuple[int, str]] = {
    "ConditionNotMet": (412, "The condition specified in the request headers is not met."),
    "MissingRequiredProperty": (400, "A required property was not given in the request body."),
    "UnsupportedProperty": (400, "A property in the request body is not supported."),
    "InvalidPropertyValue": (400, "The value of one of the properties in the request body is not valid."),
    "InvalidRequestBody": (400, "The request body is not valid."),
    "EmptyMetadataKey": (400, "The key of a metadata item is empty."),
    "InvalidMetadata": (400, "A metadata item is not valid."),
    "MetadataTooLarge": (400, "The metadata is larger than permitted."),
    "InvalidInput": (400, "One of the inputs is not valid."),
    "OutOfRangeInput": (400, "One of the inputs is out of range."),
    "OutOfRangePriority": (400, "The priority must lie between -1000 and 1000."),
    "MissingRequiredQueryParameter": (400, "A required query parameter is missing."),
    "InvalidQueryParameterValue": (400, "The value of one of the query parameters is not valid."),
    "OutOfRangeQueryParameterValue": (400, "A query parameter is outside its permitted range."),
    "UnsupportedQueryParameter": (400, "A query parameter is not supported."),
    "MissingRequiredHeader": (400, "A required header of the request was not given."),
    "UnsupportedHeader": (400, "A header of the request is not supported by this operation."),
    "InvalidHeaderValue": (400, "The value of one of the headers is not valid."),
    "MultipleConditionHeadersNotSupported": (400, "This combination of condition headers is not supported."),
    "UnsupportedRequestVersion": (400, "The api-version of the request is not supported."),
    "InvalidUri": (400, "The requested address does not name anything this service has."),
    "RequestUrlFailedToParse": (400, "The address of the request could not be parsed."),
    "InvalidHttpVerb": (400, "The HTTP verb of the request is not known to the server."),
    "InvalidAuthenticationInfo": (400, "The authentication information is not in the right form."),
    "InvalidAutoScalingSettings": (400, "The autoscale settings are not valid."),
    "AutoScalingFormulaSyntaxError": (400, "The autoscale formula has a syntax error."),
    "AutoScalingFormulaTooLong": (400, "The autoscale formula is too long."),
    "TaskDependenciesNotSpecifiedOnJob": (400, "The job does not use task dependencies."),
    "TaskDependencyListTooLong": (400, "The ids of the tasks depended on are too long together."),
    "TaskDependencyRangesTooLong": (400, "There are too many ranges of tasks depended on."),
    "InvalidConstraintValue": (400, "One of the constraints is not valid."),
    "AuthenticationFailed": (403, "The server could not authenticate the request."),
    "InsufficientAccountPermissions": (403, "The caller lacks the permission for this operation."),
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "PathNotFound": (404, "The specified path does not exist."),
    "PoolNotFound": (404, "The specified pool does not exist."),
    "NodeNotFound": (404, "The specified node does not exist."),
    "JobNotFound": (404, "The specified job does not exist."),
    "JobScheduleNotFound": (404, "The specified job schedule does not exist."),
    "TaskNotFound": (404, "The specified task does not exist."),
    "FileNotFound": (404, "The specified file does not exist."),
    "NodeUserNotFound": (404, "The specified node user does not exist."),
    "NodeAgentSKUNotFound": (404, "The specified node agent SKU does not exist."),
    "CertificateNotFound": (404, "The specified certificate does not exist."),
    "ApplicationNotFound": (404, "The specified application does not exist."),
    "UnsupportedHttpVerb": (405, "The resource does not support this HTTP verb."),
    "MissingContentLengthHeader": (411, "The Content-Length header was not given."),
    "RequestBodyTooLarge": (413, "The request body is too large and exceeds the maximum permissible limit."),
    "RequestEntityTooLarge": (413, "The entity described by the request is too large."),
    "InvalidRange": (416, "The range asked for lies outside the file."),
    "OperationInvalidForCurrentState": (
        409,
        "The operation is not valid in the current state of the resource.",
    ),
    "HostDiskFull": (409, "The disk of this host is nearly full: nothing new is taken in."),
    "PoolExists": (409, "The specified pool already exists."),
    "PoolBeingDeleted": (409, "The specified pool is being deleted."),
    "PoolBeingResized": (409, "The specified pool is being resized."),
    "PoolQuotaReached": (409, "The account's quota of pools is used up."),
    "InvalidApplicationPackageReferences": (
        409,
        "One or more application package references could not be satisfied.",
    ),
    "InvalidCertificateReferences": (409, "One or more certificate references could not be satisfied."),
    "CertificateExists": (409, "The specified certificate already exists."),
    "CertificateBeingDeleted": (409, "The specified certificate is being deleted."),
    "CertificateStateActive": (409, "The specified certificate is active: no deletion of it has failed."),
    "NodeBeingCreated": (409, "The specified node is being created."),
    "NodeBeingStarted": (409, "The specified node is being started."),
    "NodeBeingRebooted": (409, "The specified node is being rebooted."),
    "NodeBeingReimaged": (409, "The specified node is being reimaged."),
    "NodeUserExists": (409, "The specified node user already exists."),
    "NodeStateUnusable": (409, "The specified node is unusable."),
    "NodeNotReady": (409, "The specified node is not ready to serve this request."),
    "NodeAlreadyInTargetSchedulingState": (409, "The node already is in the scheduling state asked for."),
    "OperationNotValidOnPool": (409, "The operation is not valid on this pool."),
    "OperationNotValidOnNode": (409, "The operation is not valid on this node."),
    "JobExists": (409, "The specified job already exists."),
    "JobBeingTerminated": (409, "The specified job is being terminated."),
    "JobBeingDeleted": (409, "The specified job is being deleted."),
    "JobDisabled": (409, "The specified job is disabled."),
    "JobCompleted": (409, "The specified job has completed."),
    "JobNotActive": (409, "The specified job is not active."),
    "ActiveJobAndScheduleQuotaReached": (409, "The account's quota of active jobs and schedules is used up."),
    "JobScheduleExists": (409, "The specified job schedule already exists."),
    "JobScheduleDisabled": (409, "The specified job schedule is disabled."),
    "JobScheduleCompleted": (409, "The specified job schedule has completed."),
    "JobScheduleBeingTerminated": (409, "The specified job schedule is being terminated."),
    "JobScheduleBeingDeleted": (409, "The specified job schedule is being deleted."),
    "JobWithSameIdExists": (409, "A job with the same id exists; jobs and job schedules share their ids."),
    "JobScheduleWithSameIdExists": (
        409,
        "A job schedule with the same id exists; jobs and job schedules share their ids.",
    ),
    "TaskExists": (409, "The specified task already exists."),
    "TaskCompleted": (409, "The specified task has completed."),
    "TaskNotCompleted": (409, "The specified task has not completed."),
    "TaskSucceeded": (409, "The specified task has succeeded."),
    "JobPreparationTaskNotSpecified": (409, "The specified job has no job preparation task."),
    "JobReleaseTaskNotSpecified": (409, "The specified job has no job release task."),
    "TaskIdSameAsJobPreparationTask": (409, "The job's preparation task has this id."),
    "TaskIdSameAsJobReleaseTask": (409, "The job's release task has this id."),
    "TaskFilesUnavailable": (409, "The files of the specified task are not available."),
    "TaskFilesCleanedup": (409, "The files of the specified task have been cleaned up."),
    "InternalError": (500, "The server met an internal error. Please try again."),
    "OperationTimedOut": (500, "The operation took longer than permitted."),
    "NotImplemented": (501, "This version does not support the operation yet."),
    "TooManyEnableAutoScaleRequests": (
        503,
        "Autoscale of a pool can be enabled or changed once in 30 seconds.",
    ),
    "ServerBusy": (503, "The server is busy. Please try again."),
}


class ServiceError(Exception):
    """An answer to a data-plane caller: a public code, a text and named values.

    `values` are (key, value) pairs such as ("PropertyName", "vmSize"), ("Reason", "...").
    Raises KeyError when made with a code that is not in `CODES`.
    """

    def __init__(self, code: str, message: str | None = None, values: Sequence[tuple[str, str]] = ()) -> None:
        self.code = code
        self.status, default = CODES[code]
        self.message = message or default
        self.values = tuple(values)
        super().__init__(f"{code}: {self.message}" + "".join(f" {k}={v!r}" for k, v in self.values))


def bad_property(name: str, value: object, reason: str, code: str = "InvalidPropertyValue") -> ServiceError:
    """The error for a body property that is not acceptable, naming the property, the value and the reason."""
    shown = str(value)
    if len(shown) > 200:
        shown = shown[:200] + "..."
    return ServiceError(code, None, (("PropertyName", name), ("PropertyValue", shown), ("Reason", reason)))


def within(prefix: str, error: ServiceError) -> ServiceError:
    """The error of a part of a body as the error of the whole: the property's name gets the way to the part."""
    values = [(key, prefix + value if key == "PropertyName" else value) for key, value in error.values]
    return ServiceError(error.code, error.message, values)


FREE_SPACE = (
    "Free space on the host (delete files, disks, snapshots, images or pools) or give it a bigger disk; the service "
    "goes on by itself."
)


def disk_full(cause: str) -> ServiceError:
    """The answer to what would need room on the host's disk while there is none."""
    values = (("Cause", cause), ("NextStep", FREE_SPACE))
    return ServiceError("HostDiskFull", f"{cause}; nothing new is taken in. {FREE_SPACE}", values)


class ManagementError(Exception):
    """An answer to a management (Resource Manager) caller: HTTP status, code, text and an optional target.

    `details` are (code, target, message) of the single things behind it, such as the users of what cannot be deleted.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        target: str | None = None,
        details: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.details = tuple(details)
