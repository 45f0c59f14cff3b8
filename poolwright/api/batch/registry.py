"""The table of all operations: name, method, path, permission, success code, handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from poolwright.api.auth import Permission, permission
from poolwright.api.batch import (
    accounts,
    applications,
    autoscale,
    certificates,
    events,
    explain,
    files,
    job_schedules,
    jobs,
    node_logs,
    node_users,
    nodes,
    pools,
    tasks,
)
from poolwright.api.batch.answers import Answer
from poolwright.api.batch.call import Call
from poolwright.domain.errors import ServiceError
from poolwright.domain.limits import COLLECTION_BYTES_MAX, REQUEST_BODY_BYTES_MAX

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `job` names the path parameter that holds a job, for callers bound to one."""

    name: str
    method: str
    path: str
    permission: Permission
    success: int
    handler: Handler
    body_max: int = REQUEST_BODY_BYTES_MAX

    @property
    def takes_in(self) -> bool:
        """Whether it makes something that needs room on the host's disk."""
        return self.name.startswith("create_") and self.name != "create_node_user"


def _operation(
    name: str,
    method: str,
    path: str,
    wanted: str,
    success: int,
    handler: Handler,
    body_max: int | None = None,
) -> Operation:
    return Operation(
        name,
        method,
        path,
        permission(f"Batch/{wanted}"),
        success,
        handler,
        body_max or REQUEST_BODY_BYTES_MAX,
    )


_POOL = "/pools/{poolId}"
_NODE = _POOL + "/nodes/{nodeId}"
_USER = _NODE + "/users/{userName}"
_JOB = "/jobs/{jobId}"
_TASK = _JOB + "/tasks/{taskId}"
_FILE = "/files/{filePath...}"
#: Written `/certificates(thumbprintAlgorithm={},thumbprint={})` by clients: see addresses.py.
_CERTIFICATE = "/certificates()/{thumbprintAlgorithm}/{thumbprint}"
_SCHEDULE = "/jobschedules/{jobScheduleId}"

