"""Microsoft.Compute request bodies to domain values."""

from __future__ import annotations

import re

import msgspec

from poolwright.domain.compute import (
    DiskSpec,
    ImageChoice,
    ImageDiskSpec,
    ImageSpec,
    MachineDiskSpec,
    MachineSpec,
)
from poolwright.domain.errors import ManagementError
from poolwright.wire.arm.compute_models import (
    DiskBody,
    GrantAccessBody,
    ImageBody,
    ImageDiskProperties,
    ImageReference,
    MachineBody,
    MachineDiskProperties,
    MachineProperties,
)
from poolwright.wire.arm.decode import one_of

STORAGE_TYPES = (
    "Standard_LRS",
    "Premium_LRS",
    "StandardSSD_LRS",
    "UltraSSD_LRS",
    "Premium_ZRS",
    "StandardSSD_ZRS",
    "PremiumV2_LRS",
)
SNAPSHOT_TYPES = ("Standard_LRS", "Premium_LRS", "Standard_ZRS")
CACHING = ("None", "ReadOnly", "ReadWrite")
GENERATIONS = ("V1", "V2")
OS_TYPES = ("Linux", "Windows")
_DISK_OPTIONS = (
    "Empty", "Attach", "FromImage", "Import", "Copy", "Restore", "Upload", "CopyStart", "ImportSecure",
    "UploadPreparedSecure", "CopyFromSanSnapshot",
)  # fmt: skip
_MACHINE_DISK_OPTIONS = ("FromImage", "Empty", "Attach", "Copy", "Restore")
# How the public API names a version of a marketplace image where it asks for an id.
_MARKETPLACE_ID = re.compile(
    r"/subscriptions/[^/]+/providers/Microsoft\.Compute/locations/[^/]+/publishers/([^/]+)"
    r"/artifacttypes/vmimage/offers/([^/]+)/skus/([^/]+)/versions/([^/]+)",
    re.IGNORECASE,
)
_DEFAULT_SIZE = "Standard_A1_v2"  # what the public service takes when no size is given


def disk_spec(body: DiskBody) -> DiskSpec:
    """A disk or snapshot; 400 for a value outside its enum."""
    given = body.properties
    creation = given.creation_data
    option = one_of("properties.creationData.createOption", creation.create_option, _DISK_OPTIONS)
    reference = creation.image_reference or creation.gallery_image_reference
    published = _MARKETPLACE_ID.fullmatch(reference.id or "") if reference is not None else None
    return DiskSpec(
        option=option or "",
        size_gib=given.disk_size_gb,
        source_id=creation.source_resource_id if option == "Copy" else reference.id if reference else None,
        image=ImageChoice(None, *published.groups()) if published is not None else None,
        image_lun=reference.lun if reference else None,
        os_type=one_of("properties.osType", given.os_type, OS_TYPES),
        generation=one_of("properties.hyperVGeneration", given.hyper_v_generation, GENERATIONS),
        upload_bytes=creation.upload_size_bytes,
    )


def access_level(body: GrantAccessBody) -> str:
    """The access asked for; 400 for None, another file format than VHD, or the state of a secure machine."""
    level = one_of("access", body.access, ("Read", "Write")) or ""
    one_of("fileFormat", body.file_format, ("VHD",))
    if body.get_secure_vm_guest_state_sas:
        text = "The value 'true' of 'getSecureVMGuestStateSAS' is not valid: disks here have no such state."
        raise ManagementError(400, "InvalidParameter", text, "getSecureVMGuestStateSAS")
    return level


def disk_sku(body: DiskBody, snapshot: bool) -> str | None:
    """The storage type named, in its published spelling."""
    name = body.sku.name if body.sku is not None else None
    return one_of("sku.name", name, SNAPSHOT_TYPES if snapshot else STORAGE_TYPES)


def disk_document(body: DiskBody) -> bytes:
    """The properties to echo."""
    return msgspec.json.encode(body.properties)


