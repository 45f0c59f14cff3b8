"""Runs in a process of its own, with azure-batch 14 in place of the newer client of the tests.

Each line of standard input names an act and its arguments as JSON; each line of standard output is what came of it:
`{"ok": ...}`, or `{"error": {...}}` as the client understood the error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

# By name, since the checkers of types know the newer client only.
batch: Any = import_module("azure.batch")
models: Any = import_module("azure.batch.models")
auth: Any = import_module("azure.batch.batch_auth")

_IMAGE = {"publisher": "debian", "offer": "debian-12", "sku": "12", "version": "latest"}
_AGENT = "batch.node.debian 12"


def _connect() -> Any:
    credentials = auth.SharedKeyCredentials(os.environ["OLDER_ACCOUNT"], os.environ["OLDER_KEY"])
    client = batch.BatchServiceClient(credentials, batch_url=os.environ["OLDER_URL"])
    client.config.connection.verify = os.environ["OLDER_CA"]
    client.config.retry_policy.retries = 0
    return client


def _machine() -> Any:
    return models.VirtualMachineConfiguration(
        image_reference=models.ImageReference(**_IMAGE), node_agent_sku_id=_AGENT
    )


def versions(client: Any) -> Any:
    """Which client this is."""
    module = import_module("azure.batch._version")
    return {"package": module.VERSION, "api": client.pool.api_version}


def images(client: Any) -> Any:
    """Supported images: the agent of the first."""
    return [image.node_agent_sku_id for image in client.account.list_supported_images()][:1]


def create_pool(client: Any, id: str) -> Any:
    """A pool with a start task, metadata and slots."""
    client.pool.add(
        models.PoolAddParameter(
            id=id,
            vm_size="standard_d2s_v3",
            virtual_machine_configuration=_machine(),
            target_dedicated_nodes=2,
            task_slots_per_node=2,
            resize_timeout=timedelta(minutes=10),
            start_task=models.StartTask(command_line="/bin/true"),
            metadata=[models.MetadataItem(name="made", value="by an older client")],
            target_node_communication_mode=models.NodeCommunicationMode.classic,
        )
    )


def get_pool(client: Any, id: str) -> Any:
    """The pool as the client's model has it."""
    pool = client.pool.get(id)
    return {
        "state": pool.state,
        "allocation": pool.allocation_state,
        "targets": [pool.target_dedicated_nodes, pool.target_low_priority_nodes],
        "slots": pool.task_slots_per_node,
        "timeout_s": pool.resize_timeout.total_seconds(),
        "waits": None if pool.start_task is None else pool.start_task.wait_for_success,
        "metadata": {item.name: item.value for item in pool.metadata or ()},
        "mode": [pool.target_node_communication_mode, pool.current_node_communication_mode],
        "created": pool.creation_time.year,
    }


def patch_pool(client: Any, id: str, name: str, value: str) -> Any:
    """New metadata."""
    change = models.PoolPatchParameter(metadata=[models.MetadataItem(name=name, value=value)])
    client.pool.patch(id, change)


def replace_pool_properties(client: Any, id: str) -> Any:
    """Everything that may be replaced, with nothing."""
    nothing = models.PoolUpdatePropertiesParameter(
        certificate_references=[], application_package_references=[], metadata=[]
    )
    client.pool.update_properties(id, nothing)


def resize_pool(client: Any, id: str, dedicated: int, low_priority: int) -> Any:
    """New targets."""
    client.pool.resize(
        id,
        models.PoolResizeParameter(
            target_dedicated_nodes=dedicated,
            target_low_priority_nodes=low_priority,
            node_deallocation_option=models.ComputeNodeDeallocationOption.task_completion,
        ),
    )


def stop_resize(client: Any, id: str) -> Any:
    """End the resize."""
    client.pool.stop_resize(id)


def autoscale(client: Any, id: str) -> Any:
    """Enable, evaluate and disable; the result of the evaluation."""
    client.pool.enable_auto_scale(id, "$TargetDedicatedNodes = 3;")
    run = client.pool.evaluate_auto_scale(id, "$TargetDedicatedNodes = 1 + 1;")
    client.pool.disable_auto_scale(id)
    return run.results


def remove_nodes(client: Any, id: str, nodes: list[str]) -> Any:
    """Take these away."""
    client.pool.remove_nodes(id, models.NodeRemoveParameter(node_list=nodes))


def delete_pool(client: Any, id: str) -> Any:
    """Begin the deletion; the state it is in then."""
    client.pool.delete(id)
    return client.pool.get(id).state


