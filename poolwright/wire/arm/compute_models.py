"""Request models of Microsoft.Compute: what this service reads or echoes. See not_in_force.py for what it refuses."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

Echoed = dict[str, Any]
"""Taken as any JSON object and given back as it came."""


class SubResource(Struct, frozen=True, omit_defaults=True):
    id: str


class Sku(Struct, frozen=True, omit_defaults=True):
    name: str | None = None


class DiskImageReference(Struct, frozen=True, omit_defaults=True):
    id: str | None = None
    lun: int | None = None


class CreationData(Struct, frozen=True, omit_defaults=True, rename="camel"):
    create_option: str
    image_reference: DiskImageReference | None = None
    gallery_image_reference: DiskImageReference | None = None
    source_resource_id: str | None = None
    upload_size_bytes: int | None = None


class DiskProperties(Struct, frozen=True, omit_defaults=True, rename="camel"):
    creation_data: CreationData
    os_type: str | None = None
    hyper_v_generation: str | None = field(default=None, name="hyperVGeneration")
    disk_size_gb: int | None = field(default=None, name="diskSizeGB")
    incremental: bool | None = None
    network_access_policy: str | None = None
    public_network_access: str | None = None
    tier: str | None = None
    purchase_plan: Echoed | None = None
    supported_capabilities: Echoed | None = None
    encryption: Echoed | None = None
    max_shares: int | None = None
    data_access_auth_mode: str | None = None
    optimized_for_frequent_attach: bool | None = None


class DiskBody(Struct, frozen=True):
    """PUT of a disk or snapshot."""

    properties: DiskProperties
    location: str | None = None
    tags: dict[str, str] | None = None
    sku: Sku | None = None


class DiskPatchBody(Struct, frozen=True):
    """PATCH of a disk or snapshot."""

    tags: dict[str, str] | None = None
    sku: Sku | None = None


class GrantAccessBody(Struct, frozen=True, rename="camel"):
    """POST beginGetAccess."""

    access: str
    duration_in_seconds: int
    file_format: str | None = None
    get_secure_vm_guest_state_sas: bool = field(default=False, name="getSecureVMGuestStateSAS")


class TagsBody(Struct, frozen=True):
    """PATCH of whatever has tags only."""

    tags: dict[str, str] | None = None


class ImagePatchBody(Struct, frozen=True):
    """PATCH of an image."""

    tags: dict[str, str] | None = None


class ImageDiskProperties(Struct, frozen=True, omit_defaults=True, rename="camel"):
    lun: int | None = None
    os_type: str | None = None
    os_state: str | None = None
    snapshot: SubResource | None = None
    managed_disk: SubResource | None = None
    blob_uri: str | None = None
    caching: str | None = None
    disk_size_gb: int | None = field(default=None, name="diskSizeGB")
    storage_account_type: str | None = None


class ImageStorageProfile(Struct, frozen=True, omit_defaults=True, rename="camel"):
    os_disk: ImageDiskProperties | None = None
    data_disks: list[ImageDiskProperties] = []
    zone_resilient: bool | None = None


class Correction(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Ours, not the public service's: the image is a corrected copy of another."""

    corrected_from: str | None = None


class ImageProperties(Struct, frozen=True, omit_defaults=True, rename="camel"):
    source_virtual_machine: SubResource | None = None
    storage_profile: ImageStorageProfile | None = None
    poolwright: Correction | None = None
    hyper_v_generation: str | None = field(default=None, name="hyperVGeneration")


class ImageBody(Struct, frozen=True):
    """PUT of an image."""

    properties: ImageProperties
    location: str | None = None
    tags: dict[str, str] | None = None


class ImageReference(Struct, frozen=True, omit_defaults=True, rename="camel"):
    id: str | None = None
    publisher: str | None = None
    offer: str | None = None
    sku: str | None = None
    version: str | None = None


class ManagedDisk(Struct, frozen=True, omit_defaults=True, rename="camel"):
    id: str | None = None
    storage_account_type: str | None = None


class MachineDiskProperties(Struct, frozen=True, omit_defaults=True, rename="camel"):
    create_option: str
    lun: int | None = None
    name: str | None = None
    os_type: str | None = None
    caching: str | None = None
    disk_size_gb: int | None = field(default=None, name="diskSizeGB")
    managed_disk: ManagedDisk | None = None
    delete_option: str | None = None
    vhd: Echoed | None = None


class StorageProfile(Struct, frozen=True, omit_defaults=True, rename="camel"):
    os_disk: MachineDiskProperties | None = None
    image_reference: ImageReference | None = None
    data_disks: list[MachineDiskProperties] = []


class HardwareProfile(Struct, frozen=True, omit_defaults=True, rename="camel"):
    vm_size: str | None = None


class OsProfile(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """`adminPassword` is not here, so it is neither kept nor shown; `customData` and `secrets` are refused."""

    computer_name: str | None = None
    admin_username: str | None = None
    linux_configuration: Echoed | None = None
    windows_configuration: Echoed | None = None
    allow_extension_operations: bool | None = None


class MachineProperties(Struct, frozen=True, omit_defaults=True, rename="camel"):
    hardware_profile: HardwareProfile | None = None
    storage_profile: StorageProfile | None = None
    os_profile: OsProfile | None = None
    network_profile: Echoed | None = None
    security_profile: Echoed | None = None
    diagnostics_profile: Echoed | None = None
    priority: str | None = None
    license_type: str | None = None


class MachineBody(Struct, frozen=True):
    """PUT of a virtual machine."""

    properties: MachineProperties
    location: str | None = None
    tags: dict[str, str] | None = None


class MachinePatchProperties(Struct, frozen=True, rename="camel"):
    hardware_profile: HardwareProfile | None = None


class MachinePatchBody(Struct, frozen=True):
    """PATCH of a virtual machine."""

    tags: dict[str, str] | None = None
    properties: MachinePatchProperties | None = None


class RunParameter(Struct, frozen=True):
    name: str
    value: str = ""


class RunCommandBody(Struct, frozen=True, rename="camel"):
    """POST runCommand."""

    command_id: str
    script: list[str] | None = None
    parameters: list[RunParameter] = []