def image_spec(body: ImageBody) -> ImageSpec:
    """An image; 400 for a value outside its enum, or for two sources at once."""
    given = body.properties
    generation = one_of("properties.hyperVGeneration", given.hyper_v_generation, GENERATIONS, "V1")
    profile = given.storage_profile
    machine = given.source_virtual_machine
    corrected = given.poolwright.corrected_from if given.poolwright is not None else None
    if corrected is not None:
        if machine is not None or profile is not None:
            text = "A corrected copy has its disks from the image it corrects: give no other source."
            raise ManagementError(400, "InvalidParameter", text, "properties.poolwright.correctedFrom")
        return ImageSpec(corrected_from=corrected)
    if machine is not None:
        if profile is not None and (profile.os_disk is not None or profile.data_disks):
            raise ManagementError(
                400,
                "InvalidParameter",
                "sourceVirtualMachine and storageProfile disks cannot both be given: an image has one source.",
                "properties.sourceVirtualMachine",
            )
        return ImageSpec(machine_id=machine.id, generation=generation or "V1")
    if profile is None or profile.os_disk is None:
        return ImageSpec(generation=generation or "V1")
    os_target = "properties.storageProfile.osDisk"
    os_disk = profile.os_disk
    os_type = one_of(f"{os_target}.osType", _needed(os_disk.os_type, f"{os_target}.osType"), OS_TYPES)
    if os_type != "Linux":
        text = f"The value '{os_type}' of '{os_target}.osType' is not valid: images here hold Linux."
        raise ManagementError(400, "InvalidParameter", text, f"{os_target}.osType")
    state = one_of(
        f"{os_target}.osState",
        _needed(os_disk.os_state, f"{os_target}.osState"),
        ("Generalized", "Specialized"),
    )
    data = []
    for index, disk in enumerate(profile.data_disks):
        target = f"properties.storageProfile.dataDisks[{index}]"
        if disk.lun is None:
            raise ManagementError(
                400,
                "InvalidParameter",
                f"Required parameter '{target}.lun' is missing (null).",
                f"{target}.lun",
            )
        data.append(_image_disk(target, disk, disk.lun))
    return ImageSpec(
        os_disk=_image_disk(os_target, os_disk, None),
        data_disks=tuple(data),
        os_state=state or "",
        generation=generation or "V1",
    )


def _image_disk(target: str, disk: ImageDiskProperties, lun: int | None) -> ImageDiskSpec:
    if disk.blob_uri is not None:
        text = f"'{target}.blobUri' is not supported: upload to a disk (createOption Upload), name it as managedDisk."
        raise ManagementError(400, "InvalidParameter", text, f"{target}.blobUri")
    named = [source.id for source in (disk.snapshot, disk.managed_disk) if source is not None]
    if len(named) != 1:
        text = (
            f"Exactly one of '{target}.snapshot' and '{target}.managedDisk' must be given; {len(named)} were."
        )
        raise ManagementError(400, "InvalidParameter", text, target)
    return ImageDiskSpec(
        lun=lun,
        source_id=named[0],
        caching=one_of(f"{target}.caching", disk.caching, CACHING, "None") or "None",
        storage_type=one_of(f"{target}.storageAccountType", disk.storage_account_type, STORAGE_TYPES),
        size_gib=disk.disk_size_gb,
    )


def _needed(value: str | None, target: str) -> str:
    if value is None:
        text = f"Required parameter '{target}' is missing (null)."
        raise ManagementError(400, "InvalidParameter", text, target)
    return value


def image_document(body: ImageBody) -> bytes:
    """The properties to echo."""
    return msgspec.json.encode(body.properties)