SERVED: tuple[Operation, ...] = (
    _operation("list_supported_images", "GET", "/supportedimages", "images/read", 200, accounts.list_images),
    _operation("list_node_agent_skus", "GET", "/nodeagentskus", "images/read", 200, accounts.list_agent_skus),
    _operation("list_pool_node_counts", "GET", "/nodecounts", "pools/read", 200, accounts.list_node_counts),
    _operation("create_certificate", "POST", "/certificates", "certificates/write", 201, certificates.create),
    _operation("list_certificates", "GET", "/certificates", "certificates/read", 200, certificates.list_all),
    _operation("get_certificate", "GET", _CERTIFICATE, "certificates/read", 200, certificates.get),
    _operation("delete_certificate", "DELETE", _CERTIFICATE, "certificates/delete", 202, certificates.delete),
    _operation(
        "cancel_certificate_deletion",
        "POST",
        _CERTIFICATE + "/canceldelete",
        "certificates/write",
        204,
        certificates.cancel_delete,
    ),
    _operation("list_pool_usage_metrics", "GET", "/poolusagemetrics", "pools/read", 200, accounts.list_usage),
    _operation("list_applications", "GET", "/applications", "applications/read", 200, applications.list_all),
    _operation(
        "get_application", "GET", "/applications/{applicationId}", "applications/read", 200, applications.get
    ),
    _operation("read_events", "GET", "/events", "events/read", 200, events.list_events),
    _operation("create_pool", "POST", "/pools", "pools/write", 201, pools.create),
    _operation("list_pools", "GET", "/pools", "pools/read", 200, pools.list_all),
    _operation("get_pool", "GET", _POOL, "pools/read", 200, pools.get),
    _operation("pool_exists", "HEAD", _POOL, "pools/read", 200, pools.exists),
    _operation("update_pool", "PATCH", _POOL, "pools/write", 200, pools.patch),
    _operation("delete_pool", "DELETE", _POOL, "pools/delete", 202, pools.delete),
    _operation("resize_pool", "POST", _POOL + "/resize", "pools/write", 202, pools.resize),
    _operation("stop_pool_resize", "POST", _POOL + "/stopresize", "pools/write", 202, pools.stop_resize),
    _operation("remove_nodes", "POST", _POOL + "/removenodes", "pools/write", 202, pools.remove_nodes),
    _operation(
        "replace_pool_properties",
        "POST",
        _POOL + "/updateproperties",
        "pools/write",
        204,
        pools.replace_properties,
    ),
    _operation(
        "enable_pool_auto_scale", "POST", _POOL + "/enableautoscale", "pools/write", 200, autoscale.enable
    ),
    _operation(
        "disable_pool_auto_scale", "POST", _POOL + "/disableautoscale", "pools/write", 200, autoscale.disable
    ),
    _operation(
        "evaluate_pool_auto_scale",
        "POST",
        _POOL + "/evaluateautoscale",
        "pools/write",
        200,
        autoscale.evaluate,
    ),
    _operation(
        "simulate_pool_auto_scale",
        "POST",
        _POOL + "/simulateautoscale",
        "pools/read",
        200,
        autoscale.simulate,
    ),
    _operation("upgrade_pool_os", "POST", _POOL + "/upgradeos", "pools/write", 202, pools.upgrade_os),
    _operation("explain_pool", "GET", _POOL + "/explain", "pools/read", 200, explain.pool),
    _operation("list_nodes", "GET", _POOL + "/nodes", "nodes/read", 200, nodes.list_all),
    _operation("get_node", "GET", _NODE, "nodes/read", 200, nodes.get),
    _operation("reboot_node", "POST", _NODE + "/reboot", "nodes/action", 202, nodes.reboot),
    _operation("reimage_node", "POST", _NODE + "/reimage", "nodes/action", 202, nodes.reimage),
    _operation("deallocate_node", "POST", _NODE + "/deallocate", "nodes/action", 202, nodes.deallocate),
    _operation("start_node", "POST", _NODE + "/start", "nodes/action", 202, nodes.start),
    _operation(
        "disable_node_scheduling",
        "POST",
        _NODE + "/disablescheduling",
        "nodes/action",
        200,
        nodes.disable_scheduling,
    ),
    _operation(
        "enable_node_scheduling",
        "POST",
        _NODE + "/enablescheduling",
        "nodes/action",
        200,
        nodes.enable_scheduling,
    ),
    _operation(
        "get_node_remote_login_settings",
        "GET",
        _NODE + "/remoteloginsettings",
        "nodes/read",
        200,
        node_users.remote_login_settings,
    ),
    _operation(
        "get_node_remote_desktop_file", "GET", _NODE + "/rdp", "nodes/read", 200, nodes.remote_desktop
    ),
    _operation("create_node_user", "POST", _NODE + "/users", "nodes/action", 201, node_users.create),
    _operation("replace_node_user", "PUT", _USER, "nodes/action", 200, node_users.replace),
    _operation("delete_node_user", "DELETE", _USER, "nodes/action", 200, node_users.delete),
    _operation(
        "list_node_extensions", "GET", _NODE + "/extensions", "nodes/read", 200, nodes.list_extensions
    ),
    _operation(
        "get_node_extension",
        "GET",
        _NODE + "/extensions/{extensionName}",
        "nodes/read",
        200,
        nodes.get_extension,
    ),
    _operation(
        "upload_node_logs", "POST", _NODE + "/uploadbatchservicelogs", "nodes/action", 200, node_logs.upload
    ),
    _operation("read_node_logs", "GET", _NODE + "/logs", "nodes/read", 200, node_logs.read),
    _operation("preempt_node", "POST", _NODE + "/preempt", "nodes/action", 202, nodes.preempt),
    _operation("get_node_history", "GET", _NODE + "/history", "nodes/read", 200, nodes.history),
    _operation("explain_node", "GET", _NODE + "/explain", "nodes/read", 200, explain.node),
    _operation("list_node_files", "GET", _NODE + "/files", "nodes/files/read", 200, files.list_of_node),
    _operation("download_node_file", "GET", _NODE + _FILE, "nodes/files/read", 200, files.get_of_node),
    _operation(
        "get_node_file_properties", "HEAD", _NODE + _FILE, "nodes/files/read", 200, files.head_of_node
    ),
    _operation("delete_node_file", "DELETE", _NODE + _FILE, "nodes/files/delete", 200, files.delete_of_node),
    _operation("create_job", "POST", "/jobs", "jobs/write", 201, jobs.create),
    _operation("list_jobs", "GET", "/jobs", "jobs/read", 200, jobs.list_all),
    _operation("get_job", "GET", _JOB, "jobs/read", 200, jobs.get),
    _operation("update_job", "PATCH", _JOB, "jobs/write", 200, jobs.patch),
    _operation("replace_job", "PUT", _JOB, "jobs/write", 200, jobs.replace),
    _operation("delete_job", "DELETE", _JOB, "jobs/delete", 202, jobs.delete),
    _operation("disable_job", "POST", _JOB + "/disable", "jobs/write", 202, jobs.disable),
    _operation("enable_job", "POST", _JOB + "/enable", "jobs/write", 202, jobs.enable),
    _operation("terminate_job", "POST", _JOB + "/terminate", "jobs/write", 202, jobs.terminate),
    _operation("explain_job", "GET", _JOB + "/explain", "jobs/read", 200, explain.job),
    _operation("get_job_task_counts", "GET", _JOB + "/taskcounts", "jobs/read", 200, jobs.task_counts),
    _operation(
        "list_job_schedules", "GET", "/jobschedules", "jobschedules/read", 200, job_schedules.list_all
    ),
    _operation(
        "create_job_schedule", "POST", "/jobschedules", "jobschedules/write", 201, job_schedules.create
    ),
    _operation("get_job_schedule", "GET", _SCHEDULE, "jobschedules/read", 200, job_schedules.get),
    _operation("job_schedule_exists", "HEAD", _SCHEDULE, "jobschedules/read", 200, job_schedules.exists),
    _operation("update_job_schedule", "PATCH", _SCHEDULE, "jobschedules/write", 200, job_schedules.patch),
    _operation("replace_job_schedule", "PUT", _SCHEDULE, "jobschedules/write", 200, job_schedules.replace),
    _operation("delete_job_schedule", "DELETE", _SCHEDULE, "jobschedules/delete", 202, job_schedules.delete),
    _operation(
        "disable_job_schedule",
        "POST",
        _SCHEDULE + "/disable",
        "jobschedules/write",
        204,
        job_schedules.disable,
    ),
    _operation(
        "enable_job_schedule", "POST", _SCHEDULE + "/enable", "jobschedules/write", 204, job_schedules.enable
    ),
    _operation(
        "terminate_job_schedule",
        "POST",
        _SCHEDULE + "/terminate",
        "jobschedules/write",
        202,
        job_schedules.terminate,
    ),
    _operation(
        "list_jobs_from_schedule", "GET", _SCHEDULE + "/jobs", "jobs/read", 200, job_schedules.list_jobs
    ),
    _operation(
        "explain_job_schedule", "GET", _SCHEDULE + "/explain", "jobschedules/read", 200, explain.job_schedule
    ),
    _operation(
        "list_job_preparation_and_release_task_status",
        "GET",
        _JOB + "/jobpreparationandreleasetaskstatus",
        "jobs/read",
        200,
        jobs.preparation_and_release,
    ),
    _operation("create_task", "POST", _JOB + "/tasks", "tasks/write", 201, tasks.create),
    _operation(
        "create_task_collection",
        "POST",
        _JOB + "/addtaskcollection",
        "tasks/write",
        200,
        tasks.create_many,
        COLLECTION_BYTES_MAX,
    ),
    _operation("list_tasks", "GET", _JOB + "/tasks", "tasks/read", 200, tasks.list_all),
    _operation("get_task", "GET", _TASK, "tasks/read", 200, tasks.get),
    _operation("replace_task", "PUT", _TASK, "tasks/write", 200, tasks.replace),
    _operation("delete_task", "DELETE", _TASK, "tasks/delete", 200, tasks.delete),
    _operation("terminate_task", "POST", _TASK + "/terminate", "tasks/write", 204, tasks.terminate),
    _operation("reactivate_task", "POST", _TASK + "/reactivate", "tasks/write", 204, tasks.reactivate),
    _operation("explain_task", "GET", _TASK + "/explain", "tasks/read", 200, explain.task),
    _operation("list_subtasks", "GET", _TASK + "/subtasksinfo", "tasks/read", 200, tasks.subtasks),
    _operation("list_task_files", "GET", _TASK + "/files", "files/read", 200, files.list_of_task),
    _operation("download_task_file", "GET", _TASK + _FILE, "files/read", 200, files.get_of_task),
    _operation("get_task_file_properties", "HEAD", _TASK + _FILE, "files/read", 200, files.head_of_task),
    _operation("delete_task_file", "DELETE", _TASK + _FILE, "files/delete", 200, files.delete_of_task),
)

_KNOWN: tuple[tuple[str, str, str], ...] = (
    ("get_all_pool_lifetime_statistics", "GET", "/lifetimepoolstats"),
    ("get_all_job_lifetime_statistics", "GET", "/lifetimejobstats"),
)
"""Operations of the public API that this version does not have."""

_VERBS = {"GET": "read", "HEAD": "read", "DELETE": "delete"}


def _not_yet(name: str) -> Handler:
    async def handler(_: Call) -> Answer:
        text = f"This version does not support the operation {name} yet."
        raise ServiceError("NotImplemented", text, (("Operation", name),))

    return handler


KNOWN: tuple[Operation, ...] = tuple(
    _operation(name, method, path, f"unsupported/{_VERBS.get(method, 'write')}", 200, _not_yet(name))
    for name, method, path in _KNOWN
)
OPERATIONS = (*SERVED, *KNOWN)
