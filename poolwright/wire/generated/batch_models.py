"""Bodies of Batch data-plane requests. Written by tools/genwire.py from public facts: change that instead."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from poolwright.wire.generated.batch_enums import (
    AutoUserScope,
    BatchAllTasksCompleteMode,
    BatchJobDefaultOrder,
    BatchNodeDeallocateOption,
    BatchNodeDeallocationOption,
    BatchNodeDisableSchedulingOption,
    BatchNodeFillType,
    BatchNodePlacementPolicyType,
    BatchNodeRebootKind,
    BatchNodeReimageOption,
    BatchTaskFailureMode,
    CachingType,
    DiffDiskPlacement,
    DisableBatchJobOption,
    ElevationLevel,
    StorageAccountType,
)
from poolwright.wire.scalars import Duration, Int32


class Body(Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """What all bodies have in common."""


class AutoUserSpecification(Body, kw_only=True):
    scope: AutoUserScope | None = None
    elevation_level: ElevationLevel | None = None


class BatchAffinityInfo(Body, kw_only=True):
    affinity_id: str


class BatchDiffDiskSettings(Body, kw_only=True):
    placement: DiffDiskPlacement | None = None


class BatchJob(Body, kw_only=True):
    id: Any = None
    display_name: Any = None
    uses_task_dependencies: Any = None
    url: Any = None
    e_tag: Any = None
    last_modified: Any = None
    creation_time: Any = None
    state: Any = None
    state_transition_time: Any = None
    previous_state: Any = None
    previous_state_transition_time: Any = None
    priority: Int32 | None = None
    allow_task_preemption: bool | None = None
    max_parallel_tasks: Int32 | None = None
    constraints: BatchJobConstraints | None = None
    job_manager_task: Any = None
    job_preparation_task: Any = None
    job_release_task: Any = None
    common_environment_settings: Any = None
    pool_info: BatchPoolInfo
    on_all_tasks_complete: BatchAllTasksCompleteMode | None = None
    on_task_failure: Any = None
    network_configuration: Any = None
    metadata: list[BatchMetadataItem] | None = None
    execution_info: Any = None
    stats: Any = None
    odata_metadata: Any = field(default=None, name="odata.metadata")


class BatchJobConstraints(Body, kw_only=True):
    max_wall_clock_time: Duration | None = None
    max_task_retry_count: Int32 | None = None


class BatchJobCreateOptions(Body, kw_only=True):
    id: str
    display_name: str | None = None
    uses_task_dependencies: bool | None = None
    priority: Int32 | None = None
    allow_task_preemption: bool | None = None
    max_parallel_tasks: Int32 | None = None
    constraints: BatchJobConstraints | None = None
    job_manager_task: Any = None
    job_preparation_task: Any = None
    job_release_task: Any = None
    common_environment_settings: list[EnvironmentSetting] | None = None
    pool_info: BatchPoolInfo
    on_all_tasks_complete: BatchAllTasksCompleteMode | None = None
    on_task_failure: BatchTaskFailureMode | None = None
    network_configuration: Any = None
    metadata: list[BatchMetadataItem] | None = None


class BatchJobDisableOptions(Body, kw_only=True):
    disable_tasks: DisableBatchJobOption


class BatchJobTerminateOptions(Body, kw_only=True):
    terminate_reason: str | None = None


class BatchJobUpdateOptions(Body, kw_only=True):
    priority: Int32 | None = None
    allow_task_preemption: bool | None = None
    max_parallel_tasks: Int32 | None = None
    constraints: BatchJobConstraints | None = None
    pool_info: BatchPoolInfo | None = None
    on_all_tasks_complete: BatchAllTasksCompleteMode | None = None
    metadata: list[BatchMetadataItem] | None = None
    network_configuration: Any = None


class BatchMetadataItem(Body, kw_only=True):
    name: str
    value: str


class BatchNodeDeallocateOptions(Body, kw_only=True):
    node_deallocate_option: BatchNodeDeallocateOption | None = None


class BatchNodeDisableSchedulingOptions(Body, kw_only=True):
    node_disable_scheduling_option: BatchNodeDisableSchedulingOption | None = None


class BatchNodePlacementConfiguration(Body, kw_only=True):
    policy: BatchNodePlacementPolicyType | None = None


class BatchNodeRebootOptions(Body, kw_only=True):
    node_reboot_option: BatchNodeRebootKind | None = None


class BatchNodeReimageOptions(Body, kw_only=True):
    node_reimage_option: BatchNodeReimageOption | None = None


class BatchNodeRemoveOptions(Body, kw_only=True):
    node_list: list[str]
    resize_timeout: Duration | None = None
    node_deallocation_option: BatchNodeDeallocationOption | None = None


class BatchNodeUserCreateOptions(Body, kw_only=True):
    name: str
    is_admin: bool | None = None
    expiry_time: Any = None
    password: str | None = None
    ssh_public_key: str | None = None


class BatchNodeUserReplaceOptions(Body, kw_only=True):
    password: str | None = None
    expiry_time: Any = None
    ssh_public_key: str | None = None


class BatchOsDisk(Body, kw_only=True):
    ephemeral_os_disk_settings: BatchDiffDiskSettings | None = field(
        default=None, name="ephemeralOSDiskSettings"
    )
    caching: CachingType | None = None
    disk_size_gb: Int32 | None = field(default=None, name="diskSizeGB")
    managed_disk: ManagedDisk | None = None
    write_accelerator_enabled: bool | None = None


class BatchPoolCreateOptions(Body, kw_only=True):
    id: str
    display_name: str | None = None
    vm_size: str
    virtual_machine_configuration: VirtualMachineConfiguration | None = None
    resize_timeout: Duration | None = None
    target_dedicated_nodes: Int32 | None = None
    target_low_priority_nodes: Int32 | None = None
    enable_auto_scale: bool | None = None
    auto_scale_formula: str | None = None
    auto_scale_evaluation_interval: Duration | None = None
    enable_inter_node_communication: bool | None = None
    network_configuration: Any = None
    start_task: BatchStartTask | None = None
    application_package_references: Any = None
    task_slots_per_node: Int32 | None = None
    task_scheduling_policy: BatchTaskSchedulingPolicy | None = None
    user_accounts: Any = None
    metadata: list[BatchMetadataItem] | None = None
    mount_configuration: Any = None
    upgrade_policy: Any = None
    application_licenses: Any = None
    certificate_references: Any = None
    cloud_service_configuration: Any = None
    max_tasks_per_node: Int32 | None = None
    resource_tags: Any = None
    target_node_communication_mode: str | None = None


class BatchPoolEnableAutoScaleOptions(Body, kw_only=True):
    auto_scale_formula: str | None = None
    auto_scale_evaluation_interval: Duration | None = None


class BatchPoolEvaluateAutoScaleOptions(Body, kw_only=True):
    auto_scale_formula: str


class BatchPoolInfo(Body, kw_only=True):
    pool_id: str | None = None
    auto_pool_specification: Any = None


class BatchPoolReplaceOptions(Body, kw_only=True):
    start_task: BatchStartTask | None = None
    application_package_references: Any
    metadata: list[BatchMetadataItem]
    certificate_references: Any = None
    target_node_communication_mode: str | None = None


class BatchPoolResizeOptions(Body, kw_only=True):
    target_dedicated_nodes: Int32 | None = None
    target_low_priority_nodes: Int32 | None = None
    resize_timeout: Duration | None = None
    node_deallocation_option: BatchNodeDeallocationOption | None = None


class BatchPoolUpdateOptions(Body, kw_only=True):
    display_name: str | None = None
    vm_size: str | None = None
    enable_inter_node_communication: bool | None = None
    start_task: BatchStartTask | None = None
    application_package_references: Any = None
    metadata: list[BatchMetadataItem] | None = None
    virtual_machine_configuration: VirtualMachineConfiguration | None = None
    task_slots_per_node: Int32 | None = None
    task_scheduling_policy: BatchTaskSchedulingPolicy | None = None
    network_configuration: Any = None
    user_accounts: Any = None
    mount_configuration: Any = None
    upgrade_policy: Any = None
    certificate_references: Any = None
    resource_tags: Any = None
    target_node_communication_mode: str | None = None


class BatchStartTask(Body, kw_only=True):
    command_line: str
    container_settings: Any = None
    resource_files: Any = None
    environment_settings: list[EnvironmentSetting] | None = None
    user_identity: UserIdentity | None = None
    max_task_retry_count: Int32 | None = None
    wait_for_success: bool | None = None


class BatchTask(Body, kw_only=True):
    id: Any = None
    display_name: Any = None
    url: Any = None
    e_tag: Any = None
    last_modified: Any = None
    creation_time: Any = None
    exit_conditions: Any = None
    state: Any = None
    state_transition_time: Any = None
    previous_state: Any = None
    previous_state_transition_time: Any = None
    command_line: Any = None
    container_settings: Any = None
    resource_files: Any = None
    output_files: Any = None
    environment_settings: Any = None
    affinity_info: Any = None
    constraints: BatchTaskConstraints | None = None
    required_slots: Any = None
    user_identity: Any = None
    execution_info: Any = None
    node_info: Any = None
    multi_instance_settings: Any = None
    stats: Any = None
    depends_on: Any = None
    application_package_references: Any = None
    odata_metadata: Any = field(default=None, name="odata.metadata")
    authentication_token_settings: Any = None


class BatchTaskConstraints(Body, kw_only=True):
    max_wall_clock_time: Duration | None = None
    retention_time: Duration | None = None
    max_task_retry_count: Int32 | None = None


class BatchTaskCreateOptions(Body, kw_only=True):
    id: str
    display_name: str | None = None
    exit_conditions: Any = None
    command_line: str
    container_settings: Any = None
    resource_files: Any = None
    output_files: Any = None
    environment_settings: list[EnvironmentSetting] | None = None
    affinity_info: BatchAffinityInfo | None = None
    constraints: BatchTaskConstraints | None = None
    required_slots: Int32 | None = None
    user_identity: UserIdentity | None = None
    multi_instance_settings: Any = None
    depends_on: Any = None
    application_package_references: Any = None
    authentication_token_settings: Any = None


class BatchTaskGroup(Body, kw_only=True):
    value: list[BatchTaskCreateOptions]


class BatchTaskSchedulingPolicy(Body, kw_only=True):
    job_default_order: BatchJobDefaultOrder | None = None
    node_fill_type: BatchNodeFillType


class BatchVmImageReference(Body, kw_only=True):
    publisher: str | None = None
    offer: str | None = None
    sku: str | None = None
    version: str | None = None
    virtual_machine_image_id: str | None = None
    exact_version: Any = None
    shared_gallery_image_id: str | None = None
    community_gallery_image_id: str | None = None


class DataDisk(Body, kw_only=True):
    lun: Int32
    caching: CachingType | None = None
    disk_size_gb: Int32 = field(name="diskSizeGB")
    managed_disk: ManagedDisk | None = None
    storage_account_type: StorageAccountType | None = None


class EnvironmentSetting(Body, kw_only=True):
    name: str
    value: str | None = None


class ManagedDisk(Body, kw_only=True):
    disk_encryption_set: Any = None
    storage_account_type: StorageAccountType | None = None
    security_profile: Any = None


class UserIdentity(Body, kw_only=True):
    username: str | None = None
    auto_user: AutoUserSpecification | None = None


class VirtualMachineConfiguration(Body, kw_only=True):
    image_reference: BatchVmImageReference
    node_agent_sku_id: str = field(name="nodeAgentSKUId")
    windows_configuration: WindowsConfiguration | None = None
    data_disks: list[DataDisk] | None = None
    license_type: str | None = None
    container_configuration: Any = None
    disk_encryption_configuration: Any = None
    node_placement_configuration: BatchNodePlacementConfiguration | None = None
    extensions: Any = None
    os_disk: BatchOsDisk | None = None
    security_profile: Any = None
    service_artifact_reference: Any = None


class WindowsConfiguration(Body, kw_only=True):
    enable_automatic_updates: bool | None = None