def pools(client: Any, filter: str) -> Any:
    """Ids of pools, a page of one at a time."""
    options = models.PoolListOptions(filter=filter, select="id", max_results=1)
    return [pool.id for pool in client.pool.list(options)]


def pool_exists(client: Any, id: str) -> Any:
    """Whether there is one."""
    return client.pool.exists(id)


def nodes(client: Any, id: str) -> Any:
    """State and scheduling of each node."""
    return {node.id: [node.state, node.scheduling_state] for node in client.compute_node.list(id)}


def order_node(client: Any, id: str, node: str, order: str) -> Any:
    """Reboot, reimage, enable or disable scheduling; the node's state afterwards."""
    getattr(client.compute_node, order)(id, node)
    found = client.compute_node.get(id, node)
    return [found.state, found.scheduling_state]


def node_user(client: Any, id: str, node: str) -> Any:
    """A user comes, changes its password, logs in somewhere, and goes."""
    user = models.ComputeNodeUser(name="visitor", password="a secret nobody keeps")
    client.compute_node.add_user(id, node, user)
    client.compute_node.update_user(
        id, node, "visitor", models.NodeUpdateUserParameter(password="another secret")
    )
    way = client.compute_node.get_remote_login_settings(id, node)
    client.compute_node.delete_user(id, node, "visitor")
    return [way.remote_login_ip_address, way.remote_login_port]


def node_counts(client: Any, id: str) -> Any:
    """Idle and total nodes."""
    options = models.AccountListPoolNodeCountsOptions(filter=f"poolId eq '{id}'")
    counts = next(iter(client.account.list_pool_node_counts(options))).dedicated
    return [counts.idle, counts.total]


def create_job(client: Any, id: str, pool: str) -> Any:
    """A job with a common variable."""
    client.job.add(
        models.JobAddParameter(
            id=id,
            pool_info=models.PoolInformation(pool_id=pool),
            common_environment_settings=[models.EnvironmentSetting(name="SCENE", value="robot")],
        )
    )


def job(client: Any, id: str) -> Any:
    """State and priority."""
    found = client.job.get(id)
    return [found.state, found.priority]


def change_job(client: Any, id: str) -> Any:
    """Patch, disable, enable and terminate; the state after each."""
    states = []
    client.job.patch(id, models.JobPatchParameter(priority=7))
    client.job.disable(id, models.DisableJobOption.requeue)
    states.append(client.job.get(id).state)
    client.job.enable(id)
    states.append(client.job.get(id).state)
    client.job.terminate(id, terminate_reason="enough")
    states.append(client.job.get(id).state)
    client.job.delete(id)
    return states


def create_tasks(client: Any, job: str, count: int) -> Any:
    """One singly, the others as a collection; the state each was added with."""
    client.task.add(job, models.TaskAddParameter(id="first", command_line="/bin/echo first"))
    many = [models.TaskAddParameter(id=f"t{n}", command_line="/bin/true") for n in range(count)]
    added = client.task.add_collection(job, many, threads=2)
    return [item.status for item in added.value]


def task(client: Any, job: str, id: str) -> Any:
    """A task's state, node and retention."""
    found = client.task.get(job, id)
    node = None if found.node_info is None else found.node_info.node_id
    return [found.state, node, found.constraints.retention_time.days]


def end_task(client: Any, job: str, id: str) -> Any:
    """Terminated, and what came of it."""
    client.task.terminate(job, id)
    info = client.task.get(job, id).execution_info
    return [info.result, info.failure_info.code, info.failure_info.category]


def task_counts(client: Any, job: str) -> Any:
    """Active, running and completed tasks."""
    counts = client.job.get_task_counts(job).task_counts
    return [counts.active, counts.running, counts.completed]


def files(client: Any, job: str, task: str) -> Any:
    """Names, the content and part of one file, its properties; then it is deleted."""
    found = [
        file.name for file in client.file.list_from_task(job, task, recursive=True) if not file.is_directory
    ]
    whole = b"".join(client.file.get_from_task(job, task, "stdout.txt")).decode()
    options = models.FileGetFromTaskOptions(ocp_range="bytes=2-4")
    part = b"".join(client.file.get_from_task(job, task, "stdout.txt", options)).decode()
    raw = client.file.get_properties_from_task(job, task, "stdout.txt", raw=True)
    client.file.delete_from_task(job, task, "stdout.txt")
    return {"names": sorted(found), "whole": whole, "part": part, "size": raw.headers["Content-Length"]}


