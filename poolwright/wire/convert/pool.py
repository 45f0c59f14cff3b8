"""Pools: bodies to domain values, stored pools to answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from poolwright.domain.autoscale import ScaleRequest
from poolwright.domain.clock import Micros, etag
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import RESIZE_TIMEOUT_DEFAULT, START_TASK_BYTES_MAX
from poolwright.domain.pool import Pool, PoolSpec, ResizeError, StartTask, UserAccount
from poolwright.domain.rules import check_id
from poolwright.domain.states import AllocationState, DeallocationOption
from poolwright.wire.bodies import convert_body, decode_body, encode_document
from poolwright.wire.convert.autoscale import read_new, show_settings
from poolwright.wire.convert.certificate import read_references, refuse_references, show_references
from poolwright.wire.convert.containers import read_command, read_container, read_pool_containers
from poolwright.wire.convert.image import read_machine, show_machine
from poolwright.wire.convert.network import read_network
from poolwright.wire.convert.package import read_packages
from poolwright.wire.convert.pool_settings import check_pool, read_policy
from poolwright.wire.convert.shared import (
    Document,
    check_display_name,
    check_metadata,
    check_retries,
    read_environment,
    read_user,
    show_pairs,
    show_user,
)
from poolwright.wire.convert.storage import read_data_disks, read_mounts, read_os_disk
from poolwright.wire.convert.transfer import read_resource_files
from poolwright.wire.convert.user_account import Secrets, read_accounts, show_accounts, without_keys
from poolwright.wire.durations import format_duration
from poolwright.wire.generated import batch_models as models
from poolwright.wire.links import Links
from poolwright.wire.scalars import Duration, WireEnum
from poolwright.wire.times import iso
from poolwright.wire.versions import (
    CERTIFICATES_UNTIL,
    NEWEST,
    WAITS_FOR_START_TASK,
    ApiVersion,
    check_patch,
    older_pool,
)

_MACHINE = "virtualMachineConfiguration."
#: Members of a create body that live in the pool itself and change there.
_NOT_KEPT = (
    "targetDedicatedNodes",
    "targetLowPriorityNodes",
    "resizeTimeout",
    "enableAutoScale",
    "autoScaleFormula",
    "autoScaleEvaluationInterval",
)
_ECHOED = (
    "networkConfiguration",
    "applicationPackageReferences",
    "userAccounts",
    "metadata",
    "mountConfiguration",
    "upgradePolicy",
)


@dataclass(frozen=True, slots=True)
class NewPool:
    """What a create-pool body asks for."""

    id: str
    spec: PoolSpec
    document: bytes
    target_dedicated: int | None
    target_low_priority: int | None
    scale: ScaleRequest


@dataclass(frozen=True, slots=True)
class ResizeRequest:
    """What a resize body asks for; None where it says nothing."""

    dedicated: int | None
    low_priority: int | None
    timeout: Micros | None
    option: DeallocationOption | None


@dataclass(frozen=True, slots=True)
class RemoveRequest:
    """What a remove-nodes body asks for."""

    nodes: tuple[str, ...]
    timeout: Micros | None
    option: DeallocationOption | None


def read_pool(raw: bytes, secrets: Secrets, version: ApiVersion = NEWEST) -> NewPool:
    """The pool of a create-pool body, with the version's defaults; hashes passwords. Raises ServiceError."""
    body = decode_body(_renamed(raw, version), models.BatchPoolCreateOptions)
    refuse_references(body.certificate_references, version)
    default_wait(body.start_task, version)
    check_id("pool", body.id)
    return _new(body, read_accounts(body.user_accounts, secrets))


def read_pool_specification(given: Document, accounts: tuple[UserAccount, ...]) -> NewPool:
    """The pool of a specification, which says all of a pool but its id; its accounts were read before. Raises
    ServiceError."""
    return _new(convert_body({**given, "id": "auto"}, models.BatchPoolCreateOptions), accounts)


def _new(body: models.BatchPoolCreateOptions, accounts: tuple[UserAccount, ...]) -> NewPool:
    spec, document = _settle(body, accounts)
    return NewPool(
        body.id,
        spec,
        document,
        body.target_dedicated_nodes,
        body.target_low_priority_nodes,
        read_new(body),
    )


def read_pool_patch(
    raw: bytes, secrets: Secrets, version: ApiVersion = NEWEST
) -> Callable[[Pool], tuple[PoolSpec, bytes]]:
    """A change by which the named properties are replaced whole and the others stay."""
    body = decode_body(_renamed(raw, version), models.BatchPoolUpdateOptions)
    refuse_references(body.certificate_references, version)
    default_wait(body.start_task, version)
    change = _given(body)
    check_patch(list(change), version)
    accounts = None if body.user_accounts is None else read_accounts(body.user_accounts, secrets)
    return _changing(change, (), accounts)


