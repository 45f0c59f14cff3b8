"""Bodies of Batch data-plane requests. Written by tools/genwire.py from public facts: change that instead."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from poolwright.wire.generated.batch_enums import (
    AutoUserScope,
    BatchAllTasksCompleteMode,
    BatchJobActionKind,
    BatchJobDefaultOrder,
    BatchNodeDeallocateOption,
    BatchNodeDeallocationOption,
    BatchNodeDisableSchedulingOption,
    BatchNodeFillType,
    BatchNodePlacementPolicyType,
    BatchNodeRebootKind,
    BatchNodeReimageOption,
    BatchPoolLifetimeOption,
    BatchTaskFailureMode,
    CachingType,
    ContainerHostDataPath,
    ContainerType,
    ContainerWorkingDirectory,
    DependencyAction,
    DiffDiskPlacement,
    DisableBatchJobOption,
    DynamicVNetAssignmentScope,
    ElevationLevel,
    InboundEndpointProtocol,
    IpAddressProvisioningType,
    IPFamily,
    LoginMode,
    NetworkSecurityGroupRuleAccess,
    OutputFileUploadCondition,
    StorageAccountType,
    UpgradeMode,
)
from poolwright.wire.scalars import Duration, Int32


class Body(Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """What all bodies have in common."""


class AutoUserSpecification(Body, kw_only=True):
    scope: AutoUserScope | None = None
    elevation_level: ElevationLevel | None = None


class AutomaticOsUpgradePolicy(Body, kw_only=True):
    disable_automatic_rollback: bool | None = None
    enable_automatic_os_upgrade: bool | None = field(default=None, name="enableAutomaticOSUpgrade")
    use_rolling_upgrade_policy: bool | None = None
    os_rolling_upgrade_deferral: bool | None = None


class AzureBlobFileSystemConfiguration(Body, kw_only=True):
    account_name: str
    container_name: str
    account_key: str | None = None
    sas_key: str | None = None
    blobfuse_options: str | None = None
    relative_mount_path: str
    identity_reference: BatchNodeIdentityReference | None = None


class AzureFileShareConfiguration(Body, kw_only=True):
    account_name: str
    account_key: str
    azure_file_url: str
    relative_mount_path: str
    mount_options: str | None = None


class BatchAffinityInfo(Body, kw_only=True):
    affinity_id: str


class BatchApplicationPackageReference(Body, kw_only=True):
    application_id: str
    version: str | None = None


class BatchAutoPoolSpecification(Body, kw_only=True):
    auto_pool_id_prefix: str | None = None
    pool_lifetime_option: BatchPoolLifetimeOption
    keep_alive: bool | None = None
    pool: BatchPoolSpecification | None = None


class BatchContainerConfiguration(Body, kw_only=True):
    type: ContainerType
    container_image_names: list[str] | None = None
    container_registries: list[ContainerRegistryReference] | None = None


class BatchDiffDiskSettings(Body, kw_only=True):
    placement: DiffDiskPlacement | None = None


class BatchInboundNatPool(Body, kw_only=True):
    name: str
    protocol: InboundEndpointProtocol
    backend_port: Int32
    frontend_port_range_start: Int32
    frontend_port_range_end: Int32
    network_security_group_rules: list[NetworkSecurityGroupRule] | None = None


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
    job_manager_task: BatchJobManagerTask | None = None
    job_preparation_task: BatchJobPreparationTask | None = None
    job_release_task: BatchJobReleaseTask | None = None
    common_environment_settings: list[EnvironmentSetting] | None = None
    pool_info: BatchPoolInfo
    on_all_tasks_complete: BatchAllTasksCompleteMode | None = None
    on_task_failure: BatchTaskFailureMode | None = None
    network_configuration: BatchJobNetworkConfiguration | None = None
    metadata: list[BatchMetadataItem] | None = None


class BatchJobDisableOptions(Body, kw_only=True):
    disable_tasks: DisableBatchJobOption


class BatchJobManagerTask(Body, kw_only=True):
    id: str
    display_name: str | None = None
    command_line: str
    container_settings: BatchTaskContainerSettings | None = None
    resource_files: list[ResourceFile] | None = None
    output_files: list[OutputFile] | None = None
    environment_settings: list[EnvironmentSetting] | None = None
    constraints: BatchTaskConstraints | None = None
    required_slots: Int32 | None = None
    kill_job_on_completion: bool | None = None
    user_identity: UserIdentity | None = None
    run_exclusive: bool | None = None
    application_package_references: list[BatchApplicationPackageReference] | None = None
    allow_low_priority_node: bool | None = None
    authentication_token_settings: Any = None


class BatchJobNetworkConfiguration(Body, kw_only=True):
    subnet_id: str
    skip_withdraw_from_v_net: bool | None = None


class BatchJobPreparationTask(Body, kw_only=True):
    id: str | None = None
    command_line: str
    container_settings: BatchTaskContainerSettings | None = None
    resource_files: list[ResourceFile] | None = None
    environment_settings: list[EnvironmentSetting] | None = None
    constraints: BatchTaskConstraints | None = None
    wait_for_success: bool | None = None
    user_identity: UserIdentity | None = None
    rerun_on_node_reboot_after_success: bool | None = None


class BatchJobReleaseTask(Body, kw_only=True):
    id: str | None = None
    command_line: str
    container_settings: BatchTaskContainerSettings | None = None
    resource_files: list[ResourceFile] | None = None
    environment_settings: list[EnvironmentSetting] | None = None
    max_wall_clock_time: Duration | None = None
    retention_time: Duration | None = None
    user_identity: UserIdentity | None = None


class BatchJobSchedule(Body, kw_only=True):
    id: Any = None
    display_name: Any = None
    url: Any = None
    e_tag: Any = None
    last_modified: Any = None
    creation_time: Any = None
    state: Any = None
    state_transition_time: Any = None
    previous_state: Any = None
    previous_state_transition_time: Any = None
    schedule: BatchJobScheduleConfiguration | None = None
    job_specification: BatchJobSpecification
    execution_info: Any = None
    metadata: list[BatchMetadataItem] | None = None
    stats: Any = None
    odata_metadata: Any = field(default=None, name="odata.metadata")


class BatchJobScheduleConfiguration(Body, kw_only=True):
    do_not_run_until: Any = None
    do_not_run_after: Any = None
    start_window: Duration | None = None
    recurrence_interval: Duration | None = None


class BatchJobScheduleCreateOptions(Body, kw_only=True):
    id: str
    display_name: str | None = None
    schedule: BatchJobScheduleConfiguration
    job_specification: BatchJobSpecification
    metadata: list[BatchMetadataItem] | None = None


class BatchJobScheduleUpdateOptions(Body, kw_only=True):
    schedule: BatchJobScheduleConfiguration | None = None
    job_specification: BatchJobSpecification | None = None
    metadata: list[BatchMetadataItem] | None = None


class BatchJobSpecification(Body, kw_only=True):
    priority: Int32 | None = None
    allow_task_preemption: bool | None = None
    max_parallel_tasks: Int32 | None = None
    display_name: str | None = None
    uses_task_dependencies: bool | None = None
    on_all_tasks_complete: BatchAllTasksCompleteMode | None = None
    on_task_failure: BatchTaskFailureMode | None = None
    network_configuration: BatchJobNetworkConfiguration | None = None
    constraints: BatchJobConstraints | None = None
    job_manager_task: BatchJobManagerTask | None = None
    job_preparation_task: BatchJobPreparationTask | None = None
    job_release_task: BatchJobReleaseTask | None = None
    common_environment_settings: list[EnvironmentSetting] | None = None
    pool_info: BatchPoolInfo
    metadata: list[BatchMetadataItem] | None = None


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
    network_configuration: BatchJobNetworkConfiguration | None = None


class BatchMetadataItem(Body, kw_only=True):
    name: str
    value: str


class BatchNodeDeallocateOptions(Body, kw_only=True):
    node_deallocate_option: BatchNodeDeallocateOption | None = None


class BatchNodeDisableSchedulingOptions(Body, kw_only=True):
    node_disable_scheduling_option: BatchNodeDisableSchedulingOption | None = None


class BatchNodeIdentityReference(Body, kw_only=True):
    resource_id: str | None = None


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
    network_configuration: NetworkConfiguration | None = None
    start_task: BatchStartTask | None = None
    application_package_references: list[BatchApplicationPackageReference] | None = None
    task_slots_per_node: Int32 | None = None
    task_scheduling_policy: BatchTaskSchedulingPolicy | None = None
    user_accounts: list[UserAccount] | None = None
    metadata: list[BatchMetadataItem] | None = None
    mount_configuration: list[MountConfiguration] | None = None
    upgrade_policy: UpgradePolicy | None = None
    application_licenses: Any = None
    certificate_references: Any = None
    cloud_service_configuration: Any = None
    max_tasks_per_node: Int32 | None = None
    resource_tags: Any = None
    target_node_communication_mode: str | None = None


class BatchPoolEnableAutoScaleOptions(Body, kw_only=True):
    auto_scale_formula: str | None = None
    auto_scale_evaluation_interval: Duration | None = None


class BatchPoolEndpointConfiguration(Body, kw_only=True):
    inbound_nat_pools: list[BatchInboundNatPool] = field(name="inboundNATPools")


class BatchPoolEvaluateAutoScaleOptions(Body, kw_only=True):
    auto_scale_formula: str


class BatchPoolInfo(Body, kw_only=True):
    pool_id: str | None = None
    auto_pool_specification: BatchAutoPoolSpecification | None = None


class BatchPoolReplaceOptions(Body, kw_only=True):
    start_task: BatchStartTask | None = None
    application_package_references: list[BatchApplicationPackageReference]
    metadata: list[BatchMetadataItem]
    certificate_references: Any = None
    target_node_communication_mode: str | None = None


class BatchPoolResizeOptions(Body, kw_only=True):
    target_dedicated_nodes: Int32 | None = None
    target_low_priority_nodes: Int32 | None = None
    resize_timeout: Duration | None = None
    node_deallocation_option: BatchNodeDeallocationOption | None = None


class BatchPoolSpecification(Body, kw_only=True):
    display_name: str | None = None
    vm_size: str
    virtual_machine_configuration: VirtualMachineConfiguration | None = None
    task_slots_per_node: Int32 | None = None
    task_scheduling_policy: BatchTaskSchedulingPolicy | None = None
    resize_timeout: Duration | None = None
    target_dedicated_nodes: Int32 | None = None
    target_low_priority_nodes: Int32 | None = None
    enable_auto_scale: bool | None = None
    auto_scale_formula: str | None = None
    auto_scale_evaluation_interval: Duration | None = None
    enable_inter_node_communication: bool | None = None
    network_configuration: NetworkConfiguration | None = None
    start_task: BatchStartTask | None = None
    application_package_references: list[BatchApplicationPackageReference] | None = None
    user_accounts: list[UserAccount] | None = None
    metadata: list[BatchMetadataItem] | None = None
    mount_configuration: list[MountConfiguration] | None = None
    upgrade_policy: UpgradePolicy | None = None
    application_licenses: Any = None
    certificate_references: Any = None
    cloud_service_configuration: Any = None
    max_tasks_per_node: Int32 | None = None
    resource_tags: Any = None
    target_node_communication_mode: str | None = None


class BatchPoolUpdateOptions(Body, kw_only=True):
    display_name: str | None = None
    vm_size: str | None = None
    enable_inter_node_communication: bool | None = None
    start_task: BatchStartTask | None = None
    application_package_references: list[BatchApplicationPackageReference] | None = None
    metadata: list[BatchMetadataItem] | None = None
    virtual_machine_configuration: VirtualMachineConfiguration | None = None
    task_slots_per_node: Int32 | None = None
    task_scheduling_policy: BatchTaskSchedulingPolicy | None = None
    network_configuration: NetworkConfiguration | None = None
    user_accounts: list[UserAccount] | None = None
    mount_configuration: list[MountConfiguration] | None = None
    upgrade_policy: UpgradePolicy | None = None
    certificate_references: Any = None
    resource_tags: Any = None
    target_node_communication_mode: str | None = None


class BatchPublicIpAddressConfiguration(Body, kw_only=True):
    provision: IpAddressProvisioningType | None = None
    ip_families: list[IPFamily] | None = None
    ip_address_ids: list[str] | None = None
    ip_tags: list[IPTag] | None = None


class BatchStartTask(Body, kw_only=True):
    command_line: str
    container_settings: BatchTaskContainerSettings | None = None
    resource_files: list[ResourceFile] | None = None
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


class BatchTaskContainerSettings(Body, kw_only=True):
    container_run_options: str | None = None
    image_name: str
    registry: ContainerRegistryReference | None = None
    working_directory: ContainerWorkingDirectory | None = None
    container_host_batch_bind_mounts: list[ContainerHostBatchBindMountEntry] | None = None


class BatchTaskCreateOptions(Body, kw_only=True):
    id: str
    display_name: str | None = None
    exit_conditions: ExitConditions | None = None
    command_line: str
    container_settings: BatchTaskContainerSettings | None = None
    resource_files: list[ResourceFile] | None = None
    output_files: list[OutputFile] | None = None
    environment_settings: list[EnvironmentSetting] | None = None
    affinity_info: BatchAffinityInfo | None = None
    constraints: BatchTaskConstraints | None = None
    required_slots: Int32 | None = None
    user_identity: UserIdentity | None = None
    multi_instance_settings: MultiInstanceSettings | None = None
    depends_on: BatchTaskDependencies | None = None
    application_package_references: list[BatchApplicationPackageReference] | None = None
    authentication_token_settings: Any = None


class BatchTaskDependencies(Body, kw_only=True):
    task_ids: list[str] | None = None
    task_id_ranges: list[BatchTaskIdRange] | None = None


class BatchTaskGroup(Body, kw_only=True):
    value: list[BatchTaskCreateOptions]


class BatchTaskIdRange(Body, kw_only=True):
    start: Int32
    end: Int32


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


class CifsMountConfiguration(Body, kw_only=True):
    username: str
    source: str
    relative_mount_path: str
    mount_options: str | None = None
    password: str


class ContainerHostBatchBindMountEntry(Body, kw_only=True):
    source: ContainerHostDataPath | None = None
    is_read_only: bool | None = None


class ContainerRegistryReference(Body, kw_only=True):
    username: str | None = None
    password: str | None = None
    registry_server: str | None = None
    identity_reference: BatchNodeIdentityReference | None = None


class DataDisk(Body, kw_only=True):
    lun: Int32
    caching: CachingType | None = None
    disk_size_gb: Int32 = field(name="diskSizeGB")
    managed_disk: ManagedDisk | None = None
    storage_account_type: StorageAccountType | None = None


class EnvironmentSetting(Body, kw_only=True):
    name: str
    value: str | None = None


class ExitCodeMapping(Body, kw_only=True):
    code: Int32
    exit_options: ExitOptions


class ExitCodeRangeMapping(Body, kw_only=True):
    start: Int32
    end: Int32
    exit_options: ExitOptions


class ExitConditions(Body, kw_only=True):
    exit_codes: list[ExitCodeMapping] | None = None
    exit_code_ranges: list[ExitCodeRangeMapping] | None = None
    pre_processing_error: ExitOptions | None = None
    file_upload_error: ExitOptions | None = None
    default: ExitOptions | None = None


class ExitOptions(Body, kw_only=True):
    job_action: BatchJobActionKind | None = None
    dependency_action: DependencyAction | None = None


class IPTag(Body, kw_only=True):
    ip_tag_type: str | None = None
    tag: str | None = None


class LinuxUserConfiguration(Body, kw_only=True):
    uid: Int32 | None = None
    gid: Int32 | None = None
    ssh_private_key: str | None = None


class ManagedDisk(Body, kw_only=True):
    disk_encryption_set: Any = None
    storage_account_type: StorageAccountType | None = None
    security_profile: Any = None


class MountConfiguration(Body, kw_only=True):
    azure_blob_file_system_configuration: AzureBlobFileSystemConfiguration | None = None
    nfs_mount_configuration: NfsMountConfiguration | None = None
    cifs_mount_configuration: CifsMountConfiguration | None = None
    azure_file_share_configuration: AzureFileShareConfiguration | None = None


class MultiInstanceSettings(Body, kw_only=True):
    number_of_instances: Int32 | None = None
    coordination_command_line: str
    common_resource_files: list[ResourceFile] | None = None


class NetworkConfiguration(Body, kw_only=True):
    subnet_id: str | None = None
    dynamic_v_net_assignment_scope: DynamicVNetAssignmentScope | None = None
    endpoint_configuration: BatchPoolEndpointConfiguration | None = None
    public_ip_address_configuration: BatchPublicIpAddressConfiguration | None = field(
        default=None, name="publicIPAddressConfiguration"
    )
    enable_accelerated_networking: bool | None = None


class NetworkSecurityGroupRule(Body, kw_only=True):
    priority: Int32
    access: NetworkSecurityGroupRuleAccess
    source_address_prefix: str
    source_port_ranges: list[str] | None = None


class NfsMountConfiguration(Body, kw_only=True):
    source: str
    relative_mount_path: str
    mount_options: str | None = None


class OutputFile(Body, kw_only=True):
    file_pattern: str
    destination: OutputFileDestination
    upload_options: OutputFileUploadConfiguration


class OutputFileBlobContainerDestination(Body, kw_only=True):
    path: str | None = None
    container_url: str
    identity_reference: BatchNodeIdentityReference | None = None
    upload_headers: list[OutputFileUploadHeader] | None = None


class OutputFileDestination(Body, kw_only=True):
    container: OutputFileBlobContainerDestination | None = None


class OutputFileUploadConfiguration(Body, kw_only=True):
    upload_condition: OutputFileUploadCondition


class OutputFileUploadHeader(Body, kw_only=True):
    name: str
    value: str | None = None


class ResourceFile(Body, kw_only=True):
    auto_storage_container_name: str | None = None
    storage_container_url: str | None = None
    http_url: str | None = None
    blob_prefix: str | None = None
    file_path: str | None = None
    file_mode: str | None = None
    identity_reference: BatchNodeIdentityReference | None = None


class RollingUpgradePolicy(Body, kw_only=True):
    enable_cross_zone_upgrade: bool | None = None
    max_batch_instance_percent: Int32 | None = None
    max_unhealthy_instance_percent: Int32 | None = None
    max_unhealthy_upgraded_instance_percent: Int32 | None = None
    pause_time_between_batches: Duration | None = None
    prioritize_unhealthy_instances: bool | None = None
    rollback_failed_instances_on_policy_breach: bool | None = None


class UpgradePolicy(Body, kw_only=True):
    mode: UpgradeMode
    automatic_os_upgrade_policy: AutomaticOsUpgradePolicy | None = field(
        default=None, name="automaticOSUpgradePolicy"
    )
    rolling_upgrade_policy: RollingUpgradePolicy | None = None


class UploadBatchServiceLogsOptions(Body, kw_only=True):
    container_url: str
    start_time: Any
    end_time: Any = None
    identity_reference: BatchNodeIdentityReference | None = None


class UserAccount(Body, kw_only=True):
    name: str
    password: str
    elevation_level: ElevationLevel | None = None
    linux_user_configuration: LinuxUserConfiguration | None = None
    windows_user_configuration: WindowsUserConfiguration | None = None


class UserIdentity(Body, kw_only=True):
    username: str | None = None
    auto_user: AutoUserSpecification | None = None


class VirtualMachineConfiguration(Body, kw_only=True):
    image_reference: BatchVmImageReference
    node_agent_sku_id: str = field(name="nodeAgentSKUId")
    windows_configuration: WindowsConfiguration | None = None
    data_disks: list[DataDisk] | None = None
    license_type: str | None = None
    container_configuration: BatchContainerConfiguration | None = None
    disk_encryption_configuration: Any = None
    node_placement_configuration: BatchNodePlacementConfiguration | None = None
    extensions: Any = None
    os_disk: BatchOsDisk | None = None
    security_profile: Any = None
    service_artifact_reference: Any = None


class WindowsConfiguration(Body, kw_only=True):
    enable_automatic_updates: bool | None = None


class WindowsUserConfiguration(Body, kw_only=True):
    login_mode: LoginMode | None = None