def machine_spec(body: MachineBody) -> MachineSpec:
    """A virtual machine. A PUT on one that exists may leave its disks out, so nothing of them is required here."""
    given = body.properties
    profile = given.storage_profile
    hardware = given.hardware_profile
    size = (hardware.vm_size if hardware is not None else None) or _DEFAULT_SIZE
    target = "properties.storageProfile"
    os_target = f"{target}.osDisk"
    os_disk = profile.os_disk if profile is not None else None
    reference = profile.image_reference if profile is not None else None
    if os_disk is None:
        os_spec = MachineDiskSpec(None, "FromImage")
    else:
        os_spec = _machine_disk(os_target, os_disk, None)
        _refuse_other_os(os_target, os_disk)
    data = [
        _machine_disk(f"{target}.dataDisks[{index}]", disk, disk.lun)
        for index, disk in enumerate(profile.data_disks if profile is not None else [])
    ]
    return MachineSpec(
        size=size,
        image=_choice(f"{target}.imageReference", reference),
        os_disk=os_spec,
        data_disks=tuple(data),
        computer_name=given.os_profile.computer_name if given.os_profile is not None else None,
    )


def _refuse_other_os(target: str, disk: MachineDiskProperties) -> None:
    if one_of(f"{target}.osType", disk.os_type, OS_TYPES, "Linux") != "Linux":
        text = f"The value 'Windows' of '{target}.osType' is not valid: machines here run Linux."
        raise ManagementError(400, "InvalidParameter", text, f"{target}.osType")
    if disk.create_option.lower() == "empty":
        text = f"The value 'Empty' of '{target}.createOption' is not valid: an OS disk cannot be empty."
        raise ManagementError(400, "InvalidParameter", text, f"{target}.createOption")


def _machine_disk(target: str, disk: MachineDiskProperties, lun: int | None) -> MachineDiskSpec:
    option = one_of(f"{target}.createOption", disk.create_option, _MACHINE_DISK_OPTIONS) or ""
    if option not in ("FromImage", "Empty", "Attach"):
        text = f"The value '{option}' of '{target}.createOption' is not supported here."
        raise ManagementError(400, "InvalidParameter", text, f"{target}.createOption")
    if disk.vhd is not None:
        text = f"'{target}.vhd' is not supported: machines here use managed disks."
        raise ManagementError(400, "InvalidParameter", text, f"{target}.vhd")
    managed = disk.managed_disk
    delete = one_of(f"{target}.deleteOption", disk.delete_option, ("Delete", "Detach"), "Detach")
    storage = managed.storage_account_type if managed is not None else None
    return MachineDiskSpec(
        lun=lun,
        option=option,
        name=disk.name,
        disk_id=managed.id if managed is not None else None,
        size_gib=disk.disk_size_gb,
        caching=one_of(f"{target}.caching", disk.caching, CACHING),
        storage_type=one_of(f"{target}.managedDisk.storageAccountType", storage, STORAGE_TYPES),
        delete_option=delete or "Detach",
    )


def _choice(target: str, reference: ImageReference | None) -> ImageChoice | None:
    if reference is None:
        return None
    named = (reference.publisher, reference.offer, reference.sku)
    if reference.id is not None:
        if any(named):
            text = f"'{target}' names both an id and a marketplace image; exactly one form is allowed."
            raise ManagementError(400, "InvalidParameter", text, target)
        return ImageChoice(id=reference.id)
    for name, value in zip(("publisher", "offer", "sku"), named, strict=True):
        if not value:
            text = f"Required parameter '{target}.{name}' is missing (null)."
            raise ManagementError(400, "InvalidParameter", text, f"{target}.{name}")
    publisher, offer, sku = (value or "" for value in named)
    return ImageChoice(None, publisher, offer, sku, reference.version or "latest")


def machine_document(body: MachineBody) -> bytes:
    """The properties to echo; storageProfile is put together from the disks themselves when answered."""
    given: MachineProperties = body.properties
    profile = given.storage_profile
    kept = None
    if profile is not None:
        kept = msgspec.structs.replace(profile, os_disk=None, data_disks=[])
    return msgspec.json.encode(msgspec.structs.replace(given, storage_profile=kept))