def read_pool_properties(
    raw: bytes, version: ApiVersion = NEWEST
) -> Callable[[Pool], tuple[PoolSpec, bytes]]:
    """A change that replaces start task, application packages, metadata and (in versions that have them) certificates
    together."""
    body = decode_body(raw, models.BatchPoolReplaceOptions)
    refuse_references(body.certificate_references, version)
    default_wait(body.start_task, version)
    replaced = ("startTask", "applicationPackageReferences", "metadata")
    certificates = () if version >= CERTIFICATES_UNTIL else ("certificateReferences",)
    return _changing(_given(body), (*replaced, *certificates))


def _renamed(raw: bytes, version: ApiVersion) -> bytes:
    """The body under today's names; one that is no object is left for the decoder to refuse."""
    if version >= NEWEST:
        return raw
    try:
        whole = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw
    renamed = older_pool(whole, version) if isinstance(whole, dict) else whole
    return raw if renamed is whole else msgspec.json.encode(renamed)


def default_wait(start: models.BatchStartTask | None, version: ApiVersion) -> None:
    """Spell out the default of the version, which a later change by another version must not alter."""
    if start is not None and start.wait_for_success is None and version < WAITS_FOR_START_TASK:
        start.wait_for_success = False


def _given(body: msgspec.Struct) -> Document:
    given: Document = msgspec.json.decode(encode_document(body))
    return given


def _changing(
    change: Mapping[str, Any], cleared: tuple[str, ...], accounts: tuple[UserAccount, ...] | None = None
) -> Callable[[Pool], tuple[PoolSpec, bytes]]:
    """`accounts` are the new ones; None where the pool keeps its own, whose secrets no document knows."""

    def apply(pool: Pool) -> tuple[PoolSpec, bytes]:
        kept = {
            name: value for name, value in msgspec.json.decode(pool.document).items() if name not in cleared
        }
        timeout = {"resizeTimeout": format_duration(pool.spec.resize_timeout)}
        whole = {**kept, **change, **timeout, "id": pool.id}
        named = whole.pop("userAccounts", None) is not None
        body = convert_body(whole, models.BatchPoolCreateOptions)
        body.user_accounts = [] if named else None
        return _settle(body, pool.spec.accounts if accounts is None else accounts)

    return apply


def _settle(body: models.BatchPoolCreateOptions, accounts: tuple[UserAccount, ...]) -> tuple[PoolSpec, bytes]:
    """The specification and the canonical document of a whole pool body, which holds no password and no key of an
    account; passwords of registries are in it, and answers leave them out (`wire/secrets.py`)."""
    check_pool(body)
    check_metadata(body.metadata)
    machine = body.virtual_machine_configuration
    if machine is None:
        values = (("PropertyName", "virtualMachineConfiguration"), ("Reason", "The property is required."))
        raise ServiceError("MissingRequiredProperty", None, values)
    image, agent_sku = read_machine(machine)
    if not body.vm_size:
        raise bad_property("vmSize", body.vm_size, "The name of a size is needed.")
    timeout, windows = body.resize_timeout, machine.windows_configuration
    fill, job_order = read_policy(body.task_scheduling_policy)
    spec = PoolSpec(
        vm_size=body.vm_size.lower(),
        image=image,
        agent_sku=agent_sku,
        slots_per_node=_slots(body),
        fill=fill,
        start_task=_read_start_task(body.start_task),
        inter_node=bool(body.enable_inter_node_communication),
        resize_timeout=RESIZE_TIMEOUT_DEFAULT if timeout is None else timeout.micros,
        display_name=check_display_name(body.display_name),
        os_disk=read_os_disk(machine.os_disk),
        data_disks=read_data_disks(machine.data_disks),
        mounts=read_mounts(body.mount_configuration),
        job_order=job_order,
        packages=read_packages(body.application_package_references, "applicationPackageReferences"),
        accounts=accounts if body.enable_inter_node_communication else without_keys(accounts),
        licence=machine.license_type or None,
        automatic_updates=windows.enable_automatic_updates if windows is not None else None,
        upgrade_mode=None if body.upgrade_policy is None else body.upgrade_policy.mode.value,
        network=read_network(body.network_configuration),
        certificates=read_references(body.certificate_references),
        containers=read_pool_containers(machine.container_configuration, f"{_MACHINE}containerConfiguration"),
    )
    document = _given(body)
    if body.user_accounts is not None:
        document["userAccounts"] = show_accounts(accounts)
    for name in _NOT_KEPT:
        document.pop(name, None)
    return spec, encode_document(document)


def _slots(body: models.BatchPoolCreateOptions) -> int:
    given = body.max_tasks_per_node if body.task_slots_per_node is None else body.task_slots_per_node
    return 1 if given is None else given