def node_files(client: Any, pool: str, node: str, filter: str) -> Any:
    """Names of files of a node."""
    options = models.FileListFromComputeNodeOptions(filter=filter)
    return [file.name for file in client.file.list_from_compute_node(pool, node, True, options)]


def schedule(client: Any, id: str, pool: str) -> Any:
    """A job schedule comes and goes; its states."""
    client.job_schedule.add(
        models.JobScheduleAddParameter(
            id=id,
            schedule=models.Schedule(recurrence_interval=timedelta(hours=1)),
            job_specification=models.JobSpecification(pool_info=models.PoolInformation(pool_id=pool)),
        )
    )
    states = [client.job_schedule.get(id).state]
    client.job_schedule.disable(id)
    states.append(client.job_schedule.get(id).state)
    client.job_schedule.delete(id)
    return states


def add_certificate(client: Any, thumbprint: str, data: str, form: str, password: str | None) -> Any:
    """A certificate; what it is then."""
    new = models.CertificateAddParameter(
        thumbprint=thumbprint,
        thumbprint_algorithm="sha1",
        data=data,
        certificate_format=form,
        password=password,
    )
    client.certificate.add(new)
    return certificate(client, thumbprint)


def certificate(client: Any, thumbprint: str) -> Any:
    """All that the client is told of one."""
    return client.certificate.get("sha1", thumbprint).as_dict()


def certificates(client: Any, filter: str) -> Any:
    """Their thumbprints, a page of one at a time."""
    options = models.CertificateListOptions(filter=filter, max_results=1)
    return [found.thumbprint for found in client.certificate.list(options)]


def delete_certificate(client: Any, thumbprint: str) -> Any:
    """Begin the deletion."""
    client.certificate.delete("sha1", thumbprint)


def cancel_certificate_deletion(client: Any, thumbprint: str) -> Any:
    """Keep it after all; its state then."""
    client.certificate.cancel_deletion("sha1", thumbprint)
    return client.certificate.get("sha1", thumbprint).state


def _references(wanted: Any) -> Any:
    return [
        models.CertificateReference(
            thumbprint=thumbprint, thumbprint_algorithm="sha1", store_location="localmachine", visibility=seen
        )
        for thumbprint, seen in wanted.items()
    ]


def create_certified_pool(client: Any, id: str, wanted: Any, command: str) -> Any:
    """A pool of one node with certificates (thumbprint: who sees it) and a start task."""
    client.pool.add(
        models.PoolAddParameter(
            id=id,
            vm_size="standard_d2s_v3",
            virtual_machine_configuration=_machine(),
            target_dedicated_nodes=1,
            start_task=models.StartTask(command_line=command),
            certificate_references=_references(wanted),
        )
    )


def certify_pool(client: Any, id: str, wanted: Any) -> Any:
    """Other certificates."""
    client.pool.patch(id, models.PoolPatchParameter(certificate_references=_references(wanted)))


def pool_certificates(client: Any, id: str) -> Any:
    """References of the pool, and thumbprints of those on each node."""
    pool = client.pool.get(id)
    nodes_have = [
        [one.thumbprint for one in node.certificate_references or ()] for node in client.compute_node.list(id)
    ]
    return [[one.as_dict() for one in pool.certificate_references or ()], nodes_have]


ACTS: dict[str, Callable[..., Any]] = {
    act.__name__: act
    for act in (
        versions, images, create_pool, get_pool, patch_pool, replace_pool_properties, resize_pool, stop_resize,
        autoscale, remove_nodes, delete_pool, pools, pool_exists, nodes, order_node, node_user, node_counts,
        create_job, job, change_job, create_tasks, task, end_task, task_counts, files, node_files, schedule,
        add_certificate, certificate, certificates, delete_certificate, cancel_certificate_deletion,
        create_certified_pool, certify_pool, pool_certificates,
    )
}  # fmt: skip


def _told(failure: Any) -> Any:
    error = failure.error
    return {
        "status": failure.response.status_code,
        "code": getattr(error, "code", None),
        "values": {item.key: item.value for item in getattr(error, "values", None) or ()},
        "message": getattr(getattr(error, "message", None), "value", str(failure)),
    }


def main() -> None:
    """Play acts until the input ends."""
    client = _connect()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"ok": ACTS[name](client, *arguments)}
        except models.BatchErrorException as failure:
            answer = {"error": _told(failure)}
        except Exception as failure:  # noqa: BLE001 - the test shows it
            answer = {"broken": repr(failure)}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