def _read_start_task(body: models.BatchStartTask | None) -> StartTask | None:
    if body is None:
        return None
    _check_start_task_size(body)
    container = read_container(body.container_settings, "startTask.")
    return StartTask(
        read_command(body.command_line, "startTask.commandLine", container),
        read_environment(body.environment_settings, "startTask.environmentSettings"),
        read_user(body.user_identity, "startTask.userIdentity"),
        check_retries(body.max_task_retry_count, "startTask.maxTaskRetryCount") or 0,
        True if body.wait_for_success is None else body.wait_for_success,
        read_resource_files(body.resource_files, "startTask.resourceFiles"),
        container,
    )


def _check_start_task_size(body: models.BatchStartTask) -> None:
    size = len(encode_document(body))
    if size > START_TASK_BYTES_MAX:
        reason = f"A start task with all its files and variables may have {START_TASK_BYTES_MAX} bytes."
        values = (("PropertyName", "startTask"), ("PropertyValue", f"{size} bytes"), ("Reason", reason))
        raise ServiceError("RequestEntityTooLarge", None, values)


def read_resize(raw: bytes) -> ResizeRequest:
    """A resize body."""
    body = decode_body(raw, models.BatchPoolResizeOptions)
    return ResizeRequest(
        body.target_dedicated_nodes,
        body.target_low_priority_nodes,
        _micros(body.resize_timeout),
        _option(body.node_deallocation_option),
    )


def read_remove_nodes(raw: bytes) -> RemoveRequest:
    """A remove-nodes body."""
    body = decode_body(raw, models.BatchNodeRemoveOptions)
    return RemoveRequest(
        tuple(body.node_list), _micros(body.resize_timeout), _option(body.node_deallocation_option)
    )


def _micros(given: Duration | None) -> Micros | None:
    return None if given is None else given.micros


def _option(given: WireEnum | None) -> DeallocationOption | None:
    return None if given is None else DeallocationOption(given.value)


def show_pool(pool: Pool, current: tuple[int, int], links: Links) -> Document:
    """A pool as answered, without `odata.metadata`. `current` is (dedicated, low-priority) nodes it has now."""
    spec = pool.spec
    document: Document = msgspec.json.decode(pool.document)
    shown: Document = {"id": pool.id}
    if spec.display_name is not None:
        shown["displayName"] = spec.display_name
    shown["url"] = links.pool(pool.id)
    shown["eTag"] = etag(pool.modified_at)
    shown["lastModified"] = iso(pool.modified_at)
    shown["creationTime"] = iso(pool.created_at)
    shown["state"] = pool.state.value
    shown["stateTransitionTime"] = iso(pool.state_at)
    shown["allocationState"] = pool.allocation.value
    shown["allocationStateTransitionTime"] = iso(pool.allocation_at)
    shown["vmSize"] = spec.vm_size
    shown["virtualMachineConfiguration"] = show_machine(spec, document.get("virtualMachineConfiguration", {}))
    shown["resizeTimeout"] = format_duration(pool.resize.timeout)
    if pool.resize_errors and pool.allocation is AllocationState.STEADY:
        shown["resizeErrors"] = [_show_resize_error(error) for error in pool.resize_errors]
    shown["currentDedicatedNodes"], shown["currentLowPriorityNodes"] = current
    shown["targetDedicatedNodes"] = pool.target_dedicated
    shown["targetLowPriorityNodes"] = pool.target_low_priority
    shown |= show_settings(pool.autoscale)
    shown["enableInterNodeCommunication"] = spec.inter_node
    if spec.start_task is not None:
        shown["startTask"] = show_start_task(spec.start_task, document.get("startTask", {}))
    if "certificateReferences" in document:
        shown["certificateReferences"] = show_references(spec.certificates)
    for name in _ECHOED:
        # Metadata that was sent empty is left out, other empty lists come back (as recorded).
        if name in document and (name != "metadata" or document[name]):
            shown[name] = document[name]
    shown["taskSlotsPerNode"] = spec.slots_per_node
    shown["taskSchedulingPolicy"] = {
        "jobDefaultOrder": spec.job_order.value,
        "nodeFillType": spec.fill.value,
    }
    shown["targetNodeCommunicationMode"] = document.get("targetNodeCommunicationMode", "default").lower()
    shown["currentNodeCommunicationMode"] = "simplified"  # agents dial the service, never the other way
    return shown


def show_start_task(task: StartTask, document: Document) -> Document:
    """A start task with its defaults spelled out."""
    shown: Document = {"commandLine": task.command_line}
    for name in ("containerSettings", "resourceFiles", "environmentSettings"):
        if name in document:
            shown[name] = document[name]
    shown["userIdentity"] = show_user(task.user)
    shown["maxTaskRetryCount"] = task.max_retries
    shown["waitForSuccess"] = task.wait_for_success
    return shown


def _show_resize_error(error: ResizeError) -> Document:
    shown: Document = {"code": error.code, "message": error.message}
    if error.values:
        shown["values"] = show_pairs(error.values)
    return shown
